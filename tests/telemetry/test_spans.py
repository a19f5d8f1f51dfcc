"""The spans of a run in OpenTelemetry: those that flujo stores, with the same parents and times."""

# pyright: reportUnknownLambdaType=false

from __future__ import annotations

import gc
from typing import Any

import attrs
import pytest
import trio
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    BaseStep,
    CacheStep,
    ConditionalStep,
    LoopStep,
    MapStep,
    ParallelStep,
    Pipeline,
    RetryPolicy,
    Step,
    UsageMeter,
    open_system,
)
from flujo_actors.supervisors import LeafActor
from flujo_actors.telemetry import OpenTelemetryObserver
from tests.telemetry.conftest import Exported, attributes, events

ONCE = RetryPolicy(max_attempts=1)


async def increment(number: int) -> int:
    await trio.lowlevel.checkpoint()
    return number + 1


async def spend(number: int, *, usage: UsageMeter) -> int:
    usage.charge(cost_usd=0.25, prompt_tokens=3, completion_tokens=1)
    return number


def step(name: str, agent: Any = increment, **options: Any) -> AnyStep:
    return Step[Any, Any, Any](name, agent, **options)


def of_every_kind() -> AnyStep:
    loop = LoopStep[Any, Any, Any](
        "grow", step("grower"), exit_condition=lambda output, context: output > 3, max_loops=9
    )
    fan = ParallelStep[Any, Any, Any]("fan", {"left": step("a"), "right": step("b", spend)})
    choose = ConditionalStep[Any, Any, Any]("choose", lambda data, context: "yes", {"yes": step("chosen", spend)})
    each = MapStep[Any, Any, Any]("each", step("item"), over=lambda data, context: [1, 2])
    return Pipeline[Any, Any, Any]("all", [step("first"), loop, fan, choose, each])


async def test_there_is_one_for_every_span_of_flujo_with_its_parent_and_its_times(exported: Exported) -> None:
    result = await exported.run(of_every_kind())
    assert result.success
    ours = {span.span_id: span for span in result.spans}
    theirs = {attributes(span)["flujo.span_id"]: span for span in exported.spans}
    assert len(exported.spans) == len(theirs)
    assert theirs.keys() == ours.keys()
    for span_id, span in theirs.items():
        parent = exported.parent_of(span)
        assert (None if parent is None else attributes(parent)["flujo.span_id"]) == ours[span_id].parent_span_id
        assert span.start_time == int(ours[span_id].start_time * 1e9)
        assert span.end_time == int((ours[span_id].end_time or 0) * 1e9)
        assert attributes(span)["flujo.path"] == ours[span_id].attributes["path"]
        assert attributes(span)["flujo.status"] == ours[span_id].status
        assert span.kind is SpanKind.INTERNAL


async def test_it_says_which_run_and_step_it_is_of(exported: Exported) -> None:
    result = await exported.run(of_every_kind())
    iterations = [span for span in exported.spans if span.name == "invoke_agent grower"]
    assert [attributes(span)["flujo.iteration"] for span in iterations] == [1, 2]
    assert [attributes(span)["flujo.path"] for span in iterations] == ["grow[1]/grower", "grow[2]/grower"]
    left = attributes(exported.at("fan/left"))
    assert left["flujo.run_id"] == result.run_id
    assert (left["flujo.pipeline"], left["flujo.kind"], left["flujo.branch"]) == ("all", "Step", "left")
    assert attributes(exported.at("fan"))["flujo.kind"] == "ParallelStep"
    assert {attributes(span)["flujo.item"] for span in exported.spans if span.name == "invoke_agent item"} == {1, 2}


async def test_names_come_from_the_definition_whatever_the_number_of_rounds_branches_and_items(
    exported: Exported,
) -> None:
    await exported.run(of_every_kind())
    assert {span.name for span in exported.spans} == {
        "invoke_workflow all",
        "invoke_agent first",
        "grow",
        "invoke_agent grower",
        "fan",
        "invoke_agent a",
        "invoke_agent b",
        "choose",
        "invoke_agent chosen",
        "each",
        "invoke_agent item",
    }


