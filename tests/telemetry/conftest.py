"""A tracer provider that keeps the spans it is given, and ways to ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flujo_actors import PipelineResult, open_system
from flujo_actors.telemetry import OpenTelemetryObserver


@attrs.frozen
class Exported:
    """The spans that a provider has exported."""

    provider: TracerProvider
    exporter: InMemorySpanExporter = attrs.field(factory=InMemorySpanExporter)

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    def at(self, path: str) -> ReadableSpan:
        """The one span of the step at a path of a run."""
        [span] = [span for span in self.spans if attributes(span).get("flujo.path") == path]
        return span

    def named(self, name: str) -> ReadableSpan:
        [span] = [span for span in self.spans if span.name == name]
        return span

    def parent_of(self, span: ReadableSpan) -> ReadableSpan | None:
        if span.parent is None:
            return None
        [parent] = [each for each in self.spans if id_of(each) == span.parent.span_id]
        assert span.parent.trace_id == trace_of(parent)
        return parent

    async def run(self, pipeline: Any, data: Any = 1, **options: Any) -> PipelineResult[Any, Any]:
        """Run a pipeline in a system of its own that exports here."""
        async with open_system(observers=[OpenTelemetryObserver(self.provider)]) as system:
            result: PipelineResult[Any, Any] = await system.run(pipeline, data, **options)
        return result


def attributes(span: ReadableSpan) -> Mapping[str, Any]:
    assert span.attributes is not None
    return span.attributes


def events(span: ReadableSpan) -> list[tuple[str, Mapping[str, Any]]]:
    """The names and attributes of a span's events."""
    return [(event.name, dict(event.attributes or {})) for event in span.events]


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    span_id: int = span.context.span_id
    return span_id


def trace_of(span: ReadableSpan) -> int:
    assert span.context is not None
    trace_id: int = span.context.trace_id
    return trace_id


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    provider = TracerProvider()
    yield provider
    provider.shutdown()


@pytest.fixture
def exported(provider: TracerProvider) -> Exported:
    exported = Exported(provider)
    provider.add_span_processor(SimpleSpanProcessor(exported.exporter))
    return exported
