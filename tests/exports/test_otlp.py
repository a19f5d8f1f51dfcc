"""The export is read with the protocol's own definitions, which refuse every field and type that they do not know."""

from __future__ import annotations

import base64
import json
import re
from typing import Any, cast

import attrs
import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from flujo_actors.exports import export_otlp_json
from flujo_actors.lens import TraceTree
from flujo_actors.spans import SpanStatus
from tests.exports.conftest import RUN
from tests.stored_runs import START, SpanMaker, failure, tree_of

IDS = {"traceId": 16, "spanId": 8, "parentSpanId": 8}
"""The fields that OTLP/JSON has in hexadecimal digits where Protocol Buffers have base64, with their bytes."""


def with_ids_as_base64(value: object) -> Any:
    """The message as the JSON mapping of Protocol Buffers has it."""
    if isinstance(value, list):
        return [with_ids_as_base64(each) for each in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, Any]", value)
    converted = {key: with_ids_as_base64(each) for key, each in fields.items()}
    for key in IDS.keys() & fields.keys():
        assert re.fullmatch(f"[0-9a-f]{{{2 * IDS[key]}}}", fields[key])
        converted[key] = base64.b64encode(bytes.fromhex(fields[key])).decode()
    return converted


def read(trace: TraceTree, run_id: str = RUN.run_id) -> ExportTraceServiceRequest:
    """The export, read by the protocol's definitions; what they write of it is the export again."""
    exported = with_ids_as_base64(json.loads(export_otlp_json(trace, attrs.evolve(RUN, run_id=run_id))))
    request = ExportTraceServiceRequest()
    json_format.ParseDict(exported, request)
    assert json_format.MessageToDict(request, use_integers_for_enums=True) == exported
    return request


def spans(request: ExportTraceServiceRequest) -> list[Span]:
    ((scoped,),) = ([*resource.scope_spans] for resource in request.resource_spans)
    return list(scoped.spans)


def value_of(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value_of(each) for each in value.array_value.values]
    return attributes(value.kvlist_value.values) if kind == "kvlist_value" else getattr(value, kind)


def attributes(pairs: Any) -> dict[str, Any]:
    found: list[KeyValue] = list(pairs)
    return {pair.key: value_of(pair.value) for pair in found}


def test_the_spans_form_the_tree_of_the_trace_with_its_times(failed: TraceTree) -> None:
    found = spans(read(failed))
    assert {span.trace_id for span in found} == {bytes.fromhex(RUN.run_id)}
    for node, span in zip(failed.nodes, found, strict=True):
        assert span.name == node.span.name
        assert span.span_id.hex() == node.span.span_id
        assert span.parent_span_id.hex() == (node.span.parent_span_id or "")
        assert span.start_time_unix_nano / 1e9 == pytest.approx(node.span.start_time)
        assert span.end_time_unix_nano / 1e9 == pytest.approx(node.span.end_time)
        assert span.kind == Span.SPAN_KIND_INTERNAL


def test_the_resource_and_the_scope_say_whose_spans_these_are(failed: TraceTree) -> None:
    (resource,) = read(failed).resource_spans
    described = attributes(resource.resource.attributes)
    assert described["service.name"] == "flujo_actors"
    assert described["flujo.pipeline"] == "article"
    assert described["flujo.run_id"] == RUN.run_id
    assert resource.scope_spans[0].scope.name == "flujo_actors"


def test_a_step_that_failed_has_an_error_and_an_exception_event(failed: TraceTree) -> None:
    span = next(span for span in spans(read(failed)) if span.name == "facts")
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert span.status.message == "Agent execution failed with ValueError: the moon is not made of cheese"
    described = attributes(span.events[-1].attributes)
    assert span.events[-1].name == "exception"
    assert described["exception.type"] == "ValueError"
    assert described["exception.message"] == "the moon is not made of cheese"
    assert "Traceback (most recent call last)" in described["exception.stacktrace"]
    assert described["flujo.failure.domain"] == "agent"


def test_what_went_well_has_no_status_code(completed: TraceTree) -> None:
    assert {span.status.code for span in spans(read(completed))} == {Status.STATUS_CODE_UNSET}


