"""The supervisor of a `MapStep`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

import attrs

from flujo_actors.failures import Failure, FailureDomain, wrapped_failure
from flujo_actors.messages import Completed
from flujo_actors.results import StepResult
from flujo_actors.steps.mapping import MapStep
from flujo_actors.supervisors.asking import Answer
from flujo_actors.supervisors.children import Children, Contribution
from flujo_actors.supervisors.fields import get
from flujo_actors.supervisors.supervisor import Supervisor


class MapSupervisor(Supervisor[MapStep[Any, Any, Any]]):
    """Runs the body for one item after another, or for several at once. Items are taken as they are needed."""

    __slots__ = ("_failures", "_outputs", "_results", "_written")

    keeps_failed_writes = False

    def start(self) -> None:
        """No item has ended yet."""
        super().start()
        self._outputs: dict[int, Any] = {}
        self._failures: dict[int, Failure] = {}
        """Those of items that fail the map."""
        self._results: dict[int, StepResult] = {}
        """Those of items that ran side by side, where a run keeps all results."""
        self._written: dict[int, Contribution] = {}
        """What items that ran side by side wrote, if they wrote anything."""

    async def supervise(self, children: Children, data: Any) -> StepResult:
        """Find the items, and run the body for each."""
        items = await self._items(data)
        if items.failure is not None:
            return self.failed(items.failure)
        numbered = enumerate(items.value, start=1)
        if self.step.max_concurrency == 1:
            return await self._one_after_another(children, numbered)
        return await self._side_by_side(children, numbered)

    def history(self) -> tuple[StepResult, ...]:
        """The items' results in order; of a map that was stopped, in the order in which they ended."""
        ended = super().history()
        in_order = tuple(self._results[number] for number in sorted(self._results))
        return in_order if len(in_order) == len(ended) else ended

    def stop(self) -> None:
        """Report, and let go of the results: what has failed in them may lead back to this actor."""
        super().stop()
        self._outputs, self._failures, self._results = {}, {}, {}

    def only_child_cancelled(self, result: StepResult, reason: str) -> StepResult:
        """The item that was cancelled has failed."""
        cancelled = super().only_child_cancelled(result, reason)
        number = len(self._outputs) + 1
        self._note(number, result)
        return self._ended(cancelled.failure if result.success else None)

    async def _one_after_another(self, children: Children, items: Iterator[tuple[int, Any]]) -> StepResult:
        step, goes_on = self.step, self._ignores_failures()
        while (taken := self._take(items)) is not None:
            if taken.failure is not None:
                return self._ended(taken.failure)
            number, item = taken.value
            result = await children.run(
                step.body.name, step.body, item, {"item": number}, number=number, own_scope=goes_on
            )
            self._note(number, result)
            if self._failures:
                break
        return self._ended()

    async def _side_by_side(self, children: Children, items: Iterator[tuple[int, Any]]) -> StepResult:
        """Keep `max_concurrency` items running; after a failure that counts, start no more."""
        step, broken, exhausted, running = self.step, None, False, 0
        while True:
            while running < step.max_concurrency and not exhausted and not self._failures:
                taken = self._take(items)
                if taken is None or taken.failure is not None:
                    exhausted, broken = True, None if taken is None else taken.failure
                else:
                    number, item = taken.value
                    children.spawn(step.body.name, step.body, item, {"item": number}, number=number)
                    running += 1
            if not children.running_now:
                break
            settled = await children.next_settled()
            number = settled.actor.place.attributes["item"]
            running -= 1
            result = await children.settle(settled)
            if self.environment.settings.keep_results is None:
                self._results[number] = result
            self._note(number, result)
            if type(settled.report) is Completed and settled.writer.message.branch.is_touched:
                self._written[number] = children.contribution(f"item {number}", settled)
        return self._ended(self._merged() or (None if self._failures else broken))

    async def _items(self, data: Any) -> Answer:
        """An iterator over the items."""
        over, name = self.step.over, self.step.name
        found = await self.ask(
            lambda context: get(context, over) if isinstance(over, str) else over(data, context),
            FailureDomain.MAPPER,
            self._error_in_over(),
        )
        if found.failure is not None:
            return found
        if not _is_collection(found.value):
            wrong = f"MapStep '{name}' maps over a collection of items, got {type(found.value).__name__}"
            return Answer(failure=self._failure(wrong))
        items = found.value
        try:
            # A list is taken as it is now, also when the items change it.
            return Answer(iter(tuple(items) if type(items) is list else items))  # pyright: ignore[reportUnknownArgumentType]
        except Exception as error:  # noqa: BLE001 - a user's collection may do anything
            return Answer(failure=self._raised(error))

    def _take(self, items: Iterator[tuple[int, Any]]) -> Answer | None:
        """The next item with its number; `None` when there is none."""
        try:
            return Answer(next(items))
        except StopIteration:
            return None
        except Exception as error:  # noqa: BLE001 - as above
            return Answer(failure=self._raised(error))

    def _ignores_failures(self) -> bool:
        return self.step.on_item_failure == "ignore"

    def _note(self, number: int, result: StepResult) -> None:
        """Keep an item's output, and its failure where that fails the map."""
        self._outputs[number] = result.output if result.failure is None else result
        if result.failure is not None and not self._ignores_failures():
            self._failures[number] = result.failure

    def _merged(self) -> Failure | None:
        """Merge what the items that succeeded wrote, in their order."""
        return self.merge([self._written[number] for number in sorted(self._written)])

    def _failure(self, feedback: str) -> Failure:
        return Failure(FailureDomain.MAPPER, feedback, feedback, step=self.place.path, attempt=self.attempt)

    def _error_in_over(self) -> str:
        return f"Error in over for MapStep '{self.step.name}'"

    def _raised(self, error: Exception) -> Failure:
        """The items themselves raised: they may come from a user's generator, or be a user's collection."""
        return self._user_function_failure(FailureDomain.MAPPER, self._error_in_over(), error)

    def _failure_of_items(self) -> Failure | None:
        """The first by number; one that was cancelled is not the reason where anything else is."""
        ordered = sorted(self._failures, key=lambda n: (self._failures[n].domain is FailureDomain.CANCELLED, n))
        if not ordered:
            return None
        number, *others = ordered
        first = self._failures[number]
        feedback = f"Item {number} failed: {first.feedback}"
        failure = wrapped_failure(first, feedback, step=self.place.path, attempt=self.attempt)
        return attrs.evolve(failure, others=tuple(self._failures[other] for other in others))

    def _ended(self, failure: Failure | None = None) -> StepResult:
        """The result: a failure if one is given, or if items failed that count."""
        failure = failure or self._failure_of_items()
        outputs = [self._outputs[number] for number in sorted(self._outputs)]
        metadata = {"items": len(outputs)}
        if failure is None:
            return self.completed(outputs, metadata=metadata)
        return self.failed(failure, output=outputs, metadata=metadata)


def _is_collection(value: object) -> TypeGuard[Iterable[Any]]:
    """Whether it has items, and is not a text, which nobody means letter by letter."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)
