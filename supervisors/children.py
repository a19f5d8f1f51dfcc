"""The children of one supervisor: spawned, awaited, tried again, and recorded when they have ended for good.

A supervising actor and the root of a run both keep their children in a `Children`. It applies the child's own
policy, retry and time; what a settled child means for the supervisor is the supervisor's business.

Children run in one of two ways, which one supervisor does not mix. `run` is for one after another: each is alone in
the nursery, so it borrows the nursery's cancel scope for its own, and to cancel it is to end the supervisor's waiting
too (`Supervisor.perform` goes on from there). `spawn`, `next_settled` and `settle` are for children side by side: each
has a cancel scope of its own. Why it is done: docs/explanation/cancellation.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs
import trio

from flujo_actors.context import ContextBranch, Origin
from flujo_actors.errors import ContextError, MergeConflictError
from flujo_actors.events import AttemptFailed, StepFellBack, StepRetried, StepStarted
from flujo_actors.failures import (
    Failure,
    after_attempts,
    agent_failure,
    cancelled_failure,
    context_failure,
    with_last_cause,
)
from flujo_actors.mailbox import Mailbox
from flujo_actors.messages import Cancelled, Completed, Failed, Report, Start
from flujo_actors.results import StepResult
from flujo_actors.spans import Span, SpanSink
from flujo_actors.steps import AnyStep
from flujo_actors.steps.pipeline import join_path
from flujo_actors.supervisors.decisions import attempt_limit, retry_delay
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.supervisors.fallback import fallback_for, in_stead_of
from flujo_actors.supervisors.place import Place
from flujo_actors.supervisors.recording import Retries, span_of
from flujo_actors.supervisors.step_actor import StepActor
from flujo_actors.usage import UsageMeter

WRITTEN_SHOWN: Final = 50
"""Paths of a context that a span names, of those at which its step wrote."""

REPORTS_AT_ONCE: Final = 32
"""Reports taken before other tasks get their turn: together well under a millisecond."""

Contribution: TypeAlias = tuple[str, ContextBranch, Origin | None]
"""What a child gives to a merge: a name, its branch of the context, and who wrote there."""

NO_ATTRIBUTES: Final[Mapping[str, Any]] = MappingProxyType({})


@attrs.define(eq=False)
class Settled:
    """A child that has ended for good."""

    actor: StepActor[Any]
    """Its last attempt's."""
    report: Report
    """How it ended, its fallback included."""
    writer: StepActor[Any]
    """Who wrote what is to be taken into the context: the same, or the actor of its fallback."""


