"""The children of one supervisor: spawned, awaited, tried again, and recorded when they have ended for good.

A supervising actor and the root of a run both keep their children in a `Children`. It applies the child's own
policy, retry and time; what a settled child means for the supervisor is the supervisor's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import trio

from flujo_actors.actor import Actor
from flujo_actors.context import ContextBranch
from flujo_actors.errors import ContextError
from flujo_actors.events import AttemptFailed, StepEnded, StepStarted
from flujo_actors.failures import Failure, agent_failure, context_failure
from flujo_actors.mailbox import Mailbox
from flujo_actors.messages import Cancelled, Completed, Failed, Report, Start
from flujo_actors.results import StepResult
from flujo_actors.spans import ROOT_SPAN_NAME, Attempt, Span, SpanSink, SpanStatus, failure_attributes, usage_attributes
from flujo_actors.steps import AnyStep
from flujo_actors.steps.pipeline import join_path
from flujo_actors.supervisors.decisions import attempt_limit, retry_delay
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.supervisors.step_actor import Place, StepActor
from flujo_actors.usage import Usage, UsageMeter

_STATUS: Final[Mapping[type[Report], SpanStatus]] = {
    Completed: SpanStatus.COMPLETED,
    Failed: SpanStatus.FAILED,
    Cancelled: SpanStatus.CANCELLED,
}


@attrs.define(eq=False)
class Child:
    """One child and how it is doing, over all its attempts."""

    name: str
    """Its name among its siblings."""
    step: AnyStep
    data: Any
    """Its input, the same for each attempt."""
    place: Place
    attributes: Mapping[str, Any]
    """What its span says besides the usual, its iteration or branch for instance."""
    actor: Actor[Any]
    """The present attempt's."""
    branch: ContextBranch
    """The present attempt's."""
    attempt: int = 1
    """The number of the present attempt, from 1."""
    attempt_started_at: float = 0.0
    usage_before: Usage = Usage()
    """What the attempts before the present one spent."""
    retried: list[Attempt] = attrs.Factory(list)
    """The failed attempts that were followed by another."""
    history: tuple[StepResult, ...] = ()
    """The results of the children of those attempts."""


