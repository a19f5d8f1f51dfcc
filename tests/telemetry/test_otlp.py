"""Runs arrive at a real OTLP endpoint: protobuf over HTTP on loopback, read with the protocol's own definitions."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
import trio
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from flujo_actors import LoopStep, ParallelStep, Pipeline, RetryPolicy, Step, UsageMeter, __version__, open_system
from flujo_actors.telemetry import OpenTelemetryObserver, RunIdGenerator


@attrs.define(eq=False)
class Collector:
    """A collector that keeps what it is sent."""

    endpoint: str
    requests: list[ExportTraceServiceRequest] = attrs.Factory(list[ExportTraceServiceRequest])

    @property
    def spans(self) -> list[trace_pb2.Span]:
        return [span for scope in self.scopes for span in scope.spans]

    @property
    def scopes(self) -> list[trace_pb2.ScopeSpans]:
        return [scope for request in self.requests for each in request.resource_spans for scope in each.scope_spans]

    def at(self, path: str) -> trace_pb2.Span:
        [span] = [span for span in self.spans if values(span.attributes).get("flujo.path") == path]
        return span


@contextmanager
def collecting() -> Generator[Collector, None, None]:
    """A collector on loopback for the length of the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            assert (self.path, self.headers["Content-Type"]) == ("/v1/traces", "application/x-protobuf")
            collector.requests.append(ExportTraceServiceRequest.FromString(body))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing of it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}/v1/traces")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def exporting_to(endpoint: str) -> Generator[TracerProvider, None, None]:
    """A provider as a host would make it, flushed and shut down at the end."""
    provider = TracerProvider(resource=Resource({"service.name": "host"}), id_generator=RunIdGenerator())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    try:
        yield provider
    finally:
        provider.shutdown()


def values(attributes: Any) -> dict[str, Any]:
    pairs: list[KeyValue] = list(attributes)
    return {pair.key: value(pair.value) for pair in pairs}


def value(any_value: AnyValue) -> Any:
    kind = any_value.WhichOneof("value")
    assert kind is not None
    if kind == "array_value":
        return [value(each) for each in any_value.array_value.values]
    return getattr(any_value, kind)


async def spend(number: int, *, usage: UsageMeter) -> int:
    usage.charge(cost_usd=0.25, prompt_tokens=3, completion_tokens=1)
    await trio.lowlevel.checkpoint()
    return number + 1


async def fail(data: Any) -> None:
    raise ValueError("caf\udce9 closed")


async def test_a_run_arrives_with_its_tree_times_attributes_and_errors() -> None:
    loop = LoopStep[Any, Any, Any]("grow", Step("grower", spend), exit_condition=lambda output, context: output > 2)
    fan = ParallelStep[Any, Any, Any](
        "fan", {"good": Step("good", spend), "bad": Step("bad", fail, retry=RetryPolicy(max_attempts=2))}
    )
    with collecting() as collector, exporting_to(collector.endpoint) as provider:
        async with open_system(observers=[OpenTelemetryObserver(provider)]) as system:
            result = await system.run(Pipeline[Any, Any, Any]("p", [loop, fan]), 1)
        await trio.to_thread.run_sync(provider.force_flush)
    arrived = {span.span_id.hex(): span for span in collector.spans}
    assert arrived.keys() == {span.span_id for span in result.spans}
    for ours in result.spans:
        span = arrived[ours.span_id]
        assert span.trace_id.hex() == result.run_id
        assert span.parent_span_id.hex() == (ours.parent_span_id or "")
        assert (span.start_time_unix_nano, span.end_time_unix_nano) == (
            int(ours.start_time * 1e9),
            int((ours.end_time or 0) * 1e9),
        )
        assert span.kind == trace_pb2.Span.SPAN_KIND_INTERNAL
    good = values(collector.at("fan/good").attributes)
    assert good["gen_ai.operation.name"] == "invoke_agent"
    assert (good["gen_ai.usage.input_tokens"], good["gen_ai.usage.output_tokens"], good["flujo.cost_usd"]) == (
        3,
        1,
        0.25,
    )
    assert collector.at("fan/good").status.code == trace_pb2.Status.STATUS_CODE_UNSET
    bad = collector.at("fan/bad")
    assert bad.status.code == trace_pb2.Status.STATUS_CODE_ERROR
    assert [event.name for event in bad.events] == ["flujo.retry", "exception"]
    assert values(bad.events[1].attributes)["exception.message"] == "caf? closed"
    assert [event.name for event in collector.at("grow").events] == ["flujo.iteration"] * 2
    assert {(scope.scope.name, scope.scope.version) for scope in collector.scopes} == {("flujo_actors", __version__)}


async def test_many_runs_at_once_arrive_whole_and_apart() -> None:
    steps = [Step[Any, Any, Any](f"s{number}", spend) for number in range(20)]
    results: list[Any] = []
    with collecting() as collector, exporting_to(collector.endpoint) as provider:
        async with open_system(observers=[OpenTelemetryObserver(provider)]) as system, trio.open_nursery() as nursery:

            async def run() -> None:
                results.append(await system.run(Pipeline[Any, Any, Any]("p", steps), 1))

            for _ in range(25):
                nursery.start_soon(run)
        await trio.to_thread.run_sync(provider.force_flush)
    arrived = {(span.trace_id.hex(), span.span_id.hex()) for span in collector.spans}
    assert arrived == {(result.run_id, span.span_id) for result in results for span in result.spans}
    assert len(collector.spans) == 25 * 21


async def test_an_endpoint_that_is_gone_does_not_disturb_the_run() -> None:
    with collecting() as collector:
        endpoint = collector.endpoint
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=0.1)))
    async with open_system(observers=[OpenTelemetryObserver(provider)]) as system:
        assert (await system.run(Step("a", spend), 1)).success
    await trio.to_thread.run_sync(provider.shutdown)
