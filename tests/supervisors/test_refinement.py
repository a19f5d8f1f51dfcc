"""refine_until: the generator tries until the critic is content."""

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
    Pipeline,
    PipelineResult,
    RefinementCheck,
    RetryPolicy,
    Step,
    StepResult,
    UsageMeter,
    open_system,
    refine_until,
)

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


async def run(step: AnyStep, data: Any = None, **options: Any) -> PipelineResult[Any, Any]:
    async with open_system() as system:
        result: PipelineResult[Any, Any] = await system.run(step, data, **options)
    return result


class Counting:
    """A generator that counts 1, 2, 3 …, and a critic that wants a number."""

    def __init__(self, target: int, *, generator_fails_at: int = 0, critic_fails_at: int = 0) -> None:
        self.requests: list[Any] = []

        async def generate(request: Any, *, context: Notes, usage: UsageMeter) -> int:
            self.requests.append(request)
            usage.charge(cost_usd=0.01)
            context.lines.append(f"generated {len(self.requests)}")
            if len(self.requests) == generator_fails_at:
                raise ValueError("no idea")
            return len(self.requests)

        async def criticise(value: int, *, context: Notes, usage: UsageMeter) -> RefinementCheck:
            usage.charge(cost_usd=0.02)
            context.lines.append(f"criticised {value}")
            if value == critic_fails_at:
                raise ValueError("speechless")
            return RefinementCheck(value >= target, f"value_{value}")

        self.generator: AnyStep = Step("generate", generate, retry=ONCE)
        self.critic: AnyStep = Step("criticise", criticise, retry=ONCE)

    def step(self, **options: Any) -> AnyStep:
        return refine_until("refine", self.generator, self.critic, **options)


async def refined(counting: Counting, data: Any = "x", **options: Any) -> StepResult:
    return (await run(counting.step(**options), data, context=Notes())).step_history[0]


class TestEnds:
    async def test_when_the_rounds_are_used_up_the_output_is_the_last_check(self) -> None:
        result = await run(Counting(10).step(max_refinements=2), "x", context=Notes())
        assert not result.success
        assert result.output == RefinementCheck(is_complete=False, feedback="value_2")
        refine = result.step_history[0]
        assert (refine.success, refine.output) == (False, result.output)
        assert refine.feedback == "reached max_loops"
        assert refine.metadata == {"exit_reason": "max_loops", "iterations": 2}
        assert (refine.attempts, refine.cost_usd) == (2, 0.06)

    async def test_when_the_critic_is_content_the_output_is_the_generator_s_last_value(self) -> None:
        result = await run(Pipeline("p", [Counting(3).step(), Step("after", hex)]), "x", context=Notes())
        assert result.output == "0x3"
        refine = result.step_history[0]
        assert (refine.success, refine.output, refine.failure) == (True, 3, None)
        assert refine.metadata == {"exit_reason": "condition", "iterations": 3}

    async def test_the_last_round_may_be_the_good_one(self) -> None:
        refine = await refined(Counting(2), max_refinements=2)
        assert (refine.success, refine.output) == (True, 2)

    async def test_a_value_of_none_is_a_value(self) -> None:
        step = refine_until("refine", Step("g", lambda request: None), Step("c", lambda value: RefinementCheck(True)))
        result = await run(step)
        assert (result.success, result.output) == (True, None)

    @settings(deadline=None, max_examples=30)
    @given(target=st.integers(1, 9), most=st.integers(1, 9))
    def test_rounds_are_as_many_as_it_takes_or_as_are_allowed(self, target: int, most: int) -> None:
        counting = Counting(target)

        async def main() -> StepResult:
            return await refined(counting, max_refinements=most)

        refine = trio.run(main)
        assert refine.attempts == len(counting.requests) == len(refine.step_history) == min(target, most)
        assert refine.success == (target <= most)
        assert refine.output == (target if refine.success else RefinementCheck(False, f"value_{most}"))


class TestRequests:
    async def test_the_first_has_no_feedback_and_the_others_that_of_the_last_check(self) -> None:
        counting = Counting(3)
        await refined(counting, "topic")
        assert counting.requests == [
            {"original_input": "topic", "feedback": None},
            {"original_input": "topic", "feedback": "value_1"},
            {"original_input": "topic", "feedback": "value_2"},
        ]

    @pytest.mark.parametrize("kind", ["sync", "async"])
    async def test_a_feedback_mapper_makes_all_but_the_first(self, kind: str) -> None:
        def sync(original: str, check: RefinementCheck) -> str:
            return f"{original}, but {check.feedback}"

        async def asynchronous(original: str, check: RefinementCheck) -> str:
            await trio.lowlevel.checkpoint()
            return sync(original, check)

        mapper: Callable[[Any, Any], Any] = sync if kind == "sync" else asynchronous
        counting = Counting(3)
        await refined(counting, "topic", feedback_mapper=mapper)
        assert counting.requests == [
            {"original_input": "topic", "feedback": None},
            "topic, but value_1",
            "topic, but value_2",
        ]

    async def test_a_feedback_mapper_that_raises_fails_the_step(self) -> None:
        def mapper(original: Any, check: Any) -> None:
            raise ValueError("boom")

        refine = await refined(Counting(3), feedback_mapper=mapper)
        assert refine.feedback == "Error in feedback_mapper for refine_until 'refine': boom"
        assert refine.failure is not None
        assert refine.failure.domain is FailureDomain.MAPPER
        assert refine.metadata == {"exit_reason": "iteration_input_mapper_error", "iterations": 1}

    async def test_a_feedback_mapper_is_not_asked_after_the_last_round(self) -> None:
        asked: list[Any] = []

        def mapper(original: Any, check: RefinementCheck) -> None:
            asked.append(check.feedback)

        await refined(Counting(9), feedback_mapper=mapper, max_refinements=3)
        assert asked == ["value_1", "value_2"]


