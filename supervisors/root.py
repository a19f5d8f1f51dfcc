"""The supervisor above all others of a run: runs the pipeline's own actor, in the task of whoever called `run`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import attrs
import trio

from flujo_actors.context import ContextBranch
from flujo_actors.events import StepStarted
from flujo_actors.failures import Failure, FailureDomain, cancelled_failure, usage_limit_failure
from flujo_actors.mailbox import Mailbox
from flujo_actors.messages import Cancelled, Failed, Report
from flujo_actors.nurseries import open_inner_nursery
from flujo_actors.results import StepResult
from flujo_actors.snapshots import ActorSnapshot
from flujo_actors.steps import AnyStep
from flujo_actors.steps.pipeline import distinct_names, join_path
from flujo_actors.supervisors.children import Children
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.supervisors.leaf import LeafActor
from flujo_actors.supervisors.place import Place
from flujo_actors.supervisors.recording import failed_with, span_of
from flujo_actors.supervisors.spawning import Spawner
from flujo_actors.supervisors.step_actor import StepActor
from flujo_actors.supervisors.walking import cancel_part, snapshot_of
from flujo_actors.usage import RunMeter, UsageMeter


class RootSupervisor:
    """Has one child, the actor of the whole pipeline, and applies the pipeline's own retry and timeout to it.

    Of a run that an agent of another run has started, it hangs the child below that agent: in the trace, in paths, in
    what is spent, and in what is cancelled together.
    """

    __slots__ = (
        "_branch",
        "_cancel_reason",
        "_children",
        "_environment",
        "_failure",
        "_inside",
        "_name",
        "_reports",
        "beginning",
        "meter",
        "step_name",
    )

    def __init__(
        self, environment: RunEnvironment, branch: ContextBranch, step: AnyStep, inside: LeafActor | None
    ) -> None:
        self._environment = environment
        self._branch = branch
        self._inside = inside
        self.step_name = step.name
        """What the pipeline is called; several runs of one agent may have it in common."""
        self._name = "" if inside is None else _name_inside(inside, step)
        self._reports: Mailbox[Report] = Mailbox("root", 1)
        self._children: Children | None = None
        self._cancel_reason: str | None = None
        self._failure: Failure | None = None
        self.beginning = trio.CancelScope()
        """What the run is done in, its resources included. Cancelled with the run as long as that has not begun."""
        environment.on_breach = self.cancel
        limits = environment.settings.usage_limits
        watch = None if limits is None else environment.watch(limits)
        self.meter = UsageMeter(inside.place.meter, watch) if inside else RunMeter(watch, _call_soon_here())
        """Counts what the whole run spends."""
        if inside is not None:
            inside.runs += (self,)

    async def run(self, step: AnyStep, data: Any) -> StepResult:
        """Run the pipeline to its end.

        A checkpoint. Cancelled, the whole run is. `conclude`, or `end_early`, then records every actor's span.
        """
        async with open_inner_nursery() as nursery:
            self._children = Children(
                Spawner(
                    nursery,
                    branch=self._branch,
                    environment=self._environment,
                    meter=self.meter,
                    reports=self._reports,
                    supervisor=self._inside,
                ),
                keeps_failed_writes=True,
            )
            self._children.spawn(self._name, step, data)
            if self._cancel_reason is not None:
                self._children.cancel_all(self._cancel_reason)
            settled = await self._children.next_settled()
            return await self._children.settle(settled, self._judged(self._children.adopt(settled)))

    def end_early(self, step: AnyStep, failure: Failure | None = None) -> StepResult:
        """The result of a run that could not begin, or not go on; its span says so too.

        Args:
            step: the pipeline.
            failure: why; `None` when the run was cancelled.
        """
        if self._children is None:
            return self._refuse(step, failure)
        self._failure = self._failure or failure
        self._children.settle_abandoned(self._judged)
        return self._children.history[-1]

    def conclude(self) -> None:
        """Record what was cancelled with the program around the run. To be called once, when the run is over."""
        if self._children is not None:
            self._children.settle_abandoned()
        self._environment.on_breach = None
        if self._inside is not None:
            self._inside.environment.spans.extend(self._environment.spans)

    def _refuse(self, step: AnyStep, failure: Failure | None) -> StepResult:
        environment, inside = self._environment, self._inside
        above, parent_span_id = ("", None) if inside is None else (inside.place.path, inside.place.span_id)
        path, span_id, now = join_path(above, self._name), environment.next_span_id(), environment.clock.now()
        place = Place(self._name, path, span_id, parent_span_id, now, self.meter, self._reports, inside, {})
        environment.publish(StepStarted, place, parent_span_id, step.kind, step.name, now=now)
        kind, failure = self._why_not_begun(failure)
        result = StepResult(step.name, success=False, attempts=0, feedback=failure.feedback, failure=failure)
        span = span_of(step.kind, place, kind(span_id, result), None, environment)
        environment.spans.append(span)
        environment.publish_end(place, span.status, result)
        if environment.sink is not None:
            environment.sink.record_reserved(environment.run_id, span)
        return result

    def _why_not_begun(self, failure: Failure | None) -> tuple[type[Failed | Cancelled], Failure]:
        """Why the run could not begin. What a resource raised while it was being stopped is only a cause."""
        failure = self._failure or failure
        if self._failure is None and self._cancel_reason is not None:
            return Cancelled, cancelled_failure(self._cancel_reason, step="", attempt=0, running=(), cause=failure)
        assert failure is not None, "a run that was not cancelled has failed"  # noqa: S101 - an invariant
        return Failed, failure

    def cancel(self, reason: str) -> None:
        """Cancel the run, begun or not. It ends with a result that says so."""
        self._cancel_reason = self._cancel_reason or reason
        if self._children is None:
            self.beginning.cancel(reason)
        else:
            self._children.cancel_all(reason)

    def cancel_part(self, path_or_span_id: str, reason: str) -> bool:
        """Cancel the part of the run that a path or span id names. Says whether anything was running there."""
        return cancel_part(self.actors, path_or_span_id, reason)

    def snapshot(self) -> ActorSnapshot | None:
        """The actors as they are now; `None` when the run has not begun, or has ended."""
        now = self._environment.clock.now()
        return next((snapshot_of(actor, now) for actor in self.actors), None)

    @property
    def actors(self) -> Iterable[StepActor[Any]]:
        """The pipeline's actor, and its fallback's, while they are alive."""
        return () if self._children is None else self._children.actors

    @property
    def history(self) -> Iterable[StepResult]:
        """The pipeline's result, once it has ended."""
        return () if self._children is None else self._children.history

    @property
    def stopped(self) -> Sequence[str]:
        """The paths of the leaves that were cancelled with the run."""
        return () if self._children is None else self._children.stopped

    def fail(self, failure: Failure) -> None:
        """Cancel the run, which then ends as failed for this reason, unless it is being cancelled already.

        What it has made until then stays its result; so does a failure of its own.
        """
        if self._cancel_reason is None:
            self._failure = failure
            self.cancel(failure.feedback)

    def _judged(self, report: Report) -> Report:
        """The report; when a usage limit was breached that is what the run failed of, whatever else became of it."""
        breach, result, own = self._environment.breach, report.result, report.result.failure
        running = own.running if own else ()
        if breach is not None:
            failure, output = usage_limit_failure(breach, running=running), None
        elif self._failure is not None and (own is None or own.domain is FailureDomain.CANCELLED):
            failure, output = attrs.evolve(self._failure, running=running), result.output
        else:
            return report
        return Failed(report.child, failed_with(result, failure, output))

    @property
    def branch(self) -> ContextBranch:
        """The context as the run has left it so far."""
        return self._branch


def _call_soon_here() -> Callable[..., None]:
    """Calls a function in the loop that runs now, from any thread; once that has ended, nobody is left to be told."""
    token = trio.lowlevel.current_trio_token()

    def call_soon(function: Callable[..., None], *arguments: Any) -> None:
        with suppress(trio.RunFinishedError):
            token.run_sync_soon(function, *arguments)

    return call_soon


def _name_inside(agent: LeafActor, step: AnyStep) -> str:
    """What tells a run from the others that the same agent has started, and from the agent's fallback."""
    before = [run.step_name for run in agent.runs]
    *_, name = distinct_names((agent.step.fallback_name, *before, step.name))
    return name
