"""The children of one supervisor: spawned, awaited, tried again, and recorded when they have ended for good.

A supervising actor and the root of a run both keep their children in a `Children`. It applies the child's own
policy, retry and time; what a settled child means for the supervisor is the supervisor's business.

Children run in one of two ways, which one supervisor does not mix. `run` is for one after another: each is alone in
the nursery, so it borrows the nursery's cancel scope for its own, and to cancel it is to end the supervisor's waiting
too (`Supervisor.perform` goes on from there). `spawn`, `next_settled` and `settle` are for children side by side: each
has a cancel scope of its own. Why it is done: docs/explanation/cancellation.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs
import trio

from flujo_actors.context import ContextBranch, Origin
from flujo_actors.errors import ContextError, MergeConflictError
from flujo_actors.events import AttemptFailed, StepEnded, StepStarted
from flujo_actors.failures import Failure, agent_failure, context_failure
from flujo_actors.mailbox import Mailbox
from flujo_actors.messages import Cancelled, Completed, Failed, Report, Start
from flujo_actors.results import StepResult
from flujo_actors.spans import Span, SpanSink
from flujo_actors.steps import AnyStep
from flujo_actors.steps.pipeline import join_path
from flujo_actors.supervisors.decisions import attempt_limit, retry_delay
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.supervisors.recording import Retries, span_of
from flujo_actors.supervisors.step_actor import Place, StepActor
from flujo_actors.usage import UsageMeter

NO_ATTRIBUTES: Final[Mapping[str, Any]] = MappingProxyType({})


class Children:
    """The children of one supervisor. It may spawn while its nursery is open."""

    __slots__ = (
        "_actors",
        "_branch",
        "_concurrent",
        "_environment",
        "_meter",
        "_nursery",
        "_reports",
        "_retries",
        "_supervisor",
        "cancel_reason",
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
            supervisor: the supervising actor; `None` for the root of a run, whose child has no path.
        """
        self._nursery = nursery
        self._branch = branch
        self._environment = environment
        self._meter = meter
        self._reports = reports
        self._supervisor = supervisor
        self._actors: dict[str, StepActor[Any]] = {}
        self._retries: dict[str, Retries] = {}
        self._concurrent = False
        self.history: list[StepResult] = []
        """The results of the settled children, in the order in which they settled."""
        self.stopped: list[str] = []
        """The paths of the leaves that were cancelled with the supervisor."""
        self.cancel_reason: str | None = None
        """Why a child that ran alone was cancelled, once `settle_abandoned` has found that it was."""

    async def run(
        self, name: str, step: AnyStep, data: Any, attributes: Mapping[str, Any] = NO_ATTRIBUTES
    ) -> StepResult:
        """Run one child to its end, while no other is running, and take what it may leave into the branch.

        A checkpoint. Cancelled, the child is being cancelled too; `settle_abandoned` records it then. The other
        way round, cancelling the child cancels this call: being alone, it shares the nursery's cancel scope.

        Args:
            name: the child's name among its siblings.
            step: what it does.
            data: its input.
            attributes: what its span says besides the usual.
        """
        self.spawn(name, step, data, attributes, alone=True)
        actor, report = await self.next_settled()
        return await self.settle(actor, self.adopt(actor, report))

    def spawn(
        self,
        name: str,
        step: AnyStep,
        data: Any,
        attributes: Mapping[str, Any] = NO_ATTRIBUTES,
        *,
        alone: bool = False,
    ) -> StepActor[Any]:
        """Start a child. `next_settled` tells when it has ended, `settle` records that.

        Args:
            name: the child's name among its siblings.
            step: what it does.
            data: its input.
            attributes: what its span says besides the usual.
            alone: whether nothing but it, and who waits for it, runs in the nursery, so that they may share a scope.

        Returns:
            The actor of its first attempt.
        """
        environment, above = self._environment, self._supervisor
        if alone and self._actors:
            raise RuntimeError("`run` is for one child after another; use `spawn` while others are running")
        if not alone:
            self._concurrent = True
        place = Place(
            name,
            "" if above is None else join_path(above.place.path, name),
            environment.next_span_id(),
            environment.clock.now(),
            UsageMeter(self._meter),
            self._reports,
            above,
            attributes,
        )
        if environment.watchers:
            parent_span_id = None if above is None else above.place.span_id
            environment.publish(StepStarted(place.path, place.span_id, parent_span_id, step.kind))
        limit = attempt_limit(step.retry, step.timeout, elapsed=0.0)
        # A child whose time is limited may be followed by another attempt, so its scope has to be its own.
        scope = self._nursery.cancel_scope if alone and limit is None else None
        return self._start(step, place, Start(data, self._branch.fork(), 1, 0.0, limit), scope)

    async def next_settled(self) -> tuple[StepActor[Any], Report]:
        """Wait until a child has ended and will not be tried again. Tries again what its policy says.

        A checkpoint. Cancelled, no report is lost.

        Returns:
            The actor of the child's last attempt, and its report.
        """
        while True:
            report: Report = await self._reports.get()
            actor = self._actors[report.child]
            if type(report) is not Failed:
                return actor, report
            try:
                delay = self._retry_delay(actor, report)
            except Exception as error:  # noqa: BLE001 - the user's `retry_if` raised: that is no yes
                return actor, _because_of(report, error)
            if delay is None:
                return actor, report
            self._retry(actor, report, delay)

    async def settle(self, actor: StepActor[Any], report: Report) -> StepResult:
        """Record that a child has ended for good: its result, its span.

        A checkpoint only while the storage has no room for the span. Cancelled then, the span is stored anyway.
        """
        result, span = self._conclude(actor, report)
        sink = self._environment.sink
        if sink is not None:
            try:
                sink.record_nowait(self._environment.run_id, span)
            except trio.WouldBlock:
                await self._record_when_there_is_room(sink, span)
        return result

    def settle_abandoned(self) -> None:
        """Record the children that were cancelled with their supervisor, from the reports that they left.

        What a child that ran alone may leave goes into the branch, as it does in `run`. Whether that of children that
        ran side by side does is their supervisor's business, which can no longer say.
        """
        for report in self._reports.drain():
            actor = self._actors.get(report.child)
            if actor is None:
                continue
            self.cancel_reason = actor.cancel_reason
            result, span = self._conclude(actor, report if self._concurrent else self.adopt(actor, report))
            if type(report) is Cancelled and result.failure is not None:
                self.stopped.extend(result.failure.running)
            if self._environment.sink is not None:
                self._environment.sink.record_reserved(self._environment.run_id, span)

    def cancel_all(self, reason: str) -> None:
        """Cancel every child that is running; each will report."""
        for actor in self._actors.values():
            actor.cancel(reason)

    def _start(self, step: AnyStep, place: Place, message: Start, scope: trio.CancelScope | None) -> StepActor[Any]:
        environment = self._environment
        actor: StepActor[Any] = environment.actors.actor_for(step)(step, place, environment, message, scope)
        self._actors[place.span_id] = actor
        self._nursery.start_soon(actor.run, name=place.path)
        return actor

    def _retry_delay(self, actor: StepActor[Any], report: Failed) -> float | None:
        failure, attempts, policy = report.result.failure, actor.message.attempt, actor.step.retry
        if failure is None:
            return None
        environment = self._environment
        elapsed, sample = environment.clock.now() - actor.place.started_at, environment.random.random()
        delay = retry_delay(policy, failure, attempts=attempts, elapsed=elapsed, sample=sample)
        # The actor may have been cancelled when it had just stopped, also by the user's `retry_if`.
        return None if actor.cancel_reason is not None else delay

    def _retry(self, failed: StepActor[Any], report: Failed, delay: float) -> None:
        environment, place, step, message = self._environment, failed.place, failed.step, failed.message
        if environment.watchers and report.result.failure is not None:
            environment.publish(AttemptFailed(place.path, place.span_id, message.attempt, report.result.failure, delay))
        retries = self._retries.setdefault(place.span_id, Retries())
        retries.add(failed, report, environment.clock)
        retries.next_starts_at = environment.clock.now() + delay
        limit = attempt_limit(step.retry, step.timeout, elapsed=retries.next_starts_at - place.started_at)
        scope = None if failed.owns_scope else self._nursery.cancel_scope
        self._start(step, place, Start(message.data, self._branch.fork(), message.attempt + 1, delay, limit), scope)

    def adopt(self, actor: StepActor[Any], report: Report) -> Report:
        """Take the child's writes into the branch: all of a success, what a failed composite had accepted."""
        if type(report) is not Completed and not actor.step.children:
            return report
        try:
            self._branch.adopt(actor.message.branch, self._origin(actor))
        except (ContextError, MergeConflictError) as error:
            failure = context_failure(error, step=actor.place.path, attempt=actor.message.attempt)
            return Failed(report.child, _failed_with(report.result, failure))
        return report

    def _origin(self, actor: StepActor[Any]) -> Origin | None:
        """Who wrote what the actor leaves in the context, for blame."""
        if not self._branch.keeps_writes:
            return None
        attributes = actor.place.attributes
        return Origin(
            self._environment.run_id,
            actor.place.path,
            attributes.get("iteration"),
            attributes.get("branch"),
            actor.message.attempt,
        )

    def _conclude(self, actor: StepActor[Any], report: Report) -> tuple[StepResult, Span]:
        environment, result = self._environment, report.result
        retries = self._retries.pop(report.child, None) if self._retries else None
        if retries is not None:
            retries.add(actor, report, environment.clock)
            result = attrs.evolve(result, step_history=retries.history)
        actor.message.branch.release()
        span = span_of(actor.step.kind, actor.place, report, retries, environment.clock)
        del self._actors[report.child]
        self.history.append(result)
        environment.spans.append(span)
        if environment.watchers:
            environment.publish(StepEnded(actor.place.path, span.span_id, span.status, result))
        return result, span

    async def _record_when_there_is_room(self, sink: SpanSink, span: Span) -> None:
        try:
            await sink.record(self._environment.run_id, span)
        except trio.Cancelled:
            sink.record_reserved(self._environment.run_id, span)
            raise


def _because_of(report: Failed, error: Exception) -> Failed:
    """The report, with what the user's `retry_if` raised as a cause of its failure."""
    failure = report.result.failure
    if failure is None:
        return report
    cause = agent_failure(error, step=f"{failure.step} (retry_if)", attempt=failure.attempt)
    return Failed(report.child, _failed_with(report.result, attrs.evolve(failure, cause=cause)))


def _failed_with(result: StepResult, failure: Failure) -> StepResult:
    return attrs.evolve(result, success=False, output=None, failure=failure, feedback=failure.feedback)
