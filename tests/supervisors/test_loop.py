"""The loop: what an iteration leaves, how the loop ends, and what its functions may do."""

from __future__ import annotations

from collections.abc import Callable
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
    LoopStep,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    SpanStatus,
    Step,
    StepResult,
    UsageMeter,
    open_system,
)

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


async def run(step: AnyStep, data: Any = None, **options: Any) -> PipelineResult[Any, Any]:
    async with open_system() as system:
        result: PipelineResult[Any, Any] = await system.run(step, data, **options)
    return result


async def loop_result(step: AnyStep, data: Any = None, **options: Any) -> StepResult:
    return (await run(step, data, **options)).step_history[0]


def double(data: int) -> int:
    return data * 2


def never(output: Any, context: Any) -> bool:
    return False


def always(output: Any, context: Any) -> bool:
    return True


def at_least(limit: int) -> Callable[[int, Any], bool]:
    return lambda output, context: output >= limit


def fail(*arguments: Any) -> Any:
    raise ValueError("boom")


def note(line: str) -> AnyStep:
    """Writes a line, spends a cent."""

    async def agent(data: Any, *, context: Notes, usage: UsageMeter) -> Any:
        context.lines.append(f"{line} {data}")
        usage.charge(cost_usd=0.01)
        return data

    return Step(line, agent, retry=ONCE)


def failing_at(number: int) -> AnyStep:
    """Counts up, and fails with a cent spent and a line written when it gets a number."""

    async def agent(data: int, *, context: Notes, usage: UsageMeter) -> int:
        context.lines.append(f"count {data}")
        usage.charge(cost_usd=0.01)
        if data == number:
            raise ValueError(f"no {data}")
        return data + 1

    return Step("count", agent, retry=ONCE)