class TestFailures:
    @pytest.mark.parametrize("given", [None, True, "fine", {"is_complete": True}])
    async def test_a_critic_that_returns_anything_else_is_a_failure_that_says_so(self, given: Any) -> None:
        result = await run(refine_until("refine", Step("g", lambda request: 1), Step("c", lambda value: given)))
        refine = result.step_history[0]
        assert (refine.success, refine.output) == (False, None)
        expected = f"The critic of 'refine' must return a RefinementCheck, got {type(given).__name__}"
        assert refine.feedback == expected
        assert refine.metadata["iterations"] == 1

    async def test_a_check_that_is_neither_complete_nor_not_is_the_critic_s_failure(self) -> None:
        class Undecided:
            def __bool__(self) -> bool:
                raise RuntimeError("neither true nor false")

        undecided: Any = Undecided()
        critic = Step("c", lambda value: RefinementCheck(is_complete=undecided))
        result = await run(refine_until("refine", Step("g", lambda request: 1), critic))
        assert result.step_history[0].feedback == (
            "Loop body failed: Agent execution failed with RuntimeError: neither true nor false"
        )

    async def test_a_generator_that_fails_ends_it(self) -> None:
        result = await run(Counting(9, generator_fails_at=2).step(), "x", context=Notes())
        refine = result.step_history[0]
        assert refine.feedback == "Loop body failed: Agent execution failed with ValueError: no idea"
        assert (refine.success, refine.output) == (False, None)
        assert refine.metadata == {"exit_reason": "body_step_error", "iterations": 2}
        assert refine.failure is not None
        assert refine.failure.cause is not None
        assert refine.failure.cause.step == "refine[2]/round/generate"
        assert refine.cost_usd == 0.04
        assert result.context.lines == ["generated 1", "criticised 1"]

    async def test_a_critic_that_fails_ends_it_and_its_whole_round_s_writes_are_out(self) -> None:
        result = await run(Counting(9, critic_fails_at=2).step(), "x", context=Notes())
        refine = result.step_history[0]
        assert refine.feedback == "Loop body failed: Agent execution failed with ValueError: speechless"
        assert refine.cost_usd == 0.06
        assert result.context.lines == ["generated 1", "criticised 1"]

    async def test_a_fallback_gets_the_original_input(self) -> None:
        backup = Step("backup", lambda data: f"backup {data}")
        refine = await refined(Counting(9), "x", max_refinements=1, fallback=backup)
        assert (refine.success, refine.output, refine.attempts) == (True, "backup x", 2)
        assert refine.metadata["original_error"] == "reached max_loops"


class TestRecords:
    async def test_all_rounds_write(self) -> None:
        result = await run(Counting(2).step(), "x", context=Notes())
        assert result.context.lines == ["generated 1", "criticised 1", "generated 2", "criticised 2"]

    async def test_rounds_are_numbered_in_paths_and_spans(self) -> None:
        result = await run(Counting(2).step(), "x", context=Notes())
        assert [span.attributes["path"] for span in result.spans] == [
            "refine[1]/round/generate",
            "refine[1]/round/criticise",
            "refine[1]/round",
            "refine[2]/round/generate",
            "refine[2]/round/criticise",
            "refine[2]/round",
            "refine",
            "",
        ]
        (refine,) = result.trace_tree["children"]
        assert [each["attributes"]["iteration"] for each in refine["children"]] == [1, 2]

    async def test_time_that_runs_out_in_a_round_leaves_the_rounds_before(self, autojump_clock: MockClock) -> None:
        counting = Counting(9)

        async def slow(value: int) -> RefinementCheck:
            await trio.sleep(2)
            return RefinementCheck(False)

        step = refine_until("refine", counting.generator, Step("slow", slow), timeout=5)
        result = await run(step, "x", context=Notes())
        refine = result.step_history[0]
        assert refine.feedback == "Timed out after 5.0 s"
        assert (refine.attempts, refine.metadata["iterations"], refine.cost_usd) == (3, 3, 0.03)
        assert result.context.lines == ["generated 1", "generated 2"]