class Children:
    """The children of one supervisor. It may spawn while its nursery is open."""

    __slots__ = (
        "_branch",
        "_children",
        "_environment",
        "_meter",
        "_nursery",
        "_place",
        "_reports",
        "_supervisor",
        "history",
        "stopped",
    )

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        branch: ContextBranch,
        environment: RunEnvironment,
        meter: UsageMeter,
        reports: Mailbox[Any],
        supervisor: StepActor[Any] | None,
    ) -> None:
        """Supervise no children yet.

        Args:
            nursery: where the children's tasks run.
            branch: the supervisor's branch of the context; the children's are forked from it.
            environment: the run's.
            meter: the supervisor's; what the children charge is counted there too.
            reports: the supervisor's mailbox.
            supervisor: the supervising actor; `None` for the root of a run, whose children have no path.
        """
        self._nursery = nursery
        self._branch = branch
        self._environment = environment
        self._meter = meter
        self._reports = reports
        self._supervisor = supervisor
        self._place = None if supervisor is None else supervisor.place
        self._children: dict[str, Child] = {}
        self.history: list[StepResult] = []
        """The results of the settled children, in the order in which they settled."""
        self.stopped: list[str] = []
        """The paths of the leaves that were cancelled with the supervisor."""

    async def run(self, name: str, step: AnyStep, data: Any, **attributes: Any) -> StepResult:
        """Run one child to its end, while no other is running, and take what it may leave into the branch.

        A checkpoint. Cancelled, the child is being cancelled too; `settle_abandoned` records it then.

        Args:
            name: the child's name among its siblings.
            step: what it does.
            data: its input.
            **attributes: what its span says besides the usual.
        """
        self.spawn(name, step, data, attributes)
        return await self.wait_for_only_child()

    async def wait_for_only_child(self) -> StepResult:
        """The second half of `run`, for who has something to do between spawning and waiting."""
        child, report = await self.next_settled()
        return await self.settle(child, self._adopt(child, report))

    def spawn(self, name: str, step: AnyStep, data: Any, attributes: Mapping[str, Any]) -> Child:
        """Start a child. `next_settled` tells when it has ended, `settle` records that."""
        environment, above = self._environment, self._place
        now = environment.clock.now()
        place = Place(
            "" if above is None else join_path(above.path, name),
            environment.next_span_id(),
            now,
            UsageMeter(self._meter),
            self._supervisor,
            self._reports,
        )
        actor, branch = self._attempt(step, place)
        child = Child(name, step, data, place, attributes, actor, branch, attempt_started_at=now)
        self._children[place.span_id] = child
        if environment.watchers:
            environment.publish(StepStarted(place.path, place.span_id, step.kind))
        self._start(child, delay=0.0)
        return child

    async def next_settled(self) -> tuple[Child, Report]:
        """Wait until a child has ended and will not be tried again. Retries what its policy says.

        A checkpoint. Cancelled, no report is lost.
        """
        while True:
            report: Report = await self._reports.get()
            child = self._children[report.child]
            if not isinstance(report, Failed):
                return child, report
            try:
                delay = self._retry_delay(child, report)
            except Exception as error:  # noqa: BLE001 - the user's `retry_if` raised: that is no yes
                return child, _because_of(child, report, error)
            if delay is None:
                return child, report
            self._retry(child, report, delay)

    async def settle(self, child: Child, report: Report) -> StepResult:
        """Record that a child has ended for good: its result, its span.

        A checkpoint only while the storage has no room for the span. Cancelled then, the span is stored all the same.
        """
        result, span = self._conclude(child, report)
        sink = self._environment.sink
        if sink is not None:
            try:
                sink.record_nowait(self._environment.run_id, span)
            except trio.WouldBlock:
                await self._record_when_there_is_room(sink, span)
        return result

    def settle_abandoned(self) -> None:
        """Record the children that were cancelled with their supervisor, from the reports that they left."""
        for report in self._reports.drain():
            child = self._children.get(report.child)
            if child is None:
                continue
            result, span = self._conclude(child, report)
            if result.failure is not None:
                self.stopped.extend(result.failure.running)
            if self._environment.sink is not None:
                self._environment.sink.record_reserved(self._environment.run_id, span)

    def cancel_all(self, reason: str) -> None:
        """Cancel every child that is running; each will report."""
        for child in self._children.values():
            child.actor.cancel(reason)

    def _attempt(self, step: AnyStep, place: Place) -> tuple[Actor[Any], ContextBranch]:
        environment = self._environment
        return environment.actors.actor_for(step)(step, place, environment), self._branch.fork()

    def _start(self, child: Child, *, delay: float) -> None:
        step = child.step
        limit = attempt_limit(
            step.retry_policy, step.timeout, elapsed=child.attempt_started_at - child.place.started_at
        )
        timeout, named = (None, None) if limit is None else limit
        child.actor.mailbox.put_nowait(Start(child.data, child.branch, child.attempt, delay, timeout, named))
        self._nursery.start_soon(child.actor.run, name=child.place.path)

    def _retry_delay(self, child: Child, report: Failed) -> float | None:
        failure = report.result.failure
        policy = child.step.retry_policy
        if failure is None or policy.max_attempts <= child.attempt or child.actor.cancel_reason is not None:
            return None
        environment = self._environment
        elapsed = environment.clock.now() - child.place.started_at
        return retry_delay(policy, failure, attempts=child.attempt, elapsed=elapsed, sample=environment.random.random())

    def _retry(self, child: Child, report: Failed, delay: float) -> None:
        environment, failure = self._environment, report.result.failure
        assert failure is not None, "a Failed report has a failure"  # noqa: S101 - an invariant
        if environment.watchers:
            place = child.place
            environment.publish(AttemptFailed(place.path, place.span_id, child.attempt, failure, delay))
        self._note_attempt(child, report)
        child.history += report.result.step_history
        child.usage_before = child.place.meter.total()
        child.attempt += 1
        child.attempt_started_at = environment.clock.now() + delay
        child.actor, child.branch = self._attempt(child.step, child.place)
        self._start(child, delay=delay)

    def _note_attempt(self, child: Child, report: Report) -> None:
        clock, result = self._environment.clock, report.result
        child.retried.append(
            Attempt(
                child.attempt,
                clock.wall(child.attempt_started_at),
                clock.wall(max(child.attempt_started_at, child.place.started_at + result.latency_s)),
                _STATUS[type(report)],
                child.place.meter.total() - child.usage_before,
                result.failure,
            )
        )

    def _adopt(self, child: Child, report: Report) -> Report:
        """Take the child's writes into the branch: all of a success, what a failed composite had accepted."""
        if not (isinstance(report, Completed) or child.step.children):
            return report
        try:
            self._branch.adopt(child.branch)
        except ContextError as error:
            failure = context_failure(error, step=child.place.path, attempt=child.attempt)
            return Failed(report.child, _failed_with(report.result, failure))
        return report

    def _conclude(self, child: Child, report: Report) -> tuple[StepResult, Span]:
        result = report.result
        if child.retried:
            self._note_attempt(child, report)
            result = attrs.evolve(result, step_history=child.history + result.step_history)
        span = self._span(child, report, result)
        del self._children[report.child]
        self.history.append(result)
        environment = self._environment
        environment.spans.append(span)
        if environment.watchers:
            environment.publish(StepEnded(child.place.path, span.span_id, span.status, result))
        return result, span

    def _span(self, child: Child, report: Report, result: StepResult) -> Span:
        place, above, wall = child.place, self._place, self._environment.clock.wall
        attributes = {"path": place.path, "kind": child.step.kind, **child.attributes}
        if place.meter.used:
            attributes.update(usage_attributes(place.meter.total()))
        if result.failure is not None:
            attributes["failure"] = failure_attributes(result.failure)
        if child.retried:
            attributes["attempts"] = [attempt.to_dict() for attempt in child.retried]
        return Span(
            place.span_id,
            None if above is None else above.span_id,
            ROOT_SPAN_NAME if above is None else child.name,
            wall(place.started_at),
            wall(place.started_at + result.latency_s),
            _STATUS[type(report)],
            attributes,
        )

    async def _record_when_there_is_room(self, sink: SpanSink, span: Span) -> None:
        try:
            await sink.record(self._environment.run_id, span)
        except trio.Cancelled:
            sink.record_reserved(self._environment.run_id, span)
            raise


def _because_of(child: Child, report: Failed, error: Exception) -> Failed:
    """The report, with what the user's `retry_if` raised as a cause of its failure."""
    cause = agent_failure(error, step=f"{child.place.path} (retry_if)", attempt=child.attempt)
    failure = report.result.failure
    return (
        report
        if failure is None
        else Failed(report.child, _failed_with(report.result, attrs.evolve(failure, cause=cause)))
    )


def _failed_with(result: StepResult, failure: Failure) -> StepResult:
    return attrs.evolve(result, success=False, output=None, failure=failure, feedback=failure.feedback)