def noting(line: str, value: Callable[[Any], Any], *, kind: str) -> Callable[..., Any]:
    """A function of output, context and perhaps more that writes a line."""

    def sync(data: Any, context: Notes, *more: Any) -> Any:
        context.lines.append(" ".join(map(str, (line, data, *more))))
        return value(data)

    async def asynchronous(data: Any, context: Notes, *more: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return sync(data, context, *more)

    return sync if kind == "sync" else asynchronous


class TestNormalEnd:
    async def test_a_condition_that_holds_is_a_success_that_says_so(self) -> None:
        result = await run(LoopStep("grow", Step("double", double), exit_condition=at_least(8)), 1)
        assert result.success
        assert result.output == 8
        grow = result.step_history[0]
        assert grow.feedback == "loop exited by condition"
        assert grow.failure is None
        assert grow.metadata == {"exit_reason": "condition", "iterations": 3}
        assert grow.attempts == 3

    async def test_running_out_of_iterations_is_a_failure_that_keeps_the_output(self) -> None:
        result = await run(LoopStep("grow", Step("double", double), exit_condition=never, max_loops=3), 1)
        assert not result.success
        assert result.output == 8
        grow = result.step_history[0]
        assert (grow.success, grow.output, grow.attempts) == (False, 8, 3)
        assert grow.feedback == "reached max_loops"
        assert grow.failure is not None
        assert grow.failure.domain is FailureDomain.CONDITION
        assert str(result.failure) == "grow: reached max_loops"
        assert grow.metadata == {"exit_reason": "max_loops", "iterations": 3}

    async def test_running_out_of_iterations_is_a_success_where_that_was_asked_for(self) -> None:
        step = LoopStep("grow", Step("double", double), exit_condition=never, max_loops=2, on_max_loops="succeed")
        result = await run(Pipeline("p", [step, Step("after", lambda number: f"{number}")]), 1)
        assert result.success
        assert result.output == "4"
        grow = result.step_history[0]
        assert (grow.success, grow.failure, grow.output) == (True, None, 4)
        assert grow.metadata == {"exit_reason": "max_loops", "iterations": 2}

    async def test_the_condition_is_asked_after_the_last_iteration_too(self) -> None:
        grow = await loop_result(LoopStep("grow", Step("double", double), exit_condition=at_least(8), max_loops=3), 1)
        assert grow.metadata["exit_reason"] == "condition"
        assert grow.success

    @pytest.mark.parametrize("condition", [always, never])
    @pytest.mark.parametrize("on_max_loops", ["fail", "succeed"])
    async def test_the_output_mapper_is_called_once_on_every_normal_end(
        self, condition: Callable[[Any, Any], bool], on_max_loops: Any
    ) -> None:
        step = LoopStep(
            "grow",
            Step("double", double),
            exit_condition=condition,
            max_loops=1,
            loop_output_mapper=noting("map", lambda output: f"<{output}>", kind="sync"),
            on_max_loops=on_max_loops,
        )
        result = await run(step, 1, context=Notes())
        assert result.output == "<2>"
        assert result.context.lines == ["map 2"]

    @settings(deadline=None, max_examples=30)
    @given(start=st.integers(0, 20), limit=st.integers(0, 20), most=st.integers(1, 8))
    def test_a_loop_does_what_a_while_does(self, start: int, limit: int, most: int) -> None:
        number, iterations = start, 0
        while True:
            number, iterations = number + 1, iterations + 1
            if number >= limit or iterations == most:
                break
        step = LoopStep("count", Step("inc", (1).__add__), exit_condition=at_least(limit), max_loops=most)

        async def main() -> StepResult:
            return await loop_result(step, start)

        result = trio.run(main)
        assert (result.output, result.attempts, result.success) == (number, iterations, number >= limit)
        assert [each.output for each in result.step_history] == list(range(start + 1, number + 1))


@pytest.mark.parametrize("kind", ["sync", "async"])
class TestFunctions:
    async def test_each_is_called_in_its_turn_and_what_it_writes_stays(self, kind: str) -> None:
        step = LoopStep(
            "grow",
            note("body"),
            exit_condition=noting("ask", lambda output: output >= 4, kind=kind),
            initial_input_mapper=noting("first", lambda data: data + 1, kind=kind),
            iteration_input_mapper=noting("next", lambda output: output + 1, kind=kind),
            loop_output_mapper=noting("last", lambda output: output * 10, kind=kind),
        )
        result = await run(step, 1, context=Notes())
        assert result.output == 40
        assert result.context.lines == [
            "first 1",
            "body 2",
            "ask 2",
            "next 2 1",
            "body 3",
            "ask 3",
            "next 3 2",
            "body 4",
            "ask 4",
            "last 4",
        ]

    async def test_no_input_is_mapped_when_no_iteration_is_left(self, kind: str) -> None:
        step = LoopStep(
            "grow",
            note("body"),
            exit_condition=never,
            max_loops=2,
            iteration_input_mapper=noting("next", lambda output: output, kind=kind),
        )
        result = await run(step, 1, context=Notes())
        assert result.context.lines == ["body 1", "next 1 1", "body 1"]

    @pytest.mark.parametrize(
        ("function", "text", "reason", "iterations", "lines"),
        [
            (
                "initial_input_mapper",
                "Error in initial_input_mapper for LoopStep 'grow': boom",
                "initial_input_mapper_error",
                0,
                [],
            ),
            (
                "exit_condition",
                "Exception in exit condition for LoopStep 'grow': boom",
                "exit_condition_error",
                1,
                ["body 1"],
            ),
            (
                "iteration_input_mapper",
                "Error in iteration_input_mapper for LoopStep 'grow': boom",
                "iteration_input_mapper_error",
                1,
                ["body 1"],
            ),
            (
                "loop_output_mapper",
                "Error in loop_output_mapper for LoopStep 'grow': boom",
                "loop_output_mapper_error",
                2,
                ["body 1", "body 1"],
            ),
        ],
    )
    async def test_one_that_raises_fails_the_loop_and_its_own_writes_are_dropped(
        self, kind: str, function: str, text: str, reason: str, iterations: int, lines: list[str]
    ) -> None:
        options: dict[str, Any] = {"exit_condition": never, function: noting("lost", fail, kind=kind)}
        result = await run(LoopStep("grow", note("body"), max_loops=2, **options), 1, context=Notes())
        grow = result.step_history[0]
        assert (grow.success, grow.output, grow.feedback) == (False, None, text)
        assert grow.metadata == {"exit_reason": reason, "iterations": iterations}
        assert grow.failure is not None
        domain = FailureDomain.CONDITION if function == "exit_condition" else FailureDomain.MAPPER
        assert grow.failure.domain is domain
        assert grow.failure.step == "grow"
        assert grow.failure.exception_type == "ValueError"
        assert grow.attempts == iterations == len(grow.step_history)
        assert grow.cost_usd == round(0.01 * iterations, 2)
        assert result.context.lines == lines


async def test_a_condition_s_answer_that_is_neither_true_nor_false_is_a_failure() -> None:
    class Odd:
        def __bool__(self) -> bool:
            raise ValueError("ambiguous")

    grow = await loop_result(LoopStep("grow", Step("double", double), exit_condition=lambda output, context: Odd()), 1)
    assert grow.feedback == "Exception in exit condition for LoopStep 'grow': ambiguous"


async def test_a_function_that_is_cancelled_while_its_own_tasks_fail_ends_with_the_run(
    autojump_clock: MockClock,
) -> None:
    async def fail_in_cleanup() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise OSError("cleaning up")

    async def condition(output: Any, context: Any) -> bool:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail_in_cleanup)
            nursery.start_soon(trio.sleep_forever)
        return True

    result = await run(LoopStep("grow", Step("double", double), exit_condition=condition, timeout=2), 1)
    assert result.step_history[0].feedback == "Timed out after 2.0 s"


