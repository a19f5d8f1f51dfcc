"""The supervisor of a `MapStep`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeGuard

from flujo_actors.context import ContextBranch, Origin
from flujo_actors.failures import Failure, FailureDomain, wrapped_failure
from flujo_actors.messages import Completed
from flujo_actors.results import StepResult
from flujo_actors.steps.mapping import MapStep
from flujo_actors.supervisors.asking import Answer
from flujo_actors.supervisors.children import Children
from flujo_actors.supervisors.fields import get
from flujo_actors.supervisors.supervisor import Supervisor


class MapSupervisor(Supervisor[MapStep[Any, Any, Any]]):
    """Runs the body for one item after another, or for several at once. Items are taken as they are needed."""

    __slots__ = ("_outputs", "_results", "_written")

    keeps_failed_writes = False

    def start(self) -> None:
        """No item has ended yet."""
        super().start()
        self._outputs: dict[int, Any] = {}
        self._results: dict[int, StepResult] = {}
        """Those of items that ran side by side, where a run keeps all results."""
        self._written: dict[int, tuple[str, ContextBranch, Origin | None]] = {}
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

    async def _one_after_another(self, children: Children, items: Iterator[tuple[int, Any]]) -> StepResult:
        step = self.step
        while (taken := self._take(items)) is not None:
            if taken.failure is not None:
                return self._ended(taken.failure)
            number, item = taken.value
            result = await children.run(step.body.name, step.body, item, {"item": number}, number=number)
            failure = self._note(number, result)
            if failure is not None:
                return self._ended(failure)
        return self._ended(None)

    async def _side_by_side(self, children: Children, items: Iterator[tuple[int, Any]]) -> StepResult:
        """Keep `max_concurrency` items running; after a failure that counts, start no more."""
        step, first_failure, exhausted, running = self.step, None, False, 0
        while True:
            while running < step.max_concurrency and not exhausted and first_failure is None:
                taken = self._take(items)
                if taken is None:
                    exhausted = True
                elif taken.failure is not None:
                    first_failure = taken.failure
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
            first_failure = self._note(number, result) or first_failure
            branch = settled.writer.message.branch
            if type(settled.report) is Completed and branch.is_touched:
                self._written[number] = (f"item {number}", branch, children.origin(settled))
        return self._ended(self._merged() or first_failure)

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

    def _note(self, number: int, result: StepResult) -> Failure | None:
        """Keep an item's output. The map's failure, when the item's ends it."""
        if result.failure is None:
            self._outputs[number] = result.output
            return None
        self._outputs[number] = result
        if self.step.on_item_failure == "ignore" and result.failure.domain is not FailureDomain.CANCELLED:
            return None
        feedback = f"Item {number} failed: {result.failure.feedback}"
        return wrapped_failure(result.failure, feedback, step=self.place.path, attempt=self.attempt)

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

    def _ended(self, failure: Failure | None) -> StepResult:
        outputs = [self._outputs[number] for number in sorted(self._outputs)]
        metadata = {"items": len(outputs)}
        if failure is None:
            return self.completed(outputs, metadata=metadata)
        return self.failed(failure, output=outputs, metadata=metadata)


def _is_collection(value: object) -> TypeGuard[Iterable[Any]]:
    """Whether it has items, and is not a text, which nobody means letter by letter."""
    return isinstance(value, Iterable) and not isinstance(value, str | bytes)
