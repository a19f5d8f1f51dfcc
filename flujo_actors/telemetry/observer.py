"""An observer that emits a span of OpenTelemetry for every step, as it runs."""

from __future__ import annotations

import time
from typing import Final

import attrs
from opentelemetry import context, trace
from opentelemetry.trace import Span, Status, StatusCode, Tracer, TracerProvider

from flujo_actors._version import __version__
from flujo_actors.events import RunEvent, StepEnded, StepEvent, StepStarted, UsageCharged
from flujo_actors.observers import BegunRun, EndedRun, RunObserver
from flujo_actors.spans import SpanStatus
from flujo_actors.telemetry.attributes import (
    as_recorded,
    ending_attributes,
    exception_raised,
    nanoseconds,
    own_tokens,
    span_event,
    span_name,
    starting_attributes,
    text,
)
from flujo_actors.telemetry.ids import ProposedIds

_WORKING_STEP: Final = context.create_key("flujo_actors working step")
"""In the context of a step's code, our id of the step's span."""


class OpenTelemetryObserver:
    """Emits the spans of runs through OpenTelemetry: `open_system(observers=[OpenTelemetryObserver()])`.

    A run's spans hang under the span that is current where the run is started. While a step works, its span is the
    current one, so that what its agent's clients emit hangs under it. It holds the spans that are open, no others.
    """

    def __init__(self, tracer_provider: TracerProvider | None = None) -> None:
        """Make an observer for one system or several.

        Args:
            tracer_provider: whose spans they are; `None` for the global provider, also one that is set later. To flush
                it and shut it down is up to the host.
        """
        self._tracer = trace.get_tracer("flujo_actors", __version__, tracer_provider)

    def run_begins(self, run: BegunRun) -> RunObserver:
        """Watch the run, as part of the trace that is going on, if one is."""
        return RunSpans(self._tracer, run, context.get_current())


@attrs.define(eq=False)
class _OpenSpan:
    """A span that has not ended, and what its step's own agent has spent."""

    span: Span
    input_tokens: int = 0
    output_tokens: int = 0


@attrs.define(eq=False)
class RunSpans(RunObserver):
    """The spans of one run, by our ids, while they are open."""

    _tracer: Tracer
    _run: BegunRun
    _around: context.Context
    _open: dict[str, _OpenSpan] = attrs.Factory(dict[str, _OpenSpan])
    _root: tuple[_OpenSpan, StepEnded] | None = None
    """The run's own span, once its steps have ended: how the run has is certain only when it is stored."""

    def event(self, event: RunEvent) -> None:
        """Start a span, end it, or write down in it what happens in between."""
        match event:
            case StepStarted():
                self._open[event.span_id] = _OpenSpan(self._start(event))
            case StepEnded():
                self._step_ends(event)
            case UsageCharged():
                self._count(event)
            case StepEvent():
                self._add_event(event)
            case _:
                pass

    def attempt_begins(self, span_id: str, attempt: int) -> None:
        """Make the step's span the current one in its task, which ends with the attempt."""
        working = self._open.get(span_id)
        if working is not None:
            context.attach(context.set_value(_WORKING_STEP, span_id, trace.set_span_in_context(working.span)))

    def run_ends(self, run: EndedRun) -> None:
        """End the run's own span, and what never came to its end because the run broke."""
        while self._open:
            _, left = self._open.popitem()
            left.span.set_status(Status(StatusCode.ERROR, "the run broke before this step had ended"))
            left.span.end(nanoseconds(time.time()))
        if self._root is not None:
            root, event = self._root
            _end(root, as_recorded(event, run))

    def _start(self, event: StepStarted) -> Span:
        with ProposedIds(self._run.run_id, event.span_id):
            return self._tracer.start_span(
                span_name(event),
                self._context_for(event.parent_span_id),
                attributes=starting_attributes(self._run, event),
                start_time=nanoseconds(event.time),
            )

    def _context_for(self, parent_span_id: str | None) -> context.Context:
        above = None if parent_span_id is None else self._open.get(parent_span_id)
        if above is None:
            return self._around
        current = context.get_current()
        # In the step's own code (an agent that runs a pipeline) the host may have opened a span of its own.
        if context.get_value(_WORKING_STEP, current) == parent_span_id and _is_in_trace(current, above.span):
            return current
        return trace.set_span_in_context(above.span, self._around)

    def _count(self, event: UsageCharged) -> None:
        spending = self._open.get(event.span_id)
        if spending is not None:
            spending.input_tokens += event.usage.prompt_tokens
            spending.output_tokens += event.usage.completion_tokens

    def _add_event(self, event: StepEvent) -> None:
        happening, described = self._open.get(event.span_id), span_event(event)
        if happening is not None and described is not None:
            name, attributes = described
            happening.span.add_event(name, attributes, nanoseconds(event.time))

    def _step_ends(self, event: StepEnded) -> None:
        ended = self._open.pop(event.span_id, None)
        if ended is None:
            return
        if event.path:
            _end(ended, event)
        else:
            self._root = ended, event


def _end(ended: _OpenSpan, event: StepEnded) -> None:
    end_time = nanoseconds(event.time)
    try:
        if ended.span.is_recording():
            _conclude(ended, event, end_time)
    finally:
        ended.span.end(end_time)


def _is_in_trace(current: context.Context, span: Span) -> bool:
    return trace.get_current_span(current).get_span_context().trace_id == span.get_span_context().trace_id


def _conclude(ended: _OpenSpan, event: StepEnded, end_time: int) -> None:
    """Write down how a step ended, and what it spent."""
    span = ended.span
    span.set_attributes(ending_attributes(event) | own_tokens(ended.input_tokens, ended.output_tokens))
    exception = exception_raised(event)
    if exception is not None:
        span.add_event("exception", exception, end_time)
    # The status of what went well is left unset, and so is that of what was stopped on purpose, which is no error.
    if event.status is SpanStatus.FAILED:
        span.set_status(Status(StatusCode.ERROR, text(event.result.feedback or "")))
