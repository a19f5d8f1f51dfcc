"""The children of one supervisor: spawned, awaited, and recorded when they have ended for good.

A supervising actor and the root of a run both keep their children in a `Children`. How actors come to be is in
`spawning.py`; what follows a failed attempt by the child's own policy, in `attempts.py`; what a settled child means
for the supervisor is the supervisor's business.

Children run in one of two ways, which one supervisor does not mix. `run` is for one after another: each is alone in
the nursery, so it borrows the nursery's cancel scope for its own, and to cancel it is to end the supervisor's waiting
too (`Supervisor.perform` goes on from there). `spawn`, `next_settled` and `settle` are for children side by side: each
has a cancel scope of its own. Why it is done: docs/explanation/cancellation.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final, TypeAlias

import attrs
import trio

from flujo_actors.context import ContextBranch, Origin
from flujo_actors.errors import ContextError, MergeConflictError
from flujo_actors.failures import (
    context_failure,
)
from flujo_actors.messages import Cancelled, Completed, Failed, Report
from flujo_actors.results import StepResult
from flujo_actors.spans import Span, SpanSink
from flujo_actors.steps import AnyStep
from flujo_actors.supervisors.attempts import Attempts
from flujo_actors.supervisors.fallback import in_stead_of
from flujo_actors.supervisors.recording import failed_with, span_of
from flujo_actors.supervisors.spawning import NO_ATTRIBUTES, Spawner
from flujo_actors.supervisors.step_actor import StepActor

WRITTEN_SHOWN: Final = 50
"""Paths of a context that a span names, of those at which its step wrote."""

REPORTS_AT_ONCE: Final = 32
"""Reports taken before other tasks get their turn: together well under a millisecond."""

Contribution: TypeAlias = tuple[str, ContextBranch, Origin | None]
"""What a child gives to a merge: a name, its branch of the context, and who wrote there."""


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
        "_attempts",
        "_branch",
        "_concurrent",
        "_environment",
        "_keeps_failed_writes",
        "_reports",
        "_spawner",
        "_taken",
        "cancel_reason",
        "history",
        "stopped",
    )

    def __init__(self, spawner: Spawner, *, keeps_failed_writes: bool) -> None:
        """Supervise no children yet.

        Args:
            spawner: starts their actors. Its branch is the supervisor's, its mailbox too.
            keeps_failed_writes: whether what a composite child accepted stays in the context when it fails after all.
        """
        self._spawner = spawner
        self._branch = spawner.branch
        self._environment = environment = spawner.environment
        self._reports = spawner.reports
        self._keeps_failed_writes = keeps_failed_writes
        self._actors = spawner.actors
        self._attempts = Attempts(spawner)
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
        if self._actors:
            raise RuntimeError("`run` is for one child after another; use `spawn` while others are running")
        shown = self.show(data)
        self._spawner.spawn(name, step, data, attributes, number=number, shares_scope=not own_scope, shown=shown)
        while True:
            settled = self._received(await self._reports.get())
            if settled is None:
                continue
            report = self.adopt(settled)
            # A step whose writes cannot be kept has failed for good.
            if type(report) is not Failed or not self._attempts.falls_back(settled.actor, report):
                break
        settled.writer.message.branch.release()
        # As in `settle`, which would be one more coroutine for every step.
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
        shown: Any = None,
    ) -> StepActor[Any]:
        """Start a child beside others. `next_settled` tells when it has ended, `settle` records that.

        Args:
            name: the child's name among its siblings.
            step: what it does.
            data: its input.
            attributes: what its span says besides the usual.
            number: which of several rounds of the supervisor this is, from 1.
            shown: what spans show of its input, where that is known already (`show`).

        Returns:
            The actor of its first attempt.
        """
        self._concurrent = True
        if shown is None:
            shown = self.show(data)
        return self._spawner.spawn(name, step, data, attributes, number=number, shares_scope=False, shown=shown)

    def show(self, value: Any) -> Any:
        """What spans show of a value; `None` where they show none."""
        capture = self._environment.capture
        return None if capture is None else capture.show(value)

    async def next_settled(self) -> Settled:
        """Wait until a child has ended for good. Tries again, and falls back, as the child's policies say.

        A checkpoint, but for reports that are waiting already: of those, each 32nd time. Cancelled, no report is lost.
        """
        while True:
            settled = self._received(self._reports.get_nowait() if self._has_report() else await self._reports.get())
            if settled is not None:
                return settled

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
            settled = self._settled(actor, self._attempts.in_full(actor, report))
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

    def _received(self, report: Report) -> Settled | None:
        """Follow what a report of an attempt leads to: the child that has settled with it, if it has."""
        actor = self._actors[report.child]
        if type(report) is Completed:
            return self._settled(actor, report)
        final = self._attempts.follow(actor, report)
        return None if final is None else self._settled(actor, final)

    def _settled(self, actor: StepActor[Any], report: Report) -> Settled:
        """The child that has ended; for a fallback, the step that it stood in for."""
        writer = actor
        if self._environment.capture is not None and type(report) is Completed:
            _note_written(actor)
        attempts = self._attempts
        while attempts.fallbacks and report.child in attempts.fallbacks:
            primary, failed = attempts.fallbacks.pop(report.child)
            result = self._conclude_unhurried(actor, report)
            combined = in_stead_of(primary.place, failed, actor.place, report, result)
            attempts.retries[failed.child].history.append(result)
            actor, report = primary, combined
        return Settled(actor, report, writer)

    def adopt(self, settled: Settled) -> Report:
        """Take a child's writes into the branch: all of a success, what a failed composite had accepted.

        Returns:
            The child's report; a failure, when the writes of a success cannot be kept.
        """
        actor, report, writer = settled.actor, settled.report, settled.writer
        if not self._branch.keeps_writes:
            return report
        if type(report) is not Completed and not (self._keeps_failed_writes and writer.step.children):
            return report
        try:
            self._branch.adopt(writer.message.branch, self.origin(settled))
        except (ContextError, MergeConflictError) as error:
            failure = context_failure(error, step=actor.place.path, attempt=actor.attempt)
            return Failed(report.child, failed_with(report.result, failure))
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
        environment, result, tried = self._environment, report.result, self._attempts.retries
        retries = tried.pop(report.child, None) if tried else None
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
