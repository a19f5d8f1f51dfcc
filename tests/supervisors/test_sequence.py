"""The sequence: outputs chain, the first failure ends it, and nothing that was done before is lost."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    FailureDomain,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    SpanStatus,
    Step,
    UsageMeter,
    open_system,
)

ONCE = RetryPolicy(max_attempts=1)


async def run(step: AnyStep, data: Any = None, **options: Any) -> PipelineResult[Any, Any]:
    async with open_system() as system:
        result: PipelineResult[Any, Any] = await system.run(step, data, **options)
    return result


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


def note(line: str, *, cost: float = 0.0, fails: bool = False) -> AnyStep:
    async def agent(data: Any, *, context: Notes, usage: UsageMeter) -> Any:
        context.lines.append(line)
        usage.charge(cost_usd=cost)
        if fails:
            raise ValueError(line)
        return data

    return Step(line, agent, retry=ONCE)


def sleeper(name: str, seconds: float) -> AnyStep:
    async def agent(data: Any) -> Any:
        await trio.sleep(seconds)
        return data

    return Step(name, agent, retry=ONCE)


async def test_each_output_is_the_next_input_none_included() -> None:
    inputs: list[Any] = []

    def step(name: str, output: Any) -> AnyStep:
        async def agent(data: Any) -> Any:
            inputs.append(data)
            return output

        return Step(name, agent)

    result = await run(Pipeline("p", [step("a", None), step("b", 0), step("c", None)]), "start")
    assert inputs == ["start", None, 0]
    assert result.success
    assert result.unwrap() is None


@settings(deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=20), st.integers())
def test_a_sequence_is_the_composition_of_its_agents(terms: list[int], start: int) -> None:
    def adder(term: int) -> AnyStep:
        return Step("add", term.__add__)

    async def main() -> PipelineResult[Any, Any]:
        return await run(Pipeline("p", [adder(term) for term in terms]), start)

    result = trio.run(main)
    assert result.output == start + sum(terms)
    assert len(result.step_history) == len(terms)


async def test_the_first_failure_ends_the_pipeline_and_the_result_so_far_is_returned() -> None:
    pipeline = Pipeline("p", [note("a", cost=0.1), note("b", cost=0.2, fails=True), note("c", cost=0.4)])
    result = await run(pipeline, 1, context=Notes())
    assert result.status is SpanStatus.FAILED
    assert not result.success
    assert result.output is None
    assert [(each.name, each.success) for each in result.step_history] == [("a", True), ("b", False)]
    assert result.context == Notes(["a"])
    assert result.total_cost_usd == 0.3
    assert result.failure is result.step_history[1].failure
    assert str(result.failure) == "b: Agent execution failed with ValueError: b"


async def test_a_pipeline_in_a_pipeline_obeys_the_same_rule() -> None:
    inner = Pipeline[Any, Any, Any]("inner", [note("b"), note("c", fails=True), note("d")])
    result = await run(Pipeline("p", [note("a"), inner, note("e")]), 1, context=Notes())
    assert result.context == Notes(["a", "b"])
    assert result.failure is not None
    assert result.failure.step == "inner/c"
    assert [each.name for each in result.step_history] == ["a", "inner"]
    assert [each.name for each in result.step_history[1].step_history] == ["b", "c"]
    assert result.step_history[1].feedback == "Agent execution failed with ValueError: c"


async def test_siblings_of_one_name_have_paths_of_their_own() -> None:
    inner = Pipeline[Any, Any, Any]("p", [note("double"), note("double", fails=True)])
    result = await run(inner >> note("double"), 1, context=Notes())
    assert result.failure is not None
    assert result.failure.step == "p/double#2"
    assert [span.attributes["path"] for span in result.spans] == ["p/double", "p/double#2", "p", ""]


async def test_the_figures_of_a_composite_are_the_totals_of_all_inside() -> None:
    inner = Pipeline[Any, Any, Any]("inner", [note("b", cost=0.2), note("c", cost=0.3)])
    result = await run(Pipeline("p", [note("a", cost=0.1), inner]), 1, context=Notes())
    assert [each.cost_usd for each in result.step_history] == [0.1, 0.5]
    assert result.total_cost_usd == 0.6


async def test_the_context_is_of_the_caller_s_class_and_the_caller_s_own_is_never_changed() -> None:
    given_notes = Notes(["before"])
    result = await run(Pipeline("p", [note("a"), note("b")]), 1, context=given_notes)
    assert given_notes == Notes(["before"])
    assert type(result.context) is Notes
    assert type(result.context.lines) is list
    assert result.context.lines == ["before", "a", "b"]


async def test_an_agent_that_keeps_its_context_cannot_change_the_run_s() -> None:
    kept: list[Notes] = []

    async def keep(data: Any, *, context: Notes) -> Any:
        kept.append(context)
        return data

    async def meddle(data: Any, *, context: Notes) -> Any:
        kept[0].lines.append("meddled")
        return data

    result = await run(Pipeline("p", [Step("keep", keep), Step("meddle", meddle)]), 1, context=Notes())
    assert result.context == Notes()


async def test_a_run_without_a_context_has_none() -> None:
    result = await run(Step("a", str.upper), "x")
    assert result.context is None
    assert result.step_history[0].branch_context is None


class TestRetriedPipeline:
    async def test_every_attempt_begins_on_a_fresh_context_and_all_spending_counts(self) -> None:
        attempts: list[list[str]] = []

        async def flaky(data: Any, *, context: Notes) -> Any:
            attempts.append(list(context.lines))
            if len(attempts) < 3:
                raise ValueError("not yet")
            return data

        pipeline = Pipeline[Any, Any, Any](
            "p", [note("a", cost=0.1), Step("flaky", flaky, retry=ONCE)], retry=RetryPolicy(max_attempts=3)
        )
        result = await run(pipeline, 1, context=Notes())
        assert attempts == [["a"], ["a"], ["a"]]
        assert result.context == Notes(["a"])
        assert result.total_cost_usd == 0.3
        assert [each.name for each in result.step_history] == ["a", "flaky"] * 3

    async def test_the_attempts_stand_in_the_span(self, autojump_clock: MockClock) -> None:
        async def fail(data: Any) -> None:
            await trio.sleep(2)
            raise ValueError("no")

        policy = RetryPolicy(max_attempts=2, backoff=3.0)
        pipeline = Pipeline[Any, Any, Any]("p", [Step("a", fail, retry=ONCE)], retry=policy)
        root = (await run(pipeline)).trace_tree
        entries = [
            (entry["number"], entry["start_time"] - root["start_time"], entry["end_time"] - root["start_time"])
            for entry in root["attributes"]["attempts"]
        ]
        assert entries == [(1, 0, 2), (2, 5, 7)]
        assert [child["name"] for child in root["children"]] == ["a", "a"]


class TestTimeout:
    async def test_a_pipeline_s_timeout_bounds_all_inside_and_names_what_was_running(
        self, autojump_clock: MockClock
    ) -> None:
        inner = Pipeline[Any, Any, Any]("inner", [sleeper("quick", 1), sleeper("slow", 9), sleeper("never", 1)])
        result = await run(Pipeline("p", [inner], timeout=3.0))
        assert trio.current_time() == 3
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.TIMEOUT
        assert result.failure.feedback == "Timed out after 3.0 s"
        assert result.failure.running == ("inner/slow",)
        assert str(result.failure) == "the pipeline: Timed out after 3.0 s (while running inner/slow)"
        assert [each.name for each in result.step_history] == ["inner"]
        inside = result.step_history[0].step_history
        assert [(each.name, each.success) for each in inside] == [("quick", True), ("slow", False)]
        assert inside[1].feedback == "Cancelled: the run ran out of time"

    async def test_a_child_s_time_never_ends_later_than_its_parent_s(self, autojump_clock: MockClock) -> None:
        patient = Step("patient", trio.sleep, timeout=100.0, retry=RetryPolicy(max_attempts=9))
        result = await run(Pipeline("p", [patient], timeout=3.0), 1000)
        assert trio.current_time() == 3
        assert result.step_history[0].attempts == 1

    async def test_the_parent_s_timeout_ends_a_back_off(self, autojump_clock: MockClock) -> None:
        calls: list[float] = []

        def fail(data: Any) -> None:
            calls.append(trio.current_time())
            raise ValueError

        flaky = Step("flaky", fail, retry=RetryPolicy(max_attempts=9, backoff=10.0))
        result = await run(Pipeline("p", [flaky], timeout=3.0))
        assert trio.current_time() == 3
        assert calls == [0]
        assert result.step_history[0].attempts == 1
        leaf = result.trace_tree["children"][0]
        assert [entry["number"] for entry in leaf["attributes"]["attempts"]] == [1]
        assert all(entry["end_time"] <= leaf["end_time"] for entry in leaf["attributes"]["attempts"])

    async def test_steps_that_succeeded_before_the_timeout_keep_their_writes(self, autojump_clock: MockClock) -> None:
        inner = Pipeline[Any, Any, Any]("inner", [note("b"), sleeper("slow", 9)])
        result = await run(Pipeline("p", [note("a"), inner], timeout=3.0), context=Notes())
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.TIMEOUT
        assert result.context == Notes(["a", "b"])

    async def test_a_timed_out_pipeline_may_be_tried_again(self, autojump_clock: MockClock) -> None:
        durations = [9.0, 1.0]

        async def agent(data: Any) -> None:
            await trio.sleep(durations.pop(0))

        pipeline = Pipeline[Any, Any, Any]("p", [Step("s", agent)], timeout=3.0, retry=RetryPolicy(max_attempts=2))
        result = await run(pipeline)
        assert result.success
        assert trio.current_time() == 4


@pytest.mark.parametrize("depth", [1, 60])
async def test_deep_nesting_runs(depth: int) -> None:
    pipeline: AnyStep = Step("inc", (1).__add__)
    for _ in range(depth):
        pipeline = Pipeline[Any, Any, Any]("p", [pipeline])
    result = await run(pipeline, 1)
    assert result.output == 2
    assert len(result.spans) == depth + 1