class Children:
    """The children of one supervisor. It may spawn while its nursery is open."""

    __slots__ = (
        "_actors",
        "_branch",
        "_concurrent",
        "_environment",
        "_fallbacks",
        "_keeps_failed_writes",
        "_meter",
        "_nursery",
        "_reports",
        "_retries",
        "_supervisor",
        "_taken",
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
        keeps_failed_writes: bool,
    ) -> None:
        """Supervise no children yet.

        Args:
            nursery: where the children's tasks run.
            branch: the supervisor's branch of the context; the children's are forked from it.
            environment: the run's.
            meter: the supervisor's; what the children charge is counted there too.
            reports: the supervisor's mailbox.
            supervisor: the supervising actor; `None` for the root of a run, whose child has no path.
            keeps_failed_writes: whether what a composite child accepted stays in the context when it fails after all.
        """
        self._nursery = nursery
        self._branch = branch
        self._environment = environment
        self._meter = meter
        self._reports = reports
        self._supervisor = supervisor
        self._keeps_failed_writes = keeps_failed_writes
        self._actors: dict[str, StepActor[Any]] = {}
        self._retries: dict[str, Retries] = {}
        self._fallbacks: dict[str, tuple[StepActor[Any], Failed]] = {}
        self._concurrent = False
        self._taken = 0
        self.history: deque[StepResult] = deque(maxlen=environment.settings.keep_results)
        """The results of the settled children that are kept, in the order in which they settled."""
        self.stopped: list[str] = []
        """The paths of the leaves that were cancelled with the supervisor."""
        self.cancel_reason: str | None = None
        """Why a child that ran alone was cancelled, once `settle_abandoned` has found that it was."""

    async def run(
        self,
        name: str,
        step: AnyStep,
        data: Any,
        attributes: Mapping[str, Any] = NO_ATTRIBUTES,
        *,
        number: int | None = None,
        own_scope: bool = False,
    ) -> StepResult:
        """Run one child to its end, while no other is running, and take what it may leave into the branch.

        A checkpoint. Cancelled, the child is being cancelled too; `settle_abandoned` records it then. The other
        way round, cancelling the child cancels this call: being alone, it shares the nursery's cancel scope, unless
        it is given one of its own.

        Args:
            name: the child's name among its siblings.
            step: what it does.
            data: its input.
            attributes: what its span says besides the usual.
            number: which of several rounds of the supervisor this is, from 1: the `3` in the path `grow[3]/double`.
            own_scope: whether the supervisor goes on when the child is cancelled.
        """
        self.spawn(name, step, data, attributes, number=number, alone=True, own_scope=own_scope)
        while True:
            settled = await self.next_settled()
            report = self.adopt(settled)
            # A step whose writes cannot be kept has failed for good.
            if type(report) is not Failed or settled.actor.cancel_reason is not None:
                break
            fallback = self._fallback_of(settled.actor, report)
            if fallback is None:
                break
            self._fall_back(fallback, settled.actor, report)
        settled.writer.message.branch.release()
        result, span = self._conclude(settled.actor, report)
        self.history.append(result)
        if self._environment.sink is not None:
            await self._store(self._environment.sink, span)
        return result

    def spawn(
        self,
        name: str,
        step: AnyStep,
        data: Any,
        attributes: Mapping[str, Any] = NO_ATTRIBUTES,
        *,
        number: int | None = None,
        alone: bool = False,
        own_scope: bool = False,
        shown: Any = None,
    ) -> StepActor[Any]:
        """Start a child. `next_settled` tells when it has ended, `settle` records that.

        Args:
            name: the child's name among its siblings.
            step: what it does.
            data: its input.
            attributes: what its span says besides the usual.
            number: which of several rounds of the supervisor this is, from 1.
            alone: whether nothing but it, and who waits for it, runs in the nursery, so that they may share a scope.
            own_scope: whether it has a scope of its own even so.
            shown: what spans show of its input, where that is known already (`show`).

        Returns:
            The actor of its first attempt.
        """
        above = self._supervisor
        if alone and self._actors:
            raise RuntimeError("`run` is for one child after another; use `spawn` while others are running")
        if not alone:
            self._concurrent = True
        if above is None:
            path, parent_span_id = "", None
        else:
            inside = above.place.path if number is None else f"{above.place.path}[{number}]"
            path, parent_span_id = join_path(inside, name), above.place.span_id
        place = self._place(name, path, parent_span_id, step, self._meter, attributes=attributes)
        if self._environment.capture is not None:
            place.input = self.show(data) if shown is None else shown
        unlimited = step.timeout is None and step.retry.total_timeout is None
        limit = None if unlimited else attempt_limit(step.retry, step.timeout, elapsed=0.0)
        # A child whose time is limited may be followed by another attempt, so its scope has to be its own.
        scope = self._nursery.cancel_scope if alone and limit is None and not own_scope else None
        return self._start(step, place, Start(data, self._branch.fork(), 1, 0.0, limit), scope)

    def show(self, value: Any) -> Any:
        """What spans show of a value; `None` where they show none."""
        capture = self._environment.capture
        return None if capture is None else capture.show(value)

    async def next_settled(self) -> Settled:
        """Wait until a child has ended for good. Tries again, and falls back, as the child's policies say.

        A checkpoint, but for reports that are waiting already: of those, each 32nd time. Cancelled, no report is lost.
        """
        while True:
            there = self._concurrent and self._has_report()
            report: Report = self._reports.get_nowait() if there else await self._reports.get()
            actor = self._actors[report.child]
            if type(report) is not Failed:
                return self._settled(actor, self._in_full(actor, report))
            self._environment.publish(AttemptFailed, actor.place, actor.attempt, report.result.failure)
            report, delay = self._retry_delay(actor, report)
            if delay is not None and actor.cancel_reason is None:
                self._retry(actor, report, delay)
                continue
            report = Failed(report.child, self._after_attempts(report))
            fallback = self._fallback_of(actor, report)
            if actor.cancel_reason is not None and (delay is not None or fallback is not None):
                return self._settled(actor, _cancelled_after(actor, report, actor.cancel_reason))
            if fallback is None:
                return self._settled(actor, report)
            self._fall_back(fallback, actor, report)

    @property
    def actors(self) -> Iterable[StepActor[Any]]:
        """The latest actor of each child that has not settled; that of a fallback besides that of its step."""
        return self._actors.values()

    @property
    def running_now(self) -> bool:
        """Whether any child has not settled."""
        return bool(self._actors)

    async def settle(self, settled: Settled, report: Report | None = None) -> StepResult:
        """Record that a child has ended for good: its result, its span.

        A checkpoint only while the storage has no room for the span. Cancelled then, the span is stored anyway.

        Args:
            settled: the child.
            report: what its report has become since, when its supervisor had to change it.
        """
        result, span = self._conclude(settled.actor, report or settled.report)
        self.history.append(result)
        if self._environment.sink is not None:
            await self._store(self._environment.sink, span)
        return result

    def settle_abandoned(self, judge: Callable[[Report], Report] | None = None) -> None:
        """Record the children that were cancelled with their supervisor, from the reports that they left.

        What a child that ran alone may leave goes into the branch, as it does in `run`. Whether that of children that
        ran side by side does is their supervisor's business, which can no longer say.

        Args:
            judge: says what a report has become since, when the supervisor may have to change it.
        """
        for report in self._reports.drain():
            actor = self._actors.get(report.child)
            if actor is None:
                continue
            self.cancel_reason = actor.cancel_reason
            settled = self._settled(actor, self._in_full(actor, report))
            kept = settled.report if self._concurrent else self.adopt(settled)
            settled.writer.message.branch.release()
            result = self._conclude_unhurried(settled.actor, kept if judge is None else judge(kept))
            self.history.append(result)
            if type(report) is Cancelled and result.failure is not None:
                self.stopped.extend(result.failure.running)

    def cancel_all(self, reason: str) -> None:
        """Cancel every child that is running; each will report."""
        for actor in self._actors.values():
            actor.cancel(reason)

    def _has_report(self) -> bool:
        """Whether to take a report that is there already. Where many come at once, to wait for each costs too much."""
        self._taken = (self._taken + 1) % REPORTS_AT_ONCE
        return bool(self._taken and self._reports)

    def _place(
        self,
        name: str,
        path: str,
        parent_span_id: str | None,
        step: AnyStep,
        meter: UsageMeter,
        *,
        attributes: Mapping[str, Any],
    ) -> Place:
        environment = self._environment
        place = Place(
            name,
            path,
            environment.next_span_id(),
            parent_span_id,
            environment.clock.now(),
            UsageMeter(meter, None if step.usage_limits is None else environment.watch(step.usage_limits)),
            self._reports,
            self._supervisor,
            attributes,
        )
        if environment.watchers:
            environment.publish(
                StepStarted, place, parent_span_id, step.kind, step.name, attributes, now=place.started_at
            )
        return place

    def _start(self, step: AnyStep, place: Place, message: Start, scope: trio.CancelScope | None) -> StepActor[Any]:
        environment = self._environment
        actor: StepActor[Any] = environment.actors.actor_for(step)(step, place, environment, message, scope)
        self._actors[place.span_id] = actor
        self._nursery.start_soon(actor.run, name=place.path)
        return actor

    def _retry_delay(self, actor: StepActor[Any], report: Failed) -> tuple[Failed, float | None]:
        """The report, and seconds until the next attempt, `None` for no further one."""
        failure, attempts, policy = report.result.failure, actor.attempt, actor.step.retry
        if failure is None:
            return report, None
        environment = self._environment
        elapsed, sample = environment.clock.now() - actor.place.started_at, environment.random.random()
        try:
            delay = retry_delay(policy, failure, attempts=attempts, elapsed=elapsed, sample=sample)
        except Exception as error:  # noqa: BLE001 - the user's `retry_if` raised: that is no yes
            return _because_of(report, error), None
        return report, delay

    def _in_full(self, actor: StepActor[Any], report: Report) -> Report:
        """The report; of a step that was cancelled in an attempt, with what is to be known of those before."""
        if type(report) is Cancelled and actor.has_begun:
            return Cancelled(report.child, self._after_attempts(report))
        return report

    def _after_attempts(self, report: Report) -> StepResult:
        """The result of a last attempt, with what is to be known of those before."""
        retries, result = self._retries.get(report.child), report.result
        if result.failure is None or retries is None or not retries.failures:
            return result
        return attrs.evolve(result, failure=after_attempts(result.failure, retries.failures))

    def _retry(self, failed: StepActor[Any], report: Failed, delay: float) -> None:
        environment, place, step, message = self._environment, failed.place, failed.step, failed.message
        environment.publish(StepRetried, place, failed.attempt + 1, delay, report.result.failure)
        retries = self._retries_of(place)
        retries.add(failed, report, environment.clock)
        retries.next_starts_at = environment.clock.now() + delay
        limit = attempt_limit(step.retry, step.timeout, elapsed=retries.next_starts_at - place.started_at)
        message.branch.release()
        again = Start(
            message.data,
            self._branch.fork(),
            failed.attempt + 1,
            delay,
            limit,
            tried=report.result.attempts,
            feedback=retries.feedback,
        )
        self._start(step, place, again, self._scope_like(failed))

    def _retries_of(self, place: Place) -> Retries:
        retries = self._retries.get(place.span_id)
        if retries is None:
            retries = self._retries[place.span_id] = Retries(deque(maxlen=self._environment.settings.keep_results))
        return retries

    def _fallback_of(self, actor: StepActor[Any], report: Failed) -> AnyStep | None:
        """What is to run in the stead of a step that has failed for good, if anything is."""
        retries = self._retries.get(report.child)
        if retries is not None and retries.fell_back:
            return None
        return fallback_for(actor.step, report.result.failure)

    def _fall_back(self, fallback: AnyStep, failed: StepActor[Any], report: Failed) -> None:
        """Start the fallback in a span inside the step's."""
        above, name = failed.place, failed.step.fallback_name
        path = join_path(above.path, name)
        failed.message.branch.release()
        self._environment.publish(StepFellBack, above, path, report.result.failure)
        place = self._place(name, path, above.span_id, fallback, above.meter, attributes=NO_ATTRIBUTES)
        place.input = above.input
        self._fallbacks[place.span_id] = (failed, report)
        retries = self._retries_of(above)
        retries.add(failed, report, self._environment.clock)
        retries.fell_back = True
        limit = attempt_limit(fallback.retry, fallback.timeout, elapsed=0.0)
        scope = self._scope_like(failed) if limit is None else None
        self._start(fallback, place, Start(failed.message.data, self._branch.fork(), 1, 0.0, limit), scope)

    def _scope_like(self, actor: StepActor[Any]) -> trio.CancelScope | None:
        """The scope for who comes after an actor: the nursery's, if that one was alone with it."""
        return None if actor.owns_scope else self._nursery.cancel_scope

    def _settled(self, actor: StepActor[Any], report: Report) -> Settled:
        """The child that has ended; for a fallback, the step that it stood in for."""
        writer = actor
        if self._environment.capture is not None and type(report) is Completed:
            _note_written(actor)
        while self._fallbacks and report.child in self._fallbacks:
            primary, failed = self._fallbacks.pop(report.child)
            result = self._conclude_unhurried(actor, report)
            combined = in_stead_of(primary.place, failed, actor.place, report, result)
            self._retries[failed.child].history.append(result)
            actor, report = primary, combined
        return Settled(actor, report, writer)

    def adopt(self, settled: Settled) -> Report:
        """Take a child's writes into the branch: all of a success, what a failed composite had accepted.

        Returns:
            The child's report; a failure, when the writes of a success cannot be kept.
        """
        actor, report, writer = settled.actor, settled.report, settled.writer
        if type(report) is not Completed and not (self._keeps_failed_writes and writer.step.children):
            return report
        try:
            self._branch.adopt(writer.message.branch, self.origin(settled))
        except (ContextError, MergeConflictError) as error:
            failure = context_failure(error, step=actor.place.path, attempt=actor.attempt)
            return Failed(report.child, _failed_with(report.result, failure))
        return report

    def contribution(self, name: str, settled: Settled) -> Contribution:
        """What a child gives to a merge of what children wrote side by side (`Supervisor.merge`).

        Args:
            name: what merge functions and conflicts call it.
            settled: the child.
        """
        return name, settled.writer.message.branch, self.origin(settled)

    def origin(self, settled: Settled) -> Origin | None:
        """Who wrote what a child leaves in the context, for blame; `None` in a run without one."""
        if not self._branch.keeps_writes:
            return None
        writer, about = settled.writer, settled.actor.place.attributes
        run_id, path = self._environment.run_id, writer.place.path
        return Origin(run_id, path, about.get("iteration"), about.get("branch"), writer.attempt)

    def _conclude(self, actor: StepActor[Any], report: Report) -> tuple[StepResult, Span]:
        environment, result = self._environment, report.result
        retries = self._retries.pop(report.child, None) if self._retries else None
        if retries is not None:
            if not retries.fell_back:
                retries.add(actor, report, environment.clock)
            result = attrs.evolve(result, step_history=tuple(retries.history))
        span = span_of(actor.step.kind, actor.place, report, retries, environment)
        del self._actors[report.child]
        if type(report) is not Completed:
            actor.message.branch.release()
        environment.spans.append(span)
        if environment.watchers:
            environment.publish_end(actor.place, span.status, result)
        return result, span

    def _conclude_unhurried(self, actor: StepActor[Any], report: Report) -> StepResult:
        """Conclude where nothing can wait: the span goes into the place that each actor has reserved."""
        result, span = self._conclude(actor, report)
        if self._environment.sink is not None:
            self._environment.sink.record_reserved(self._environment.run_id, span)
        return result

    async def _store(self, sink: SpanSink, span: Span) -> None:
        """Send a span to storage. A checkpoint only while there is no room; cancelled then, it is sent anyway."""
        run_id = self._environment.run_id
        try:
            sink.record_nowait(run_id, span)
        except trio.WouldBlock:
            try:
                await sink.record(run_id, span)
            except trio.Cancelled:
                sink.record_reserved(run_id, span)
                raise


def _note_written(actor: StepActor[Any]) -> None:
    """Note where an agent wrote into its context. A composite's writes are its children's."""
    if not actor.step.children and actor.message.branch.is_touched:
        with suppress(ContextError):  # it will be the step's failure in a moment
            actor.place.written = actor.message.branch.written(WRITTEN_SHOWN)


def _cancelled_after(actor: StepActor[Any], report: Failed, reason: str) -> Cancelled:
    """The report of a step that was cancelled when an attempt had failed and something was to come after it."""
    failure = cancelled_failure(
        reason, step=actor.place.path, attempt=actor.attempt, running=(), cause=report.result.failure
    )
    return Cancelled(report.child, _failed_with(report.result, failure))


def _because_of(report: Failed, error: Exception) -> Failed:
    """The report, with what the user's `retry_if` raised as a cause of its failure."""
    failure = report.result.failure
    if failure is None:
        return report
    cause = agent_failure(error, step=f"{failure.step} (retry_if)", attempt=failure.attempt)
    return Failed(report.child, _failed_with(report.result, with_last_cause(failure, cause)))


def _failed_with(result: StepResult, failure: Failure) -> StepResult:
    return attrs.evolve(result, success=False, output=None, failure=failure, feedback=failure.feedback)
