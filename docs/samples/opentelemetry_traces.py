"""A host program with OpenTelemetry: a run, its steps, and what an agent's client does are spans of one trace."""

import trio
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from flujo_actors import UsageMeter, open_system, step
from flujo_actors.telemetry import OpenTelemetryObserver

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("host")


@step
async def answer(question: str, *, usage: UsageMeter) -> str:
    with tracer.start_as_current_span("POST /chat"):  # what an instrumented client does
        await trio.sleep(0.01)
    usage.charge(cost_usd=0.002, prompt_tokens=12, completion_tokens=3)
    trace.get_current_span().set_attribute("gen_ai.request.model", "a-small-model")
    return f"{question} 42."


@step
def shout(text: str) -> str:
    return text.upper()


async def handle_request() -> str:
    async with open_system(observers=[OpenTelemetryObserver(provider)]) as system:
        with tracer.start_as_current_span("GET /answer"):
            result = await system.run(answer >> shout, "What is it?")
    return result.unwrap()


def show(spans: tuple[ReadableSpan, ...], parent: int | None = None, indent: str = "") -> None:
    for span in spans:
        if (None if span.parent is None else span.parent.span_id) == parent and span.context is not None:
            attributes = span.attributes or {}
            tokens = attributes.get("gen_ai.usage.input_tokens")
            print(f"{indent}{span.name}" + (f": {tokens} tokens in" if tokens else ""))
            show(spans, span.context.span_id, indent + "  ")


print(trio.run(handle_request))
provider.shutdown()
show(exporter.get_finished_spans())
