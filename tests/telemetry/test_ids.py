"""Traces with the ids of runs, for hosts whose provider has our id generator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import trio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator

from flujo_actors import ParallelStep, Pipeline, Step, open_system
from flujo_actors.storage import MemoryBackend
from flujo_actors.telemetry import OpenTelemetryObserver, RunIdGenerator
from tests.telemetry.conftest import Exported, attributes, id_of, trace_of


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    provider = TracerProvider(id_generator=RunIdGenerator())
    yield provider
    provider.shutdown()


async def pause(data: Any) -> Any:
    await trio.lowlevel.checkpoint()
    return data


def pipeline() -> Any:
    return Pipeline[Any, Any, Any]("p", [Step("a", pause), ParallelStep("fan", {"b": Step("b", pause)})])


def ids(span: ReadableSpan) -> tuple[str, str]:
    return f"{trace_of(span):032x}", f"{id_of(span):016x}"


async def test_a_run_and_its_steps_have_the_ids_that_they_are_stored_under(exported: Exported) -> None:
    result = await exported.run(pipeline())
    stored = {(result.run_id, span.span_id) for span in result.spans}
    assert {ids(span) for span in exported.spans} == stored


async def test_a_run_in_a_trace_of_the_host_has_the_host_s_trace_id_and_its_own_span_ids(exported: Exported) -> None:
    with exported.provider.get_tracer("host").start_as_current_span("request"):
        result = await exported.run(pipeline())
    request = exported.named("request")
    assert trace_of(request) != int(result.run_id, 16)
    assert {trace_of(span) for span in exported.spans} == {trace_of(request)}
    spans = [span for span in exported.spans if span is not request]
    assert {ids(span)[1] for span in spans} == {span.span_id for span in result.spans}
    assert {attributes(span)["flujo.run_id"] for span in spans} == {result.run_id}


async def test_spans_of_others_have_ids_of_another_generator(exported: Exported) -> None:
    class Counting(IdGenerator):
        def generate_trace_id(self) -> int:
            return 0xAAAA

        def generate_span_id(self) -> int:
            return 0xBBBB

        def is_trace_id_random(self) -> bool:
            return False

    provider = TracerProvider(id_generator=RunIdGenerator(Counting()))
    provider.add_span_processor(SimpleSpanProcessor(exported.exporter))
    tracer = provider.get_tracer("host")

    async def agent(data: Any) -> None:
        with tracer.start_as_current_span("inside"):
            pass

    with tracer.start_as_current_span("before"):
        pass
    async with open_system(observers=[OpenTelemetryObserver(provider)]) as system:
        result = await system.run(Step("a", agent), 1)
    assert (trace_of(exported.named("before")), id_of(exported.named("before"))) == (0xAAAA, 0xBBBB)
    assert (trace_of(exported.named("inside")), id_of(exported.named("inside"))) == (int(result.run_id, 16), 0xBBBB)
    assert RunIdGenerator(Counting()).is_trace_id_random() is False


async def test_a_span_that_a_processor_starts_while_ours_starts_takes_no_id_of_ours(exported: Exported) -> None:
    tracer = exported.provider.get_tracer("host")

    class Nosy(SimpleSpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            if span.name == "invoke_workflow p":
                tracer.start_span("noticed", parent_context).end()

    exported.provider.add_span_processor(Nosy(Exported(exported.provider).exporter))
    result = await exported.run(pipeline())
    assert ids(exported.named("noticed")) not in {(result.run_id, span.span_id) for span in result.spans}
    assert len({ids(span) for span in exported.spans}) == len(exported.spans)


async def test_with_the_sdk_s_own_generator_ids_are_the_sdk_s_and_ours_stand_in_attributes(exported: Exported) -> None:
    provider = TracerProvider(id_generator=RandomIdGenerator())
    provider.add_span_processor(SimpleSpanProcessor(exported.exporter))
    backend = MemoryBackend()
    async with open_system(storage=backend, observers=[OpenTelemetryObserver(provider)]) as system:
        result = await system.run(pipeline(), 1)
    assert {trace_of(span) for span in exported.spans} != {int(result.run_id, 16)}
    assert {attributes(span)["flujo.span_id"] for span in exported.spans} == {
        span.span_id for span in backend.get_spans(result.run_id)
    }