async def test_a_step_with_an_agent_is_an_agent_and_the_run_a_workflow_in_the_words_of_the_conventions(
    exported: Exported,
) -> None:
    await exported.run(of_every_kind())
    described = {
        path: {name: value for name, value in attributes(exported.at(path)).items() if name.startswith("gen_ai.")}
        for path in ("", "fan", "fan/left", "fan/right")
    }
    assert described == {
        "": {"gen_ai.operation.name": "invoke_workflow", "gen_ai.agent.name": "all"},
        "fan": {},
        "fan/left": {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"},
        "fan/right": {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "b",
            "gen_ai.usage.input_tokens": 3,
            "gen_ai.usage.output_tokens": 1,
        },
    }


async def test_what_is_spent_stands_in_every_step_above_and_its_tokens_once_under_the_names_of_the_conventions(
    exported: Exported,
) -> None:
    async def run_inner(data: Any, *, resources: Any, usage: UsageMeter) -> Any:
        usage.charge(prompt_tokens=100)
        return (await resources.run(Pipeline("inner", [step("spend", spend)]), data)).unwrap()

    async with open_system(observers=[OpenTelemetryObserver(exported.provider)]) as system:
        result = await system.run(step("outer", run_inner), 1, resources=system)
    assert [(attributes(span)["flujo.path"], attributes(span)["flujo.prompt_tokens"]) for span in exported.spans] == [
        ("outer/inner/spend", 3),
        ("outer/inner", 3),
        ("outer", 103),
        ("", 103),
    ]
    assert {attributes(span)["flujo.cost_usd"] for span in exported.spans} == {0.25}
    counted = [
        attributes(span).get(f"gen_ai.usage.{kind}_tokens", 0)
        for span in exported.spans
        for kind in ("input", "output")
    ]
    assert sum(counted) == result.total_tokens == 104


async def test_tokens_of_which_only_the_sum_is_known_are_not_given_out_as_input_or_output(exported: Exported) -> None:
    @attrs.frozen
    class Answer:
        token_counts: int

    await exported.run(step("a", lambda data: Answer(7)))
    spent = attributes(exported.at("a"))
    assert spent["flujo.other_tokens"] == 7
    assert "gen_ai.usage.input_tokens" not in spent


async def test_what_every_attempt_has_spent_counts(exported: Exported) -> None:
    tries = iter(range(3))

    async def fail_twice(data: Any, *, usage: UsageMeter) -> None:
        usage.charge(prompt_tokens=10)
        if next(tries) < 2:
            raise ValueError("boom")

    await exported.run(step("a", fail_twice, retry=RetryPolicy(max_attempts=3)))
    spent = attributes(exported.at("a"))
    assert (spent["gen_ai.usage.input_tokens"], spent["flujo.attempts"]) == (30, 3)


async def test_what_kinds_of_steps_say_of_themselves_stands_there_too_but_no_values(
    exported: Exported,
) -> None:
    await exported.run(
        Pipeline[Any, Any, Any]("p", [of_every_kind(), CacheStep[Any, Any, Any]("cached", step("a", spend))])
    )
    assert attributes(exported.at("all/grow"))["flujo.metadata.exit_reason"] == "condition"
    assert attributes(exported.at("all/fan"))["flujo.metadata.executed_branches"] == ("left", "right")
    assert attributes(exported.at("all/each"))["flujo.metadata.items"] == 2
    assert attributes(exported.at("cached"))["flujo.metadata.cache_hit"] is False
    assert "flujo.metadata.executed_branch_key" not in attributes(exported.at("all/choose"))


async def test_iterations_and_merges_are_events_of_the_step_that_makes_them(exported: Exported) -> None:
    await exported.run(of_every_kind())
    assert events(exported.at("grow")) == [("flujo.iteration", {"flujo.iteration": n}) for n in (1, 2)]
    assert events(exported.at("fan")) == [("flujo.merge", {"flujo.branches": ("left", "right")})]
    for span in exported.spans:
        assert span.start_time is not None
        assert span.end_time is not None
        assert all(span.start_time <= event.timestamp <= span.end_time for event in span.events)


async def test_a_list_is_cut_off_with_its_length(exported: Exported) -> None:
    await exported.run(ParallelStep[Any, Any, Any]("fan", {f"branch {number}": step("a") for number in range(1234)}))
    [(_, merge)] = events(exported.at("fan"))
    ran = attributes(exported.at("fan"))["flujo.metadata.executed_branches"]
    for listed in (ran, merge["flujo.branches"]):
        assert (len(listed), listed[99], listed[100]) == (101, "branch 99", "and 1,134 more")


async def test_times_are_those_of_a_mock_clock_where_the_run_s_are(exported: Exported, mock_clock: MockClock) -> None:
    mock_clock.autojump_threshold = 0
    await exported.run(step("sleep", trio.sleep), 1000)
    span = exported.at("sleep")
    assert span.start_time is not None
    assert span.end_time is not None
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(1000)


async def test_no_more_spans_are_held_than_are_open(provider: TracerProvider) -> None:
    def count() -> int:
        gc.collect()
        return sum(type(each).__name__ == "_Span" for each in gc.get_objects())

    held, before = list[int](), count()

    def look(number: int) -> int:
        if number in {1, 300}:
            held.append(count() - before)
        return number + 1

    loop = LoopStep[Any, Any, Any](
        "loop", step("a", look), exit_condition=lambda output, context: output > 300, max_loops=500
    )
    async with open_system(observers=[OpenTelemetryObserver(provider)]) as system:
        assert (await system.run(loop, 1)).success
    assert held == [3, 3]


async def test_a_run_that_is_not_sampled_runs_as_well(exported: Exported) -> None:
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(SimpleSpanProcessor(exported.exporter))
    async with open_system(observers=[OpenTelemetryObserver(provider)]) as system:
        assert (await system.run(of_every_kind(), 1)).success
    assert exported.spans == ()


async def test_a_sampler_sees_what_is_known_of_a_step_when_it_begins(exported: Exported) -> None:
    class OnlyComposites(Sampler):
        def should_sample(self, *arguments: Any, **options: Any) -> SamplingResult:
            described: Any = options.get("attributes") or arguments[4]
            is_agent = described.get("gen_ai.operation.name") == "invoke_agent"
            return SamplingResult(Decision.DROP if is_agent else Decision.RECORD_AND_SAMPLE, described)

        def get_description(self) -> str:
            return "OnlyComposites"

    provider = TracerProvider(sampler=OnlyComposites())
    provider.add_span_processor(SimpleSpanProcessor(exported.exporter))
    async with open_system(observers=[OpenTelemetryObserver(provider)]) as system:
        await system.run(of_every_kind(), 1)
    assert {span.name for span in exported.spans} == {"invoke_workflow all", "grow", "fan", "choose", "each"}


async def test_without_an_sdk_nothing_is_emitted_and_nothing_breaks(caplog: pytest.LogCaptureFixture) -> None:
    async with open_system(observers=[OpenTelemetryObserver()]) as system:
        assert (await system.run(of_every_kind(), 1)).success
    assert caplog.records == []


async def test_a_processor_that_raises_does_not_disturb_the_run(
    provider: TracerProvider, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(SimpleSpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise ValueError("no spans, please")

        def on_end(self, span: ReadableSpan) -> None:
            raise ValueError("no spans, please")

    provider.add_span_processor(Broken(Exported(provider).exporter))
    async with open_system(observers=[OpenTelemetryObserver(provider)]) as system:
        assert (await system.run(of_every_kind(), 1)).success
    assert len(caplog.records) == 1
    assert "no spans, please" in caplog.text


class Unborn(LeafActor):
    """An actor that cannot be made."""

    def __init__(self, *arguments: Any) -> None:
        raise RuntimeError("a bug in an actor of one's own")


@attrs.frozen(slots=False)
class Odd(BaseStep[Any, Any, Any]):
    """A kind of step of one's own."""


async def test_spans_of_a_run_that_breaks_end_with_it_as_errors(exported: Exported) -> None:
    with pytest.raises(RuntimeError, match="a bug in an actor of one's own"):
        async with open_system(observers=[OpenTelemetryObserver(exported.provider)], actors={Odd: Unborn}) as system:
            await system.run(Odd("odd"), 1)
    odd = exported.named("odd")
    assert (odd.status.status_code, odd.status.description) == (
        StatusCode.ERROR,
        "the run broke before this step had ended",
    )
    assert exported.parent_of(odd) is exported.named("invoke_workflow odd")