class TestBodyFailure:
    async def test_it_ends_the_loop_at_once_and_the_condition_is_not_asked(self) -> None:
        asked: list[int] = []

        def condition(output: int, context: Any) -> bool:
            asked.append(output)
            return False

        step = LoopStep("grow", failing_at(3), exit_condition=condition, loop_output_mapper=fail)
        result = await run(step, 1, context=Notes())
        assert asked == [2, 3]
        assert result.output is None
        grow = result.step_history[0]
        assert (grow.success, grow.output) == (False, None)
        assert grow.feedback == "Loop body failed: Agent execution failed with ValueError: no 3"
        assert grow.metadata == {"exit_reason": "body_step_error", "iterations": 3}
        assert grow.failure is not None
        assert grow.failure.domain is FailureDomain.AGENT
        assert grow.failure.step == "grow"
        assert grow.failure.cause is not None
        assert grow.failure.cause.step == "grow[3]/count"

    async def test_the_failed_iteration_s_spend_is_in_and_its_writes_are_out(self) -> None:
        result = await run(LoopStep("grow", failing_at(3), exit_condition=never), 1, context=Notes())
        grow = result.step_history[0]
        assert (grow.cost_usd, grow.attempts) == (0.03, 3)
        assert [each.success for each in grow.step_history] == [True, True, False]
        assert result.context.lines == ["count 1", "count 2"]
        assert result.total_cost_usd == 0.03

    async def test_what_succeeded_within_the_failed_iteration_is_out_too(self) -> None:
        body = Pipeline[Any, Any, Any]("body", [note("a"), failing_at(2)])
        result = await run(LoopStep("grow", body, exit_condition=never), 1, context=Notes())
        assert result.context.lines == ["a 1", "count 1"]
        assert result.step_history[0].cost_usd == 0.04

    async def test_nested_loops_nest_the_text_and_keep_the_outer_s_earlier_iterations(self) -> None:
        inner = LoopStep[Any, Any, Any]("inner", failing_at(4), exit_condition=lambda out, _: out in (3, 5))
        result = await run(LoopStep("outer", inner, exit_condition=never), 1, context=Notes())
        outer = result.step_history[0]
        expected = "Loop body failed: Loop body failed: Agent execution failed with ValueError: no 4"
        assert outer.feedback == expected
        # The inner loop's first two iterations were one iteration of the outer; its third began the second.
        assert result.context.lines == ["count 1", "count 2", "count 3"][:2]
        assert outer.metadata["iterations"] == 2
        assert result.total_cost_usd == 0.04

    async def test_the_writes_of_a_nested_loop_s_good_iterations_go_with_the_outer_iteration(self) -> None:
        inner = LoopStep[Any, Any, Any]("inner", failing_at(3), exit_condition=never)
        result = await run(LoopStep("outer", inner, exit_condition=never), 1, context=Notes())
        assert result.context.lines == []
        alone = await run(inner, 1, context=Notes())
        assert alone.context.lines == ["count 1", "count 2"]