def test_each_try_is_an_event_at_its_end(failed: TraceTree) -> None:
    span = next(span for span in spans(read(failed)) if span.name == "fetch")
    assert [event.name for event in span.events] == ["flujo.attempt", "flujo.attempt"]
    first, second = (attributes(event.attributes) for event in span.events)
    assert (first["flujo.attempt.number"], first["flujo.attempt.status"]) == (1, "failed")
    assert first["exception.type"] == "ConnectionError"
    assert (second["flujo.attempt.number"], second["flujo.attempt.status"]) == (2, "completed")
    assert span.events[0].time_unix_nano / 1e9 == pytest.approx(span.start_time_unix_nano / 1e9 + 0.3)


def test_tokens_stand_under_the_conventional_names_where_no_step_is_inside(failed: TraceTree) -> None:
    described = {span.name: attributes(span.attributes) for span in spans(read(failed))}
    assert described["fetch"]["gen_ai.usage.input_tokens"] == 80
    assert described["pipeline_run"]["flujo.prompt_tokens"] == 140
    assert "gen_ai.usage.input_tokens" not in described["pipeline_run"]
    every = (attributes(span.attributes) for span in spans(read(failed)))
    inputs = sum(each.get("gen_ai.usage.input_tokens", 0) for each in every)
    assert inputs == described["pipeline_run"]["flujo.prompt_tokens"]


def test_every_json_value_keeps_its_type() -> None:
    values: dict[str, Any] = {
        "n": None,
        "b": True,
        "i": -7,
        "f": 0.5,
        "s": "text",
        "l": [1, [], {}],
        "d": {"k": [None, 2**63 - 1]},
    }
    maker = SpanMaker()
    maker.add("", 0.0, 1.0, output=values)
    (span,) = spans(read(maker.tree()))
    assert attributes(span.attributes)["flujo.output"] == values


def test_what_the_protocol_does_not_know_is_given_as_text() -> None:
    deep: Any = "end"
    for _ in range(60):
        deep = [deep]
    maker = SpanMaker()
    maker.add("", 0.0, 1.0, huge=2**63, lone="\ud800", deep=deep)
    (span,) = spans(read(maker.tree()))
    described = attributes(span.attributes)
    assert described["flujo.huge"] == "9223372036854775808"
    assert described["flujo.lone"] == "?"
    inner: Any = described["flujo.deep"]
    for _ in range(16):
        (inner,) = inner
    assert json.loads(inner) == json.loads("[" * 44 + '"end"' + "]" * 44)


def test_ids_of_other_forms_become_ids_that_the_protocol_knows_always_the_same() -> None:
    maker = SpanMaker()
    maker.add("", 0.0, 2.0)
    root = attrs.evolve(maker.spans[0], span_id="root")
    unknown = attrs.evolve(root, span_id="0" * 16, parent_span_id="root")
    trace = tree_of([root, unknown])
    first, second = spans(read(trace, "run one"))
    assert second.parent_span_id == first.span_id
    assert any(second.span_id)
    assert [span.span_id for span in spans(read(trace, "run one"))] == [first.span_id, second.span_id]
    assert spans(read(trace, "run two"))[0].trace_id != first.trace_id


def test_a_span_without_an_end_ends_at_the_last_moment_that_is_known() -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, None, status=SpanStatus.INTERRUPTED)
    maker.add("a", 0.0, 3.0, parent=root)
    maker.add("b", 3.0, None, parent=root, status=SpanStatus.INTERRUPTED)
    for span in spans(read(maker.tree()))[::2]:
        assert span.end_time_unix_nano == int((START + 3) * 1e9)
        assert attributes(span.attributes)["flujo.status"] == "interrupted"
        assert span.status.code == Status.STATUS_CODE_ERROR
        assert span.status.message == "interrupted"


def test_attributes_of_other_shapes_do_not_break_the_export() -> None:
    maker = SpanMaker()
    odd = {"number": 1, "end_time": "later", "failure": "text"}
    maker.add("", 0.0, 1.0, attempts=[odd, 7], failure=failure("no", step="", cause=7))
    (span,) = spans(read(maker.tree()))
    assert [event.name for event in span.events] == ["flujo.attempt", "exception"]
