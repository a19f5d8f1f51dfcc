"""The actor of one attempt of one step: takes one `Start`, sends exactly one report."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, Generic, TypedDict, TypeVar

import attrs
import trio

from flujo_actors.actor import Actor
from flujo_actors.context import ContextBranch
from flujo_actors.failures import Failure, cancelled_failure, timeout_failure
from flujo_actors.mailbox import Mailbox
from flujo_actors.messages import Cancelled, Completed, Failed, Report, Start
from flujo_actors.results import StepResult
from flujo_actors.steps import AnyStep
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.usage import UsageMeter

StepT = TypeVar("StepT", bound=AnyStep)

MAILBOX_CAPACITY = 16
"""Messages that wait at a step's actor before others wait to send it more; the reports of children come on top."""


@attrs.define(eq=False)
class Place:
    """Where a child stands in the run: the same for all its attempts, and not changed by them."""

    name: str
    """Its name among its siblings."""
    path: str
    """Below the root; empty for the root."""
    span_id: str
    """Its span, which is also what its messages are signed with."""
    parent_span_id: str | None
    """The span it is part of: the supervisor's, or for a fallback that of the step it stands in for."""
    started_at: float
    """When the first attempt was spawned, on trio's clock."""
    meter: UsageMeter
    """Counts what all attempts together spend."""
    reports: Mailbox[Any]
    """Where the report goes."""
    supervisor: StepActor[Any] | None
    """The actor above, `None` for the root."""
    attributes: Mapping[str, Any]
    """What its span says besides the usual, its iteration or branch for instance."""


class _Where(TypedDict):
    step: str
    attempt: int
    running: tuple[str, ...]
    cause: Failure | None


class StepActor(Actor[Start | Report], abc.ABC, Generic[StepT]):
    """One attempt of one step. Subclasses say in `perform` what the step does.

    The attempt ends in one of three ways, and always with one report: `perform` returns a result; the actor is
    cancelled (by its timeout, by `cancel`, or with a scope around it); or the runtime has a bug, which propagates.
    """

    __slots__ = ("branch", "cause", "environment", "message", "place", "result", "step")

    message: Start
    """What the attempt was started with; there once the actor has begun. Its delay is 0 once it was waited out."""
    branch: ContextBranch
    """The attempt's own branch of the context; there once the actor has begun."""

    def __init__(
        self,
        step: StepT,
        place: Place,
        environment: RunEnvironment,
        start: Start,
        surrounding_scope: trio.CancelScope | None,
    ) -> None:
        """Make the actor of one attempt, its one `Start` in its mailbox."""
        super().__init__(place.path, Mailbox(place.path, MAILBOX_CAPACITY, start), surrounding_scope)
        self.step = step
        self.place = place
        self.environment = environment
        self.result: StepResult | None = None
        self.cause: Failure | None = None
        """What user code raised while it was being stopped."""

    @abc.abstractmethod
    async def perform(self, data: Any) -> StepResult:
        """Do the step's work on its input and say how it went.

        A failure is returned, not raised. `trio.Cancelled` is left to pass.
        """

    def start(self) -> None:
        """Take the one `Start` message, which is there before the task is."""
        message = self.mailbox.get_nowait()
        assert isinstance(message, Start), "the supervisor puts Start in first"  # noqa: S101 - an invariant
        self.message = message
        self.branch = message.branch

    async def work(self) -> None:
        """Wait out the back-off, set the deadline, perform."""
        if self.message.delay:
            await self.back_off()
        message = self.message
        if message.limit is not None:
            self.cancel_scope.deadline = self.environment.clock.now() + message.limit.seconds
        self.result = await self.perform(message.data)

    async def back_off(self) -> None:
        """Wait out the delay before a further attempt, if there is one."""
        message = self.message
        if message.delay:
            await trio.sleep(message.delay)
            self.message = attrs.evolve(message, delay=0.0)

    def stop(self) -> None:
        """Send the one report. Its place in the supervisor's mailbox is reserved, so this never waits or fails."""
        self.mailbox.close()
        self.place.reports.deliver(self._report())

    def completed(self, output: Any, *, metadata: Mapping[str, Any] | None = None) -> StepResult:
        """The result of a success."""
        place, cost = self.place, self.place.meter.exact_cost_usd
        return StepResult(
            self.step.name,
            True,  # noqa: FBT003 - positional arguments: this is made for every step
            output,
            self.message.attempt,
            self.environment.clock.now() - place.started_at,
            float(cost) if cost else 0.0,
            place.meter.total_tokens,
            None,
            None,
            self.history(),
            metadata or {},
            self.branch,
        )

    def failed(self, failure: Failure, *, output: Any = None, metadata: Mapping[str, Any] | None = None) -> StepResult:
        """The result of a failure; `output` is what is kept of one."""
        result = self.completed(output, metadata=metadata)
        return attrs.evolve(result, success=False, failure=failure, feedback=failure.feedback)

    def interrupted(self) -> StepResult:
        """The result of an attempt that was stopped before it had one."""
        return attrs.evolve(self.failed(self._interruption()), attempts=self.attempts)

    def history(self) -> tuple[StepResult, ...]:
        """The results of the children so far."""
        return ()

    def running(self) -> tuple[str, ...]:
        """The paths of the leaves that were at work when this actor was stopped."""
        return (self.place.path,)

    @property
    def attempts(self) -> int:
        """How many attempts have begun: not yet this one while it waits out its back-off."""
        return self.message.attempt - bool(self.message.delay)

    def why_stopped(self) -> str:
        """Who cancelled this actor: the nearest actor from here upward that was, or the program around the run."""
        actor: StepActor[Any] | None = self
        while actor is not None:
            if actor.cancel_reason is not None:
                return actor.cancel_reason
            if actor.owns_scope and actor.cancel_scope.cancel_called:
                return f"{actor.place.path or 'the run'} ran out of time"
            actor = actor.place.supervisor
        return "stopped by the program around the run"

    def _report(self) -> Report:
        result = self.result
        if result is None:
            result = self.interrupted()
            report = Failed if self._timed_out() else Cancelled
            return report(self.place.span_id, result)
        return (Completed if result.success else Failed)(self.place.span_id, result)

    def _timed_out(self) -> bool:
        """Whether it was this actor's own deadline that stopped it."""
        return self.owns_scope and self.cancel_scope.cancelled_caught and self.cancel_reason is None

    def _interruption(self) -> Failure:
        """Why there is no result."""
        where: _Where = {
            "step": self.place.path,
            "attempt": self.attempts,
            "running": self.running(),
            "cause": self.cause,
        }
        if self._timed_out() and self.message.limit is not None:
            return timeout_failure(self.message.limit.stated, **where)
        return cancelled_failure(self.why_stopped(), **where)
