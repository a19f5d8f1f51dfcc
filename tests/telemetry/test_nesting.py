"""Where the spans of runs hang, and what hangs under them: the host's spans around a run and inside its agents."""

# pyright: reportUnknownLambdaType=false

from __future__ import annotations

from typing import Any

import pytest
import trio
from opentelemetry import baggage, context, trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.trace import Tracer

from flujo_actors import (
    AnyStep,
    LoopStep,
    ParallelStep,
    Pipeline,
    RetryPolicy,
    Step,
    System,
    open_system,
    run_pipeline,
)
from flujo_actors.telemetry import OpenTelemetryObserver
from tests.telemetry.conftest import Exported, attributes, trace_of


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    """The host's."""
    return provider.get_tracer("host")


def step(name: str, agent: Any, **options: Any) -> AnyStep:
    return Step[Any, Any, Any](name, agent, **options)


def calls(tracer: Tracer, name: str) -> AnyStep:
    """A step whose agent uses a client that the host has instrumented."""

    async def agent(data: Any) -> Any:
        await trio.lowlevel.checkpoint()
        with tracer.start_as_current_span(f"GET {name}"):
            await trio.lowlevel.checkpoint()
        return data

    return step(name, agent)


async def test_a_run_hangs_under_the_span_that_is_current_where_it_is_called(
    exported: Exported, tracer: Tracer
) -> None:
    with tracer.start_as_current_span("request"):
        await exported.run(calls(tracer, "a"))
    assert exported.parent_of(exported.at("")) is exported.named("request")
    assert len({trace_of(span) for span in exported.spans}) == 1


async def test_a_run_that_is_started_hangs_under_the_span_that_was_current_then(
    exported: Exported, tracer: Tracer
) -> None:
    async with open_system(observers=[OpenTelemetryObserver(exported.provider)]) as system:
        with tracer.start_as_current_span("request"):
            run = await system.start(calls(tracer, "a"), 1)
        with tracer.start_as_current_span("something else"):
            await run.wait()
    assert exported.parent_of(exported.at("")) is exported.named("request")


async def test_a_run_without_a_span_around_it_is_a_trace_of_its_own(exported: Exported, tracer: Tracer) -> None:
    for _ in range(2):
        await exported.run(calls(tracer, "a"))
    roots = [span for span in exported.spans if span.parent is None]
    assert [span.name for span in roots] == ["invoke_workflow a"] * 2
    assert len({trace_of(span) for span in exported.spans}) == 2


async def test_what_an_agent_s_clients_emit_hangs_under_its_step(exported: Exported, tracer: Tracer) -> None:
    await exported.run(Pipeline("p", [calls(tracer, "a"), calls(tracer, "b")]))
    assert exported.parent_of(exported.named("GET a")) is exported.at("a")
    assert exported.parent_of(exported.named("GET b")) is exported.at("b")


async def test_it_does_so_in_branches_that_run_at_the_same_time(exported: Exported, tracer: Tracer) -> None:
    names = [f"branch{number}" for number in range(20)]
    await exported.run(ParallelStep("fan", {name: calls(tracer, name) for name in names}))
    for name in names:
        assert exported.parent_of(exported.named(f"GET {name}")) is exported.at(f"fan/{name}")


async def test_it_does_so_in_every_attempt_and_in_fallbacks(exported: Exported, tracer: Tracer) -> None:
    tries = iter(range(1, 9))

    async def fail(data: Any) -> None:
        with tracer.start_as_current_span(f"try {next(tries)}"):
            raise ValueError("boom")

    pipeline = step("a", fail, retry=RetryPolicy(max_attempts=2), fallback=calls(tracer, "b"))
    assert (await exported.run(pipeline)).success
    assert exported.parent_of(exported.named("try 1")) is exported.at("a")
    assert exported.parent_of(exported.named("try 2")) is exported.at("a")
    assert exported.parent_of(exported.at("a/b")) is exported.at("a")
    assert exported.parent_of(exported.named("GET b")) is exported.at("a/b")


async def test_it_does_so_in_tasks_and_threads_that_an_agent_starts(exported: Exported, tracer: Tracer) -> None:
    def work(name: str) -> None:
        with tracer.start_as_current_span(name):
            pass

    async def agent(data: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, work, "in a thread")
            nursery.start_soon(calls_directly, "in a task")

    async def calls_directly(name: str) -> None:
        work(name)

    await exported.run(step("a", agent))
    assert exported.parent_of(exported.named("in a thread")) is exported.at("a")
    assert exported.parent_of(exported.named("in a task")) is exported.at("a")


async def test_a_streaming_agent_s_clients_are_in_its_step_too(exported: Exported, tracer: Tracer) -> None:
    async def agent(data: Any) -> Any:
        for number in range(2):
            with tracer.start_as_current_span(f"chunk {number}"):
                await trio.lowlevel.checkpoint()
            yield str(number)

    assert (await exported.run(step("a", agent))).output == "01"
    assert exported.parent_of(exported.named("chunk 0")) is exported.at("a")
    assert exported.parent_of(exported.named("chunk 1")) is exported.at("a")


async def test_functions_of_composites_run_in_the_span_of_the_composite(exported: Exported, tracer: Tracer) -> None:
    def merge(merged: Any, branches: Any) -> None:
        with tracer.start_as_current_span("merging"):
            pass

    fan: AnyStep = ParallelStep("fan", {"a": calls(tracer, "a")}, merge_strategy=merge)
    await exported.run(Pipeline("p", [fan]), context=dict[str, int]())
    assert exported.parent_of(exported.named("merging")) is exported.at("fan")


