"""The actor of one attempt of one step: takes one `Start`, sends exactly one report."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import trio

from flujo_actors.actor import Actor
from flujo_actors.context import ContextBranch
from flujo_actors.failures import Failure, cancelled_failure, timeout_failure
from flujo_actors.mailbox import Mailbox
from flujo_actors.messages import Cancelled, Completed, Failed, Report, Start
from flujo_actors.results import StepResult
from flujo_actors.steps import AnyStep
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.supervisors.place import Occupant, Place

StepT = TypeVar("StepT", bound=AnyStep)

MAILBOX_CAPACITY = 16
"""Messages that wait at a step's actor before others wait to send it more; the reports of children come on top."""


class InnerRun(Protocol):
    """A run that an agent's code has started inside its own, as the agent's actor sees it."""

    @property
    def step_name(self) -> str:
        """What its pipeline is called."""
        ...

    @property
    def actors(self) -> Iterable[StepActor[Any]]:
        """The pipeline's actor, and its fallback's, while they are alive."""
        ...

    @property
    def history(self) -> Iterable[StepResult]:
        """The pipeline's result, once it has ended."""
        ...

    @property
    def stopped(self) -> Iterable[str]:
        """The paths of the leaves that were cancelled with it."""
        ...


class StepActor(Actor[Start | Report], abc.ABC, Generic[StepT]):
    """One attempt of one step. Subclasses say in `perform` what the step does.

    The attempt ends in one of three ways, and always with one report: `perform` returns a result; the actor is
    cancelled (by its timeout, by `cancel`, or with a scope around it); or the runtime has a bug, which propagates.
    """

    __slots__ = (
        "attempt",
        "branch",
        "cause",
        "environment",
        "has_begun",
        "has_succeeded",
        "message",
        "place",
        "result",
        "runs",
        "step",
    )

    takes_turns: ClassVar[bool] = False
    """Whether it counts among the agents that are at work, of which a run may limit the number."""
    message: Start
    """What the attempt was started with; there once the actor's task runs."""
    branch: ContextBranch
    """The attempt's own branch of the context; there once the actor's task runs."""

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
        self.attempt = start.attempt
        """Which attempt it is, from 1."""
        self.has_begun = False
        """Whether the attempt itself has begun: its back-off is over, and it has had its turn."""
        self.has_succeeded = False
        self.step = step
        self.place = place
        self.environment = environment
        self.result: StepResult | None = None
        self.cause: Failure | None = None
        """What user code raised while it was being stopped."""
        self.runs: tuple[InnerRun, ...] = ()
        """The runs that its code has started inside this one."""

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
        """Wait out the back-off, and for a turn where agents take turns; then perform."""
        message, slots = self.message, self.environment.slots
        if message.delay:
            await trio.sleep(message.delay)
        if slots is not None and self.takes_turns:
            async with slots:
                await self._begin(message)
        elif message.limit is not None or self.environment.attempt_watchers:
            await self._begin(message)
        else:  # as `_begin` does, but this is done for every step
            self.has_begun = True
            self.result = await self.perform(message.data)

    async def _begin(self, message: Start) -> None:
        """Perform. The attempt's time runs from here on."""
        self.has_begun = True
        if message.limit is not None:
            self.cancel_scope.deadline = self.environment.clock.now() + message.limit.seconds
        for tell in self.environment.attempt_watchers:
            tell(self.place.span_id, self.attempt)
        self.result = await self.perform(message.data)

    def stop(self) -> None:
        """Send the one report. Its place in the supervisor's mailbox is reserved, so this never waits or fails."""
        self.mailbox.close()
        self.place.reports.deliver(self._report())
        # A failure's traceback knows this actor, and so do runs inside it: apart, all go without the garbage collector.
        self.result = self.cause = None
        self.runs = ()

    def completed(self, output: Any, *, metadata: Mapping[str, Any] | None = None) -> StepResult:
        """The result of a success."""
        return self._result(output, self.attempt, metadata)

    def failed(self, failure: Failure, *, output: Any = None, metadata: Mapping[str, Any] | None = None) -> StepResult:
        """The result of a failure; `output` is what is kept of one."""
        return self._result(output, self.attempt, metadata, failure)

    def interrupted(self) -> StepResult:
        """The result of an attempt that was stopped before it had one."""
        attempts = self.attempts
        return self._result(None, attempts, None, self._interruption(attempts))

    def _result(
        self, output: Any, attempts: int, metadata: Mapping[str, Any] | None, failure: Failure | None = None
    ) -> StepResult:
        # Positional arguments: this is made for every step.
        place, meter = self.place, self.place.meter
        cost = meter.exact_cost_usd
        return StepResult(
            self.step.name,
            failure is None,
            output,
            attempts,
            self.environment.clock.now() - place.started_at,
            float(cost) if cost else 0.0,
            meter.total_tokens,
            None if failure is None else failure.feedback,
            failure,
            self.history(),
            metadata or {},
            self.branch,
        )

    def history(self) -> tuple[StepResult, ...]:
        """The results of the children so far: of a leaf, of the runs that its agent has started."""
        return tuple(result for run in self.runs for result in run.history) if self.runs else ()

    def below(self) -> Iterable[StepActor[Any]]:
        """The actors below it that are alive."""
        return [actor for run in self.runs for actor in run.actors]

    def running(self) -> tuple[str, ...]:
        """The paths of the leaves that were at work when this actor was stopped."""
        stopped = tuple(path for run in self.runs for path in run.stopped) if self.runs else ()
        return stopped or (self.place.path,)

    @property
    def attempts(self) -> int:
        """How many attempts have begun."""
        return self.attempt if self.has_begun else self.attempt - 1

    def why_stopped(self) -> str:
        """Who cancelled this actor: the nearest actor from here upward that was, or the program around the run."""
        actor: Occupant | None = self
        while actor is not None:
            reason = actor.why_cancelled()
            if reason is not None:
                return reason
            actor = actor.place.supervisor
        return "stopped by the program around the run"

    def why_cancelled(self) -> str | None:
        """Why this actor was cancelled itself; `None` when it was not, or only with something around it."""
        if self.cancel_reason is None and self.owns_scope and self.cancel_scope.cancel_called:
            return f"{self.place.path or 'the run'} ran out of time"
        return self.cancel_reason

    def _report(self) -> Report:
        result = self.result
        if result is None:
            result = self.interrupted()
            report = Failed if self._timed_out() else Cancelled
            return report(self.place.span_id, result)
        self.has_succeeded = result.success
        return (Completed if result.success else Failed)(self.place.span_id, result)

    def _timed_out(self) -> bool:
        """Whether it was this actor's own deadline that stopped it."""
        return self.owns_scope and self.cancel_scope.cancelled_caught and self.cancel_reason is None

    def _interruption(self, attempt: int) -> Failure:
        """Why there is no result."""
        path, running, cause = self.place.path, self.running(), self.cause
        limit = self.message.limit
        if limit is not None and self._timed_out():
            return timeout_failure(limit.stated, step=path, attempt=attempt, running=running, cause=cause)
        return cancelled_failure(self.why_stopped(), step=path, attempt=attempt, running=running, cause=cause)
