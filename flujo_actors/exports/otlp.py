"""A trace as OTLP/JSON: the `ExportTraceServiceRequest` of the OpenTelemetry protocol.

As https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding has it: the JSON mapping of Protocol Buffers, but
with ids in hexadecimal digits instead of base64, and enums as numbers. The text can be posted to the `/v1/traces` of
any collector.

A run is a trace, its id the trace's. A step's attributes stand under `flujo.`, tokens of steps that have no steps
inside also under the names of the semantic conventions for generative AI, so that a sum over all spans counts them
once. The last failure of a step is an event `exception`, each try of a step that needed several an event
`flujo.attempt` at the try's end.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from flujo_actors._version import __version__
from flujo_actors.exports.run import ExportedRun
from flujo_actors.lens import SpanNode, TraceTree
from flujo_actors.lens.tree import as_mapping

_INTERNAL: Final = 1
"""`SPAN_KIND_INTERNAL`: no request of another program, and none to one."""

_ERROR: Final = 2
"""`STATUS_CODE_ERROR`. What went well has no code: `STATUS_CODE_OK` is for a person to say."""

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
"""The whole numbers that the protocol knows."""

_DEEPEST: Final = 16
"""Levels of lists and objects in an attribute. What is deeper is given as JSON text: readers of Protocol Buffers refuse
messages that are nested more than 100 levels deep, and a level takes three."""

_TOLD_OTHERWISE: Final = frozenset({"failure", "attempts"})
"""Attributes that become events."""

_TOKEN_NAMES: Final = {
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
}


def export_otlp_json(trace: TraceTree, run: ExportedRun) -> str:
    """The trace as OTLP/JSON.

    A span that has no end, because it is running or its process died, ends at the last moment that the trace knows
    of; its attribute `flujo.status` tells the difference.

    Args:
        trace: the trace of the run.
        run: the run.
    """
    trace_id = _hexadecimal(run.run_id, digits=32)
    resource = {
        "service.name": "flujo_actors",
        "service.version": __version__,
        "flujo.pipeline": run.pipeline,
        "flujo.run_id": run.run_id,
    }
    spans = [_span(node, trace, trace_id) for node in trace.nodes]
    scope = {"name": "flujo_actors", "version": __version__}
    request = {
        "resourceSpans": [
            {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [{"scope": scope, "spans": spans}]}
        ]
    }
    return json.dumps(request, separators=(",", ":"))


def _span(node: SpanNode, trace: TraceTree, trace_id: str) -> Mapping[str, Any]:
    span, end = node.span, trace.end_of(node)
    entry: dict[str, Any] = {
        "traceId": trace_id,
        "spanId": _hexadecimal(span.span_id, digits=16),
        "name": _text(span.name),
        "kind": _INTERNAL,
        "startTimeUnixNano": _nanoseconds(span.start_time),
        "endTimeUnixNano": _nanoseconds(max(span.start_time, end)),
        "attributes": _attributes(_described(node)),
        "status": _status(node),
    }
    if node.parent is not None:
        entry["parentSpanId"] = _hexadecimal(node.parent.span.span_id, digits=16)
    if events := list(_events(node, end)):
        entry["events"] = events
    return entry


def _described(node: SpanNode) -> Mapping[str, Any]:
    attributes = node.span.attributes
    described = {f"flujo.{name}": value for name, value in attributes.items() if name not in _TOLD_OTHERWISE}
    described["flujo.status"] = str(node.span.status)
    if not node.children:
        described.update({known: attributes[name] for name, known in _TOKEN_NAMES.items() if name in attributes})
    return described


def _status(node: SpanNode) -> Mapping[str, Any]:
    if node.succeeded:
        return {}
    feedback = "" if node.failure is None else str(node.failure.get("feedback", ""))
    return {"code": _ERROR, "message": _text(feedback) or str(node.span.status)}


def _events(node: SpanNode, end: float) -> Iterator[Mapping[str, Any]]:
    for attempt in node.attempts:
        facts = {f"flujo.attempt.{name}": value for name, value in attempt.items() if name != "failure"}
        moment = attempt.get("end_time")
        yield _event(
            "flujo.attempt",
            moment if isinstance(moment, int | float) else end,
            {**facts, **_exception(as_mapping(attempt.get("failure")))},
        )
    if node.failure is not None:
        yield _event("exception", end, _exception(node.failure))


def _event(name: str, moment: float, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"name": name, "timeUnixNano": _nanoseconds(moment), "attributes": _attributes(attributes)}


def _exception(failure: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """A failure in the words of the semantic conventions for exceptions, and what else it says of itself."""
    if failure is None:
        return {}
    known = {"exception.type": "exception_type", "exception.message": "message", "exception.stacktrace": "traceback"}
    own = {"flujo.failure." + name: value for name, value in failure.items() if name not in known.values()}
    return {name: failure[key] for name, key in known.items() if key in failure} | own


def _attributes(values: Mapping[str, Any], depth: int = 0) -> list[Mapping[str, Any]]:
    return [{"key": _text(key), "value": _value(value, depth)} for key, value in values.items()]


def _value(value: object, depth: int) -> Mapping[str, Any]:
    """A JSON value as an `AnyValue`, which says its type."""
    if not isinstance(value, list | dict):
        return _scalar(value)
    if depth >= _DEEPEST:
        return {"stringValue": json.dumps(value)}
    if isinstance(value, list):
        items = [_value(each, depth + 1) for each in cast("Iterable[object]", value)]
        return {"arrayValue": {"values": items} if items else {}}
    pairs = _attributes(cast("Mapping[str, Any]", value), depth + 1)
    return {"kvlistValue": {"values": pairs} if pairs else {}}


def _scalar(value: object) -> Mapping[str, Any]:
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case int() if _SMALLEST <= value <= _LARGEST:
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case _:
            return {"stringValue": _text(str(value))}


def _text(text: str) -> str:
    """Text that UTF-8 knows: the protocol has no halves of surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


def _nanoseconds(moment: float) -> str:
    return str(max(0, round(moment * 1e9)))


def _hexadecimal(text: str, *, digits: int) -> str:
    """An id as the protocol wants it: as it is where it fits, else one made of it, always the same."""
    fits = re.fullmatch(f"[0-9a-f]{{{digits}}}", text) is not None and text.strip("0")
    return text if fits else hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=digits // 2).hexdigest()
