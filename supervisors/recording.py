"""Turning what an actor reported into the span and the result that are kept of it. Pure functions but for `Retries`."""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs

from flujo_actors.clock import RunClock
from flujo_actors.failures import Failure, FailureDomain
from flujo_actors.messages import Report
from flujo_actors.results import StepResult
from flujo_actors.spans import ROOT_SPAN_NAME, Attempt, Span, failure_attributes, usage_attributes
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.supervisors.place import Place
from flujo_actors.supervisors.step_actor import StepActor
from flujo_actors.usage import Usage


@attrs.define(eq=False)
class Retries:
    """The attempts of a child that is tried more than once."""

    history: deque[StepResult]
    """The results of their children, and of the fallback, as far as they are kept."""
    attempts: list[Attempt] = attrs.Factory(list[Attempt])
    """Those that have ended."""
    usage: Usage = attrs.field(factory=Usage)
    """What they spent."""
    next_starts_at: float | None = None
    """When the attempt after them began or begins, on trio's clock."""
    failures: list[Failure] = attrs.Factory(list[Failure])
    """How those that failed did, each domain's last one."""
    feedback: str | None = None
    """What a plugin said of one of them last."""
    fell_back: bool = False
    """Whether the step has failed for good, and its fallback runs or ran."""

    def add(self, actor: StepActor[Any], report: Report, clock: RunClock) -> None:
        """Note how one more attempt ended, if it had begun at all."""
        if not actor.has_begun:
            return
        place, result, total = actor.place, report.result, actor.place.meter.total()
        began = place.started_at if self.next_starts_at is None else self.next_starts_at
        ended = max(began, place.started_at + result.latency_s)
        self.attempts.append(
            Attempt(
                number=actor.attempt,
                start_time=clock.wall(began),
                end_time=clock.wall(ended),
                status=report.status,
                usage=total - self.usage,
                failure=result.failure,
            )
        )
        self.history.extend(result.step_history)
        self.usage = total
        if result.failure is not None:
            self._note(result.failure)

    def _note(self, failure: Failure) -> None:
        self.failures = [each for each in self.failures if each.domain is not failure.domain]
        self.failures.append(failure)
        if failure.domain is FailureDomain.PLUGIN:
            self.feedback = failure.message


def failed_with(result: StepResult, failure: Failure, output: Any = None) -> StepResult:
    """A result that has become a failure, with the figures that it had; `output` is what is kept of one."""
    return attrs.evolve(result, success=False, output=output, failure=failure, feedback=failure.feedback)


def span_of(kind: str, place: Place, report: Report, retries: Retries | None, environment: RunEnvironment) -> Span:
    """The span of a child that has settled."""
    result, meter, clock, capture = report.result, place.meter, environment.clock, environment.capture
    attributes: dict[str, Any] = {"path": place.path, "kind": kind}
    if capture is not None:
        attributes["input"] = place.input
        if result.success or result.output is not None:
            attributes["output"] = capture.show(result.output)
        if place.written:
            attributes["writes"] = list(place.written)
    if place.attributes:
        attributes.update(place.attributes)
    if meter.total_tokens or meter.exact_cost_usd:
        attributes.update(usage_attributes(meter.total()))
    if result.metadata:
        metadata = dict(result.metadata)
        attributes["metadata"] = metadata if capture is None else capture.show(metadata)
    if result.failure is not None:
        attributes["failure"] = failure_attributes(result.failure)
    if retries is not None:
        attributes["attempts"] = [attempt.to_dict() for attempt in retries.attempts]
    return Span(
        place.span_id,
        place.parent_span_id,
        ROOT_SPAN_NAME if place.parent_span_id is None else place.name,
        # Rounded once each, from readings of one clock, so that what lies inside does not stick out.
        place.started_at + clock.wall_offset,
        place.started_at + result.latency_s + clock.wall_offset,
        report.status,
        attributes,
    )
