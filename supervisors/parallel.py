"""The supervisor of a `ParallelStep`."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import attrs

from flujo_actors.context import MergeStrategy
from flujo_actors.failures import Failure, FailureDomain, context_failure, wrapped_failure
from flujo_actors.messages import Completed
from flujo_actors.results import StepResult
from flujo_actors.steps import AnyStep
from flujo_actors.steps.parallel import BranchFailureStrategy, ParallelStep
from flujo_actors.supervisors.children import Children, Contribution
from flujo_actors.supervisors.fields import get, has_place, put
from flujo_actors.supervisors.supervisor import Supervisor

EXECUTED_BRANCHES: Final = "executed_branches"
BRANCH_RESULTS: Final = "branch_results"
"""Fields of the context that the step fills in where the context declares them."""


class ParallelSupervisor(Supervisor[ParallelStep[Any, Any, Any]]):
    """Runs the branches side by side, and merges once, when all are in, in declared order."""

    __slots__ = ("_contributions", "_results")

    def start(self) -> None:
        """No branch has ended yet."""
        super().start()
        self._results: dict[str, StepResult] = {}
        self._contributions: dict[str, Contribution] = {}
        """What the branches wrote that succeeded. Both in the order in which they ended; in declared order at last."""

    async def supervise(self, children: Children, data: Any) -> StepResult:
        """Start as many as may run at once, start others as they end, then merge and judge."""
        branches = self.step.children
        waiting = deque(branches)
        self._start(children, waiting, self.step.max_concurrency or len(waiting), data)
        while children.running_now:
            settled = await children.next_settled()
            name = settled.actor.place.name
            if type(settled.report) is Completed:
                self._contributions[name] = children.contribution(name, settled)
            elif self._cancels_siblings():
                waiting.clear()
                children.cancel_all(f"branch '{name}' failed")
            self._results[name] = await children.settle(settled)
            if waiting:
                self._start(children, waiting, 1, data)
        self._results = {name: self._results[name] for name, _ in branches if name in self._results}
        self._contributions = {name: self._contributions[name] for name in self._results if name in self._contributions}
        return self._judged(self._merged())

    def history(self) -> tuple[StepResult, ...]:
        """The branches' results in declared order; of a step that was stopped, in the order in which they ended."""
        ended = super().history()
        return tuple(self._results.values()) if len(self._results) == len(ended) else ended

    def stop(self) -> None:
        """Report, and let go of the results: what has failed in them may lead back to this actor."""
        super().stop()
        self._results = {}

    def _start(self, children: Children, waiting: deque[tuple[str, AnyStep]], count: int, data: Any) -> None:
        shown = children.show(data)
        for _ in range(min(count, len(waiting))):
            name, step = waiting.popleft()
            children.spawn(name, step, data, {"branch": name}, shown=shown)

    def _cancels_siblings(self) -> bool:
        return self.step.on_branch_failure is BranchFailureStrategy.CANCEL

    def _merged(self) -> Failure | None:
        """Merge what the branches that succeeded wrote. A failure when that cannot be done."""
        step, place, succeeded = self.step, self.place, list(self._contributions)
        reported_before = self._reported()
        refused = self.merge(
            self._contributions.values(),
            strategy=step.merge_strategy,
            field_mapping=step.field_mapping,
            include_keys=step.context_include_keys,
        )
        if refused is not None:
            return refused
        try:
            self._fill_in(succeeded, reported_before)
        except Exception as error:  # noqa: BLE001 - the context's class may refuse a value by any exception
            return context_failure(error, step=place.path, attempt=self.attempt)
        return None

    def _reported(self) -> Mapping[str, Any]:
        """What the context holds of branches' results, perhaps from an earlier run of a step like this."""
        fork = self.branch.fork()
        held = _held(fork.context)
        fork.release()
        return held

    def _fill_in(self, succeeded: list[str], before: Mapping[str, Any]) -> None:
        """Write into the context which branches succeeded, and what they gave, where it has fields for that.

        Args:
            succeeded: the branches, in declared order.
            before: what was reported before they ran: what still stands there was not written by them.
        """
        names = succeeded[-1:] if self.step.merge_strategy is MergeStrategy.OVERWRITE else succeeded
        if not self.branch.keeps_writes:
            return
        fork = self.branch.fork()
        if has_place(fork.context, EXECUTED_BRANCHES):
            put(fork.context, EXECUTED_BRANCHES, names)
        if has_place(fork.context, BRANCH_RESULTS):
            own = {name: value for name, value in _held(fork.context).items() if _is_new(name, value, before)}
            put(fork.context, BRANCH_RESULTS, {name: own.get(name, self._results[name].output) for name in names})
        self.branch.adopt(fork, self.origin())

    def _judged(self, merge_failed: Failure | None) -> StepResult:
        succeeded, failures = list(self._contributions), self._failures()
        metadata = {
            "executed_branches": list(self._results),
            "succeeded_branches": succeeded,
            "failed_branches": list(failures),
        }
        if merge_failed is not None:
            return self.failed(merge_failed, metadata=metadata)
        output = {name: self._output_of(name) for name in self._results}
        forgiven = self.step.on_branch_failure is BranchFailureStrategy.IGNORE and succeeded
        if not failures or forgiven:
            return self.completed(output, metadata=metadata)
        return self.failed(self._failure(failures), output=output, metadata=metadata)

    def _failures(self) -> dict[str, Failure]:
        """The failures by branch, in declared order."""
        return {name: result.failure for name, result in self._results.items() if result.failure is not None}

    def _output_of(self, name: str) -> Any:
        result = self._results[name]
        return result.output if result.success else result

    def _failure(self, failures: dict[str, Failure]) -> Failure:
        texts = [f"branch '{name}' failed: {failure.feedback}" for name, failure in failures.items()]
        count, total = len(texts), len(self._results)
        feedback = texts[0]
        if count > 1:
            feedback = f"Parallel step failed: {count} of {total} branches failed. Failures: {'; '.join(texts)}"
        # What was cancelled because of another is not the reason.
        ordered = sorted(failures.values(), key=lambda failure: failure.domain is FailureDomain.CANCELLED)
        failure = wrapped_failure(ordered[0], feedback, step=self.place.path, attempt=self.attempt)
        return attrs.evolve(failure, others=tuple(ordered[1:]))


def _held(context: Any) -> Mapping[str, Any]:
    """What a context holds of branches' results; nothing where it has no place for them, or something else there."""
    try:
        held = get(context, BRANCH_RESULTS) if has_place(context, BRANCH_RESULTS) else None
    except AttributeError:  # a field that was declared and never set
        return {}
    return held if isinstance(held, Mapping) else {}


def _is_new(name: Any, value: Any, before: Mapping[str, Any]) -> bool:
    try:
        return name not in before or bool(value != before[name])
    except Exception:  # noqa: BLE001 - a user's `__eq__` may do anything
        return True
