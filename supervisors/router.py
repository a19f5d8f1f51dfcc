"""The supervisor of a `DynamicParallelRouterStep`."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from flujo_actors.failures import Failure, FailureDomain, wrapped_failure
from flujo_actors.results import StepResult
from flujo_actors.steps.parallel import DynamicParallelRouterStep
from flujo_actors.supervisors.children import Children
from flujo_actors.supervisors.supervisor import Supervisor

_LISTS: Final = ("executed_branches", "succeeded_branches", "failed_branches")


class RouterSupervisor(Supervisor[DynamicParallelRouterStep[Any, Any, Any]]):
    """Asks the router, then runs the branches that it chose as one parallel step."""

    __slots__ = ("_unknown",)

    def start(self) -> None:
        """Nothing is chosen yet."""
        super().start()
        self._unknown: list[Any] | None = None
        """What the router said that is no branch; `None` as long as it has said nothing."""

    async def supervise(self, children: Children, data: Any) -> StepResult:
        """Choose, then run what was chosen."""
        step = self.step
        router, chosen_branches = step.names
        choice = await children.run(router, step.router, data)
        if choice.failure is not None:
            return self._router_failed(choice.failure)
        chosen = _chosen(choice.output)
        if chosen is None:
            return self.failed(self._no_list(choice.output))
        names = list(dict.fromkeys(name for name in chosen if self._is_branch(name)))
        self._unknown = [name for name in chosen if not self._is_branch(name)]
        if not names:
            return self.completed({}, metadata=self._metadata({name: list[str]() for name in _LISTS}))
        result = await children.run(chosen_branches, step.parallel(names), data)
        if result.failure is not None:
            return self._branches_failed(result, result.failure)
        return self.completed(result.output, metadata=self._metadata(result.metadata))

    def only_child_cancelled(self, result: StepResult, reason: str) -> StepResult:
        """The router, or the branches, were cancelled: they have failed."""
        cancelled = super().only_child_cancelled(result, reason)
        if cancelled.failure is None:
            return cancelled
        if self._unknown is None:
            return self._router_failed(cancelled.failure)
        return self._branches_failed(result, cancelled.failure)

    def _is_branch(self, name: object) -> bool:
        try:
            return name in self.step.branches
        except Exception:  # noqa: BLE001 - it cannot even be hashed, or compared
            return False

    def _metadata(self, of_branches: Mapping[str, Any]) -> dict[str, Any]:
        return {**of_branches, "unknown_branches": self._unknown}

    def _branches_failed(self, result: StepResult, failure: Failure) -> StepResult:
        """The result when the branches failed, as their parallel step says."""
        failure = attrs.evolve(failure, step=self.place.path)
        return self.failed(failure, output=result.output, metadata=self._metadata(result.metadata))

    def _router_failed(self, cause: Failure) -> StepResult:
        feedback = f"Router agent failed: {cause.feedback}"
        return self.failed(wrapped_failure(cause, feedback, step=self.place.path, attempt=self.attempt))

    def _no_list(self, given: object) -> Failure:
        feedback = f"Router agent must return a list of branch names, got {type(given).__name__}"
        return Failure(FailureDomain.AGENT, feedback, feedback, step=self.place.path, attempt=self.attempt)


def _chosen(output: object) -> list[Any] | None:
    """The names that a router gave; `None` when it gave no list."""
    if isinstance(output, str):
        return [output]
    try:
        return list(output) if isinstance(output, list | tuple) else None
    except Exception:  # noqa: BLE001 - a user's list may do anything
        return None
