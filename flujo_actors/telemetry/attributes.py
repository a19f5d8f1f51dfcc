"""What of a run's events stands in the spans of OpenTelemetry. Pure functions; docs/reference/telemetry.md has tables.

The names beginning with `gen_ai.` are those of the semantic conventions for generative AI, version 0.1.0, which are
still in development: they are written out here rather than imported, as the conventions advise for such names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias, cast

import attrs

from flujo_actors.events import (
    BranchesMerged,
    IterationStarted,
    MergeConflictFound,
    StepEnded,
    StepEvent,
    StepFellBack,
    StepRetried,
    StepStarted,
)
from flujo_actors.failures import Failure
from flujo_actors.observers import BegunRun, EndedRun
from flujo_actors.spans import SpanStatus, abridged, usage_attributes
from flujo_actors.steps import Step

Scalar: TypeAlias = str | bool | int | float
Value: TypeAlias = Scalar | list[str]
Attributes: TypeAlias = dict[str, Value]

INVOKE_WORKFLOW: Final = "invoke_workflow"
INVOKE_AGENT: Final = "invoke_agent"

_METADATA: Final = (
    "exit_reason",
    "iterations",
    "items",
    "cache_hit",
    "fallback_triggered",
    "executed_branches",
    "succeeded_branches",
    "failed_branches",
)
"""What of `StepResult.metadata` is passed on: what pipelines' definitions and supervisors say, no values of users."""

_LISTED: Final = 100
"""Entries of a list that are passed on: a map may have a hundred thousand items."""

_LARGEST: Final = 2**63
"""Whole numbers from here on are too large for the protocol."""


def operation_of(event: StepStarted) -> str | None:
    """What a step is in the words of the conventions: a run is a workflow, a step with an agent invokes it."""
    if event.parent_span_id is None:
        return INVOKE_WORKFLOW
    return INVOKE_AGENT if event.kind == Step.__name__ else None


def span_name(event: StepStarted) -> str:
    """The name of a step's span. It is taken from the pipeline's definition alone, so there are few of them."""
    operation = operation_of(event)
    return text(event.name if operation is None else f"{operation} {event.name}")


def starting_attributes(run: BegunRun, event: StepStarted) -> Attributes:
    """What is known of a step when it begins, so that samplers may go by it."""
    attributes: Attributes = {
        "flujo.run_id": run.run_id,
        "flujo.span_id": event.span_id,
        "flujo.pipeline": text(run.pipeline),
        "flujo.path": text(event.path),
        "flujo.kind": event.kind,
    }
    for name, value in event.attributes.items():
        attributes[f"flujo.{name}"] = plain(value)
    operation = operation_of(event)
    if operation is not None:
        attributes["gen_ai.operation.name"] = operation
        attributes["gen_ai.agent.name"] = text(event.name)
    return attributes


def ending_attributes(event: StepEnded) -> Attributes:
    """How a step ended, and what was spent in it, in all attempts and all that is inside."""
    failure, metadata = event.result.failure, event.result.metadata
    attributes: Attributes = {"flujo.status": str(event.status), "flujo.attempts": event.result.attempts}
    attributes.update({f"flujo.{name}": value for name, value in usage_attributes(event.usage).items()})
    attributes.update({f"flujo.metadata.{name}": plain(metadata[name]) for name in _METADATA if name in metadata})
    if failure is not None:
        attributes.update(failure_attributes(failure))
        if event.status is SpanStatus.FAILED:
            attributes["error.type"] = error_type(failure)
    return attributes


def as_recorded(event: StepEnded, run: EndedRun) -> StepEnded:
    """The end of a run's root as the run's record says it. It was told before the run was stored, and may be wrong."""
    if event.status is run.status:
        return event
    failure = None if run.result is None else run.result.failure
    feedback = run.error if failure is None else failure.feedback
    return attrs.evolve(
        event, status=run.status, result=attrs.evolve(event.result, success=False, failure=failure, feedback=feedback)
    )


def own_tokens(input_tokens: int, output_tokens: int) -> Attributes:
    """What a step's own agent spent: no token counts in two spans."""
    attributes: Attributes = {}
    if input_tokens:
        attributes["gen_ai.usage.input_tokens"] = input_tokens
    if output_tokens:
        attributes["gen_ai.usage.output_tokens"] = output_tokens
    return attributes


def span_event(event: StepEvent) -> tuple[str, Attributes] | None:
    """The name and attributes of a span event; `None` for what is no event of a span, or is told otherwise."""
    match event:
        case StepRetried():
            facts: Attributes = {"flujo.attempt": event.attempt, "flujo.delay_s": event.delay}
            return "flujo.retry", facts | _failed(event.path, event.failure)
        case StepFellBack():
            return "flujo.fallback", {"flujo.fallback": text(event.fallback)} | _failed(event.path, event.failure)
        case IterationStarted():
            return "flujo.iteration", {"flujo.iteration": event.iteration}
        case BranchesMerged():
            return "flujo.merge", {"flujo.branches": _texts(event.branches)}
        case MergeConflictFound():
            return "flujo.merge_conflict", failure_attributes(event.failure)
        case _:
            return None


def exception_raised(event: StepEnded) -> Attributes | None:
    """The exception that a step failed with, if it is the step's own: those from below stand in the spans below."""
    failure = event.result.failure
    if event.status is not SpanStatus.FAILED or failure is None or "fallback_triggered" in event.result.metadata:
        return None
    return exception_attributes(event.path, failure) or None


def failure_attributes(failure: Failure) -> Attributes:
    """A failure, or a cancellation."""
    attributes: Attributes = {
        "flujo.failure.domain": str(failure.domain),
        "flujo.failure.message": text(failure.message),
        "flujo.failure.step": text(failure.step),
    }
    if failure.phase is not None:
        attributes["flujo.failure.phase"] = text(failure.phase)
    return attributes


def exception_attributes(path: str, failure: Failure) -> Attributes:
    """The exception of a failure; nothing when there was none, or when it was not raised at `path`."""
    if failure.exception is None or failure.step != path:
        return {}
    return {
        "exception.type": error_type(failure),
        "exception.message": text(failure.message),
        "exception.stacktrace": text(failure.traceback or ""),
    }


def error_type(failure: Failure) -> str:
    """The class of the exception with its module, as the SDK writes it; the domain of a failure without one."""
    if failure.exception is None:
        return str(failure.domain)
    kind = type(failure.exception)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def plain(value: object) -> Value:
    """A value as one that every exporter can send: a scalar, or texts."""
    if isinstance(value, list | tuple):
        return _texts(cast("Sequence[object]", value))
    if isinstance(value, bool | float):
        return value
    if isinstance(value, int) and -_LARGEST <= value < _LARGEST:
        return value
    return text(str(value))


def text(value: str) -> str:
    """A text that can be sent: halves of surrogate pairs, or 10 MB of text, would cost an exporter its whole batch."""
    value = abridged(value)
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def nanoseconds(time: float) -> int:
    """A time in seconds as OpenTelemetry has it."""
    return int(time * 1e9)


def _texts(values: Sequence[object]) -> list[str]:
    texts = [text(str(each)) for each in values[:_LISTED]]
    return texts if len(values) <= _LISTED else [*texts, f"and {len(values) - _LISTED:,} more"]


def _failed(path: str, failure: Failure) -> Attributes:
    return failure_attributes(failure) | exception_attributes(path, failure)