class TestRecords:
    async def test_the_history_is_flat_and_in_order(self) -> None:
        grow = await loop_result(LoopStep("grow", Step("double", double), exit_condition=at_least(8)), 1)
        assert [(each.name, each.output) for each in grow.step_history] == [("double", 2), ("double", 4), ("double", 8)]

    async def test_an_iteration_is_in_the_paths_and_in_the_span_s_attributes(self) -> None:
        body = Pipeline[Any, Any, Any]("body", [Step("double", double)])
        result = await run(LoopStep("grow", body, exit_condition=never, max_loops=2), 1)
        assert [span.attributes["path"] for span in result.spans] == [
            "grow[1]/body/double",
            "grow[1]/body",
            "grow[2]/body/double",
            "grow[2]/body",
            "grow",
            "",
        ]
        grow = result.trace_tree["children"][0]
        assert [(each["name"], each["attributes"]["iteration"]) for each in grow["children"]] == [
            ("body", 1),
            ("body", 2),
        ]
        assert all("iteration" not in each["children"][0]["attributes"] for each in grow["children"])

    async def test_a_step_after_others_has_paths_below_its_own(self) -> None:
        inner = LoopStep[Any, Any, Any]("grow", Step("double", double), exit_condition=never, max_loops=1)
        outer = LoopStep[Any, Any, Any]("outer", Pipeline("p", [inner]), exit_condition=always)
        result = await run(outer, 1)
        assert result.spans[0].attributes["path"] == "outer[1]/p/grow[1]/double"
        assert result.failure is not None
        assert result.failure.cause is not None
        assert result.failure.cause.step == "outer[1]/p/grow"

    async def test_blame_names_the_iteration(self) -> None:
        result = await run(LoopStep("grow", note("a"), exit_condition=never, max_loops=2), 1, context=Notes())
        origin = result.blame("lines[1]")
        assert origin is not None
        assert (origin.step, origin.iteration) == ("grow[2]/a", 2)

    async def test_every_iteration_forks_what_the_ones_before_left(self) -> None:
        seen: list[list[str]] = []

        async def agent(data: Any, *, context: Notes) -> None:
            seen.append(list(context.lines))
            context.lines.append("x")

        await run(LoopStep("grow", Step("a", agent), exit_condition=never, max_loops=3), context=Notes())
        assert seen == [[], ["x"], ["x", "x"]]


