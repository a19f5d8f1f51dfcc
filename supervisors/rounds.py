"""What supervisors that run the same child round after round have in common."""

from __future__ import annotations

from typing import Any, Final

import attrs

from flujo_actors.events import IterationStarted
from flujo_actors.failures import Failure, wrapped_failure
from flujo_actors.results import StepResult
from flujo_actors.supervisors.step_actor import StepT
from flujo_actors.supervisors.supervisor import Supervisor

EXITED_BY_CONDITION: Final = "loop exited by condition"
REACHED_MAX_LOOPS: Final = "reached max_loops"


class RoundsSupervisor(Supervisor[StepT]):
    """Counts the rounds it begins, which are its attempts. What a round wrote is in once it has succeeded."""

    __slots__ = ("rounds",)

    keeps_failed_writes = False

    rounds: int
    """Rounds begun in this attempt; there once the actor has begun."""

    def start(self) -> None:
        """Begin with no rounds."""
        super().start()
        self.rounds = 0

    def begin_round(self, number: int) -> None:
        """Count a round, and tell that it begins."""
        self.rounds = number
        self.environment.publish(IterationStarted, self.place, number)

    def interrupted(self) -> StepResult:
        """The rounds that had begun are told of an interrupted attempt too."""
        return self._counted(super().interrupted())

    def only_child_cancelled(self, result: StepResult, reason: str) -> StepResult:
        """A round that was cancelled has failed."""
        cancelled = super().only_child_cancelled(result, reason)
        return cancelled if cancelled.failure is None else self.round_failed(cancelled.failure)

    def round_failed(self, cause: Failure) -> StepResult:
        """The result when a round has failed, which ends them all."""
        feedback = f"Loop body failed: {cause.feedback}"
        failure = wrapped_failure(cause, feedback, step=self.place.path, attempt=self.attempt)
        return self.ended("body_step_error", failure=failure)

    def ended(self, exit_reason: str, *, output: Any = None, failure: Failure | None = None) -> StepResult:
        """The result, a failure if there is one, with the reason why there are no more rounds."""
        metadata = {"exit_reason": exit_reason}
        if failure is None:
            return self._counted(self.completed(output, metadata=metadata))
        return self._counted(self.failed(failure, output=output, metadata=metadata))

    def _counted(self, result: StepResult) -> StepResult:
        metadata = {**result.metadata, "iterations": self.rounds}
        return attrs.evolve(result, attempts=self.message.tried + self.rounds, metadata=metadata)