async def test_a_run_inside_an_agent_hangs_under_what_is_current_there_in_our_trace_and_theirs(
    exported: Exported, tracer: Tracer
) -> None:
    async def agent(data: Any, *, resources: System) -> Any:
        return (await resources.run(Pipeline("inner", [calls(tracer, "b")]), data)).unwrap()

    async with open_system(observers=[OpenTelemetryObserver(exported.provider)]) as system:
        await system.run(step("outer", agent), 1, resources=system)
    assert exported.parent_of(exported.at("outer/inner")) is exported.at("outer")
    assert exported.parent_of(exported.at("outer/inner/b")) is exported.at("outer/inner")
    assert exported.parent_of(exported.named("GET b")) is exported.at("outer/inner/b")
    assert exported.at("outer/inner").name == "inner"


async def test_a_run_inside_an_agent_hangs_under_the_span_that_the_agent_has_opened(
    exported: Exported, tracer: Tracer
) -> None:
    @tracer.start_as_current_span("planning")
    async def agent(data: Any, *, resources: System) -> None:
        with tracer.start_as_current_span("delegating"):
            await resources.run(Pipeline("inner", [calls(tracer, "b")]), data)

    async with open_system(observers=[OpenTelemetryObserver(exported.provider)]) as system:
        await system.run(step("outer", agent), 1, resources=system)
    assert exported.parent_of(exported.at("outer/inner")) is exported.named("delegating")
    assert exported.parent_of(exported.named("delegating")) is exported.named("planning")
    assert exported.parent_of(exported.named("planning")) is exported.at("outer")
    assert exported.parent_of(exported.at("outer/inner/b")) is exported.at("outer/inner")


async def test_the_steps_of_a_composite_hang_under_it_and_so_does_what_its_functions_emit(
    exported: Exported, tracer: Tracer
) -> None:
    def mapper(data: Any, context: Any) -> Any:
        with tracer.start_as_current_span("mapping"):
            return data

    loop = LoopStep[Any, Any, Any](
        "loop", calls(tracer, "a"), exit_condition=lambda output, context: True, initial_input_mapper=mapper
    )
    await exported.run(loop)
    assert exported.parent_of(exported.named("mapping")) is exported.at("loop")
    assert exported.parent_of(exported.at("loop[1]/a")) is exported.at("loop")


async def test_a_run_that_an_agent_starts_is_a_workflow_of_its_own_in_the_trace_of_the_agent(
    exported: Exported, tracer: Tracer
) -> None:
    async def agent(data: Any, *, resources: System) -> None:
        with tracer.start_as_current_span("handing over"):
            run = await resources.start(Pipeline("apart", [calls(tracer, "b")]), data)
        await run.wait()

    async with open_system(observers=[OpenTelemetryObserver(exported.provider)]) as system:
        await system.run(step("outer", agent), 1, resources=system)
    apart = exported.named("invoke_workflow apart")
    assert exported.parent_of(apart) is exported.named("handing over")
    assert attributes(apart)["flujo.run_id"] != attributes(exported.at("outer"))["flujo.run_id"]
    assert len({trace_of(span) for span in exported.spans}) == 1


async def test_the_host_s_current_span_is_what_it_was_after_a_run(exported: Exported, tracer: Tracer) -> None:
    with tracer.start_as_current_span("request") as request:
        await exported.run(calls(tracer, "a"))
        assert trace.get_current_span() is request


async def test_what_else_the_host_has_in_its_context_is_there_in_agents_and_for_span_processors(
    exported: Exported,
) -> None:
    class Tenants(SpanProcessor):
        """Writes the baggage into each span, as processors for baggage do."""

        def on_start(self, span: Span, parent_context: Context | None = None) -> None:
            span.set_attribute("tenant", str(baggage.get_baggage("tenant", parent_context)))

    async def agent(data: Any) -> object:
        return baggage.get_baggage("tenant")

    exported.provider.add_span_processor(Tenants())
    token = context.attach(baggage.set_baggage("tenant", "acme"))
    try:
        result = await exported.run(step("a", agent))
    finally:
        context.detach(token)
    assert result.output == "acme"
    assert [attributes(span)["tenant"] for span in exported.spans] == ["acme", "acme"]


async def test_agents_may_add_what_they_know_to_the_span_of_their_step(exported: Exported) -> None:
    async def agent(data: Any) -> None:
        trace.get_current_span().set_attribute("gen_ai.request.model", "a-model")

    await exported.run(step("a", agent))
    assert attributes(exported.at("a"))["gen_ai.request.model"] == "a-model"


def test_a_program_that_is_no_trio_program_has_its_runs_in_its_traces_too(exported: Exported, tracer: Tracer) -> None:
    with tracer.start_as_current_span("job"):
        run_pipeline(calls(tracer, "a"), 1, observers=[OpenTelemetryObserver(exported.provider)])
    assert exported.parent_of(exported.at("")) is exported.named("job")


async def test_several_observers_emit_to_several_providers(exported: Exported) -> None:
    other = TracerProvider()
    observers = [OpenTelemetryObserver(exported.provider), OpenTelemetryObserver(other)]
    async with open_system(observers=observers) as system:
        await system.run(Pipeline("p", [step("a", lambda data: data)]), 1)
    assert exported.parent_of(exported.at("a")) is exported.at("")