class TestStopping:
    async def test_a_loop_that_runs_out_of_time_keeps_what_its_iterations_did(self, autojump_clock: MockClock) -> None:
        async def slow(data: Any) -> Any:
            await trio.sleep(2)
            return data

        body = Pipeline[Any, Any, Any]("body", [note("a"), Step("slow", slow)])
        result = await run(LoopStep("grow", body, exit_condition=never, timeout=5), 1, context=Notes())
        grow = result.step_history[0]
        assert grow.feedback == "Timed out after 5.0 s"
        assert grow.failure is not None
        assert grow.failure.running == ("grow[3]/body/slow",)
        assert (grow.attempts, grow.cost_usd, grow.latency_s) == (3, 0.03, 5)
        assert grow.metadata["iterations"] == 3
        assert len(grow.step_history) == 3
        assert result.context.lines == ["a 1", "a 1"]

    async def test_a_run_that_is_cancelled_keeps_the_iterations_that_were_done(self, autojump_clock: MockClock) -> None:
        async def slow(data: Any) -> Any:
            await trio.sleep(2)
            return data

        body = Pipeline[Any, Any, Any]("body", [note("a"), Step("slow", slow)])
        async with open_system() as system:
            handle = await system.start(LoopStep("grow", body, exit_condition=never), 1, context=Notes())
            await trio.sleep(3)
            handle.cancel(reason="enough")
            result: PipelineResult[Any, Any] = await handle.wait()
        assert result.status is SpanStatus.CANCELLED
        assert result.context.lines == ["a 1"]
        grow = result.step_history[0]
        assert (grow.feedback, grow.attempts, grow.cost_usd) == ("Cancelled: enough", 2, 0.02)
        statuses = {span.attributes["path"]: str(span.status) for span in result.spans}
        assert statuses["grow[1]/body"] == "completed"
        assert statuses["grow[2]/body/slow"] == statuses["grow"] == "cancelled"

    async def test_a_body_that_runs_out_of_time_fails_the_loop(self, autojump_clock: MockClock) -> None:
        body = Step("slow", trio.sleep, timeout=1, retry=ONCE)
        grow = await loop_result(LoopStep("grow", body, exit_condition=never), 9)
        assert grow.feedback == "Loop body failed: Timed out after 1.0 s"
        assert grow.failure is not None
        assert grow.failure.domain is FailureDomain.TIMEOUT

    async def test_a_function_is_stopped_in_its_wait(self, autojump_clock: MockClock) -> None:
        async def condition(output: Any, context: Notes) -> None:
            context.lines.append("asking")
            await trio.sleep_forever()

        result = await run(LoopStep("grow", note("a"), exit_condition=condition, timeout=2), 1, context=Notes())
        grow = result.step_history[0]
        assert grow.feedback == "Timed out after 2.0 s"
        assert grow.failure is not None
        assert grow.failure.running == ("grow",)
        assert grow.attempts == 1
        assert result.context.lines == ["a 1"]


class TestOtherSteps:
    async def test_a_body_s_retries_are_its_own_and_no_iterations(self) -> None:
        calls: list[int] = []

        def flaky(data: int) -> int:
            calls.append(data)
            if len(calls) % 2:
                raise ValueError("odd")
            return data + 1

        grow = await loop_result(LoopStep("grow", Step("a", flaky), exit_condition=never, max_loops=2), 1)
        assert calls == [1, 1, 2, 2]
        assert grow.attempts == 2
        assert [each.attempts for each in grow.step_history] == [2, 2]

    async def test_a_body_s_fallback_saves_its_iteration(self) -> None:
        body = failing_at(2).with_fallback(note("backup"))
        result = await run(LoopStep("grow", body, exit_condition=never, max_loops=2), 1, context=Notes())
        assert result.output == 2
        assert result.context.lines == ["count 1", "backup 2"]
        assert result.step_history[0].metadata["exit_reason"] == "max_loops"
        assert "grow[2]/count/backup" in {span.attributes["path"] for span in result.spans}

    async def test_a_loop_that_is_tried_again_begins_anew_and_counts_all_its_iterations(self) -> None:
        runs: list[int] = []

        async def flaky(data: int, *, context: Notes, usage: UsageMeter) -> int:
            runs.append(data)
            context.lines.append(str(data))
            usage.charge(cost_usd=0.01)
            if len(runs) == 2:
                raise ValueError("boom")
            return data + 1

        step = LoopStep(
            "grow", Step("a", flaky, retry=ONCE), exit_condition=at_least(4), retry=RetryPolicy(max_attempts=2)
        )
        result = await run(step, 1, context=Notes())
        assert runs == [1, 2, 1, 2, 3]
        assert result.context.lines == ["1", "2", "3"]
        grow = result.step_history[0]
        assert grow.success
        assert (grow.attempts, grow.metadata["iterations"]) == (5, 3)
        assert grow.cost_usd == 0.05
        assert len(grow.step_history) == 5

    async def test_a_loop_that_was_never_content_is_not_tried_again(self) -> None:
        retry = RetryPolicy(max_attempts=3)
        step = LoopStep("grow", Step("double", double), exit_condition=never, max_loops=2, retry=retry)
        assert (await loop_result(step, 1)).attempts == 2
