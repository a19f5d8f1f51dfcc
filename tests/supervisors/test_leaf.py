"""The leaf step: its failure domains, retries, time, usage and context."""

from __future__ import annotations

import contextvars
import random
from collections.abc import Iterator
from decimal import Decimal
from types import SimpleNamespace
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
    MapStep,
    ParallelStep,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    RunFailedError,
    Step,
    StepResult,
    UsageMeter,
    open_system,
    run_pipeline,
)
from flujo_actors.nurseries import exceptions_in

ONCE = RetryPolicy(max_attempts=1)


async def run(step: AnyStep, data: Any = None, **options: Any) -> PipelineResult[Any, Any]:
    async with open_system(random_seed=1) as system:
        result: PipelineResult[Any, Any] = await system.run(step, data, **options)
    return result


class Flaky:
    """Raises as often as it is told, then gives its input; counts its calls."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.called_at: list[float] = []

    async def run(self, data: Any) -> Any:
        self.called_at.append(trio.current_time())
        if self.errors:
            raise self.errors.pop(0)
        return data


def iter_nothing() -> Iterator[None]:
    """A generator, which cannot be copied."""
    yield from ()


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text today")


class TestAgentFailure:
    @pytest.mark.parametrize(
        ("error", "feedback"),
        [
            (ValueError("boom"), "Agent execution failed with ValueError: boom"),
            (KeyError("k"), "Agent execution failed with KeyError: 'k'"),
            (StopIteration(3), "Agent execution failed with StopIteration: 3"),
            (TimeoutError("slow"), "Agent execution failed with TimeoutError: slow"),
            (trio.TooSlowError(), "Agent execution failed with TooSlowError"),
            (
                UnprintableError(),
                "Agent execution failed with UnprintableError: (no text: its __str__ raised RuntimeError)",
            ),
            (
                ExceptionGroup("two", [ValueError("a"), KeyError("b")]),
                "Agent execution failed with ExceptionGroup: ValueError: a; KeyError: 'b'",
            ),
        ],
    )
    async def test_what_an_agent_raises_is_the_failure(self, error: Exception, feedback: str) -> None:
        def agent(data: Any) -> Any:
            raise error

        result = await run(Step("a", agent, retry=ONCE))
        failed = result.step_history[0]
        assert (failed.success, failed.output, failed.feedback, failed.attempts) == (False, None, feedback, 1)
        assert failed.failure is not None
        assert failed.failure.domain is FailureDomain.AGENT
        assert failed.failure.exception is error
        assert failed.failure.exception_type == type(error).__name__
        assert failed.failure.step == "a"
        assert failed.failure.traceback is not None
        assert "in agent" in failed.failure.traceback
        assert not result.success
        assert result.failure == failed.failure

    async def test_the_failure_reads_as_one_sentence(self) -> None:
        result = await run(Step("a", Flaky(ValueError("x"), ValueError("y"))))
        assert str(result.failure) == "a: Agent execution failed with ValueError: y (attempt 2)"
        with pytest.raises(RunFailedError, match=r"has no output: a: Agent execution failed with ValueError: y \(at"):
            result.unwrap()

    async def test_a_step_is_tried_twice_by_default(self) -> None:
        flaky = Flaky(ValueError("first"))
        result = await run(Step("a", flaky), "input")
        assert result.output == "input"
        assert result.step_history[0].attempts == len(flaky.called_at) == 2
        assert result.step_history[0].feedback is None
        assert result.step_history[0].failure is None

    async def test_the_failure_of_the_last_attempt_is_the_step_s(self) -> None:
        flaky = Flaky(*(ValueError(str(number)) for number in range(1, 9)))
        result = await run(Step("a", flaky, retry=RetryPolicy(max_attempts=3)))
        assert result.step_history[0].feedback == "Agent execution failed with ValueError: 3"
        assert result.step_history[0].attempts == 3
        assert result.failure is not None
        assert result.failure.attempt == 3

    async def test_many_attempts_without_backoff_never_wait(self, autojump_clock: MockClock) -> None:
        flaky = Flaky(*(ValueError() for _ in range(1100)))
        result = await run(Step("a", flaky, retry=RetryPolicy(max_attempts=1200)))
        assert result.success
        assert trio.current_time() == 0

    async def test_only_the_domains_of_the_policy_are_tried_again(self) -> None:
        flaky = Flaky(ValueError())
        await run(Step("a", flaky, retry=RetryPolicy(max_attempts=5, on=frozenset({FailureDomain.TIMEOUT}))))
        assert len(flaky.called_at) == 1

    async def test_retry_if_decides_by_the_failure(self) -> None:
        def only_boom(failure: Any) -> bool:
            return bool(failure.message == "boom")

        flaky = Flaky(ValueError("boom"), ValueError("boom"), ValueError("bang"))
        result = await run(Step("a", flaky, retry=RetryPolicy(max_attempts=9, retry_if=only_boom)))
        assert result.step_history[0].feedback == "Agent execution failed with ValueError: bang"
        assert len(flaky.called_at) == 3

    async def test_a_retry_if_that_raises_ends_the_attempts_and_is_told_as_cause(self) -> None:
        def raising(failure: Any) -> bool:
            raise LookupError("no idea")

        flaky = Flaky(ValueError("boom"))
        result = await run(Step("a", flaky, retry=RetryPolicy(max_attempts=9, retry_if=raising)))
        assert len(flaky.called_at) == 1
        assert result.failure is not None
        assert result.failure.feedback == "Agent execution failed with ValueError: boom"
        assert result.failure.cause is not None
        assert result.failure.cause.step == "a (retry_if)"
        assert result.failure.cause.message == "no idea"

    async def test_a_retry_if_that_raises_hides_nothing_of_what_failed_inside(self) -> None:
        def raising(failure: Any) -> bool:
            raise LookupError("no idea")

        inner = Step("a", Flaky(ValueError("boom")), retry=ONCE)
        loop = LoopStep("l", inner, exit_condition=lambda output, context: True, retry=RetryPolicy(retry_if=raising))
        failure = (await run(loop)).failure
        assert failure is not None
        assert failure.cause is not None
        assert (failure.cause.step, failure.cause.message) == ("l[1]/a", "boom")
        assert failure.cause.cause is not None
        assert (failure.cause.cause.step, failure.cause.cause.message) == ("l (retry_if)", "no idea")

    async def test_an_agent_with_a_nursery_of_its_own_fails_with_its_group(self) -> None:
        async def fail(text: str) -> None:
            raise ValueError(text)

        async def agent(data: Any) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail, "one")
                nursery.start_soon(fail, "two")

        result = await run(Step("a", agent, retry=ONCE))
        assert result.failure is not None
        assert [type(each) for each in exceptions_in(result.failure.exception or ValueError())] == [ValueError] * 2


class TestTime:
    async def test_backoff_doubles_up_to_its_maximum(self, autojump_clock: MockClock) -> None:
        flaky = Flaky(*(ValueError() for _ in range(4)))
        policy = RetryPolicy(max_attempts=5, backoff=1.0, max_backoff=3.0)
        result = await run(Step("a", flaky, retry=policy))
        assert flaky.called_at == [0, 1, 3, 6, 9]
        assert result.step_history[0].latency_s == 9

    async def test_jitter_shortens_the_waits_by_the_system_s_randomness(self, autojump_clock: MockClock) -> None:
        flaky = Flaky(ValueError(), ValueError())
        await run(Step("a", flaky, retry=RetryPolicy(max_attempts=3, backoff=8.0, jitter=0.5)))
        first, second, third = flaky.called_at
        assert first == 0
        assert 4 <= second <= 8
        assert 8 <= third - second <= 16
        assert second != 8

    async def test_an_attempt_that_takes_too_long_is_a_timeout(self, autojump_clock: MockClock) -> None:
        async def agent(data: Any) -> None:
            await trio.sleep(10)

        result = await run(Step("a", agent, timeout=2.0))
        failed = result.step_history[0]
        assert failed.feedback == "Timed out after 2.0 s"
        assert failed.failure is not None
        assert failed.failure.domain is FailureDomain.TIMEOUT
        assert failed.failure.running == ("a",)
        assert failed.attempts == 2
        assert failed.latency_s == trio.current_time() == 4
        assert str(result.failure) == "a: Timed out after 2.0 s (attempt 2)"

    async def test_a_retry_gets_a_fresh_timeout(self, autojump_clock: MockClock) -> None:
        durations = [10.0, 1.5]

        async def agent(data: Any) -> str:
            await trio.sleep(durations.pop(0))
            return "done"

        result = await run(Step("a", agent, timeout=2.0))
        assert result.output == "done"
        assert trio.current_time() == 3.5

    async def test_waits_between_attempts_do_not_count_for_the_timeout(self, autojump_clock: MockClock) -> None:
        result = await run(Step("a", Flaky(ValueError()), timeout=1.0, retry=RetryPolicy(backoff=5.0)), 1)
        assert result.output == 1

    async def test_the_total_timeout_bounds_all_attempts_together(self, autojump_clock: MockClock) -> None:
        starts: list[float] = []

        async def agent(data: Any) -> None:
            starts.append(trio.current_time())
            await trio.sleep(10)

        policy = RetryPolicy(max_attempts=9, backoff=0.5, max_backoff=0.5, total_timeout=5.0)
        result = await run(Step("a", agent, timeout=2.0, retry=policy))
        assert starts == [0, 2.5]
        assert trio.current_time() == 4.5
        assert result.step_history[0].feedback == "Timed out after 2.0 s"

    async def test_the_total_timeout_ends_an_attempt_in_the_middle(self, autojump_clock: MockClock) -> None:
        await trio.sleep(0.3)  # a start at which the floats of the clock do not add up

        starts: list[float] = []

        async def agent(data: Any) -> None:
            starts.append(trio.current_time())
            await trio.sleep(10)

        result = await run(Step("a", agent, retry=RetryPolicy(max_attempts=9, total_timeout=2.0)))
        assert starts == [0.3]
        assert trio.current_time() == pytest.approx(2.3)
        assert result.step_history[0].feedback == "Timed out after 2.0 s"

    async def test_a_later_attempt_gets_what_is_left_of_the_total_timeout(self, autojump_clock: MockClock) -> None:
        async def agent(data: Any) -> None:
            await trio.sleep(3)
            raise ValueError("slow failure")

        result = await run(Step("a", agent, retry=RetryPolicy(max_attempts=9, total_timeout=5.0)))
        assert trio.current_time() == 5
        assert result.step_history[0].attempts == 2
        assert result.step_history[0].feedback == "Timed out after 5.0 s"

    async def test_what_is_raised_when_the_time_is_out_is_the_cause_of_the_timeout(
        self, autojump_clock: MockClock
    ) -> None:
        async def agent(data: Any) -> None:
            try:
                await trio.sleep(10)
            finally:
                raise OSError("cannot clean up")

        result = await run(Step("a", agent, timeout=1.0, retry=ONCE))
        assert result.failure is not None
        assert result.failure.feedback == "Timed out after 1.0 s"
        assert result.failure.cause is not None
        assert result.failure.cause.feedback == "Agent execution failed with OSError: cannot clean up"
        assert str(result.failure).endswith(
            "Timed out after 1.0 s, caused by a: Agent execution failed with OSError: cannot clean up"
        )

    async def test_an_agent_with_a_nursery_that_fails_when_the_time_is_out_has_timed_out(
        self, autojump_clock: MockClock
    ) -> None:
        async def fail_at_the_end() -> None:
            try:
                await trio.sleep(10)
            finally:
                raise OSError("inner")

        async def agent(data: Any) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail_at_the_end)
                nursery.start_soon(trio.sleep_forever)

        result = await run(Step("a", agent, timeout=1.0, retry=ONCE))
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.TIMEOUT
        assert result.failure.cause is not None
        assert result.failure.cause.exception_type == "ExceptionGroup"

    async def test_an_agent_that_ends_in_spite_of_the_timeout_has_ended(self, autojump_clock: MockClock) -> None:
        async def agent(data: Any) -> str:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
            return "done"

        result = await run(Step("a", agent, timeout=1.0))
        assert result.output == "done"

    async def test_an_agent_s_own_timeout_is_its_own_business(self, autojump_clock: MockClock) -> None:
        async def agent(data: Any) -> str:
            with trio.move_on_after(1):
                await trio.sleep_forever()
            return "gave up"

        assert (await run(Step("a", agent))).output == "gave up"


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


class TestContext:
    async def test_a_failed_attempt_leaves_no_trace(self) -> None:
        async def agent(data: int, *, context: Notes) -> int:
            context.lines.append("tried")
            if len(seen) < 3:
                seen.append(list(context.lines))
                raise ValueError
            return data

        seen: list[list[str]] = []
        result = await run(Step("a", agent, retry=RetryPolicy(max_attempts=4)), 1, context=Notes(["before"]))
        assert seen == [["before", "tried"]] * 3
        assert result.context == Notes(["before", "tried"])

    async def test_a_step_that_failed_for_good_leaves_no_trace(self) -> None:
        async def agent(data: int, *, context: Notes) -> int:
            context.lines.append("tried")
            raise ValueError

        given = Notes()
        result = await run(Step("a", agent), 1, context=given)
        assert result.context == Notes()
        assert result.context is not given
        assert result.step_history[0].branch_context == Notes()

    async def test_what_cannot_be_kept_in_the_context_is_a_failure_that_is_not_tried_again(self) -> None:
        calls: list[int] = []

        async def agent(data: int, *, context: dict[str, Any]) -> int:
            calls.append(data)
            context["stream"] = iter_nothing()
            return data

        result = await run(Step("a", agent), 1, context={})
        assert calls == [1]
        assert result.context == {}
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.CONTEXT
        assert result.failure.feedback.startswith("Context validation failed: The context at ")
        assert result.step_history[0].output is None

    async def test_context_variables_of_the_caller_are_visible_and_those_of_the_agent_are_not(self) -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

        async def agent(data: Any) -> str:
            seen = variable.get()
            variable.set("the agent's")
            return seen

        variable.set("the caller's")
        assert (await run(Step("a", agent))).output == "the caller's"
        assert variable.get() == "the caller's"


amounts = st.floats(0, 1e6).map(lambda amount: round(amount, 6))
tokens = st.integers(0, 10**9)


class TestUsage:
    @settings(deadline=None)
    @given(st.lists(st.tuples(amounts, tokens, tokens), max_size=60), st.integers(1, 4))
    def test_all_that_was_charged_is_counted_once_failed_attempts_included(
        self, charges: list[tuple[float, int, int]], attempts: int
    ) -> None:
        remaining = list(charges)

        async def agent(data: Any, *, usage: UsageMeter) -> None:
            for _ in range(1 + len(charges) // attempts):
                if remaining:
                    cost, prompt, completion = remaining.pop()
                    usage.charge(cost_usd=cost, prompt_tokens=prompt, completion_tokens=completion)
            if remaining:
                raise ValueError

        async def main() -> PipelineResult[Any, Any]:
            return await run(Step("a", agent, retry=RetryPolicy(max_attempts=attempts)))

        result = trio.run(main)
        assert remaining == []
        exact = sum((Decimal(repr(cost)) for cost, _, _ in charges), Decimal(0))
        assert result.total_cost_usd == float(exact)
        assert result.total_tokens == sum(prompt + completion for _, prompt, completion in charges)
        assert result.step_history[0].cost_usd == result.total_cost_usd
        assert result.step_history[0].token_counts == result.total_tokens
        root = result.trace_tree
        assert root["attributes"].get("cost_usd", 0) == result.total_cost_usd
        tries = root["children"][0]["attributes"].get("attempts", [])
        if tries:
            each = sum((Decimal(repr(entry.get("cost_usd", 0))) for entry in tries), Decimal(0))
            assert float(each) == pytest.approx(float(exact))

    async def test_a_hundred_cents_are_a_dollar(self) -> None:
        async def agent(data: Any, *, usage: UsageMeter) -> None:
            for _ in range(100):
                usage.charge(cost_usd=0.01)

        assert (await run(Step("a", agent))).total_cost_usd == 1

    async def test_what_was_spent_before_a_timeout_is_counted(self, autojump_clock: MockClock) -> None:
        async def agent(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=0.1, prompt_tokens=3)
            await trio.sleep(10)

        result = await run(Step("a", agent, timeout=1.0))
        assert (result.total_cost_usd, result.total_tokens) == (0.2, 6)

    async def test_a_returned_object_may_say_what_it_cost(self) -> None:
        answer = SimpleNamespace(text="hi", cost_usd=0.25, token_counts=7)
        result = await run(Step("a", lambda _: answer))
        assert (result.total_cost_usd, result.total_tokens) == (0.25, 7)
        assert result.output is answer

    async def test_a_returned_object_is_counted_once_however_often_it_is_passed_on(self) -> None:
        async def make(data: Any) -> SimpleNamespace:
            return SimpleNamespace(cost_usd=0.1, token_counts=5)

        async def passing(data: Any) -> Any:
            return data

        result = await run(Step("make", make) >> Step("b", passing) >> Step("c", passing))
        assert (result.total_cost_usd, result.total_tokens) == (0.1, 5)
        assert [step.cost_usd for step in result.step_history] == [0.1, 0.0, 0.0]

    async def test_two_objects_with_the_same_costs_are_counted_both(self) -> None:
        async def make(data: Any) -> SimpleNamespace:
            return SimpleNamespace(cost_usd=0.1)

        result = await run(Step("a", make) >> Step("b", make) >> Step("c", make))
        assert result.total_cost_usd == 0.3

    @pytest.mark.parametrize("kind", ["parallel", "map"])
    async def test_the_result_of_a_failed_step_counts_once_however_often_it_is_passed_on(self, kind: str) -> None:
        def costly(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=0.5, prompt_tokens=3)
            raise ValueError("boom")

        def items(data: Any, context: Any) -> list[Any]:
            return [data]

        def pick(outputs: Any) -> Any:
            return outputs["x"] if kind == "parallel" else outputs[0]

        failing = Step("x", costly, retry=ONCE)
        forgiving: AnyStep = MapStep[Any, Any, Any]("m", failing, over=items, on_item_failure="ignore")
        if kind == "parallel":
            forgiving = ParallelStep("p", {"x": failing, "y": Step("y", len)}, on_branch_failure="ignore")
        twice = Step[Any, Any, Any]("twice", lambda data: (data, data))
        result = await run(Pipeline("p", [forgiving, Step("pick", pick), twice]), "in")
        assert isinstance(result.unwrap()[0], StepResult)
        assert (result.total_cost_usd, result.total_tokens) == (0.5, 3)

    @pytest.mark.parametrize("output", ["text", 3, None, {"cost_usd": 5}, SimpleNamespace(cost_usd=None)])
    async def test_no_usage_is_invented(self, output: Any) -> None:
        result = await run(Step("a", lambda _: output))
        assert result.success
        assert (result.total_cost_usd, result.total_tokens) == (0, 0)

    @pytest.mark.parametrize(
        ("output", "problem"),
        [
            (
                SimpleNamespace(cost_usd=-1),
                "cost_usd must be 0 or more, and no more than 1,000,000,000,000,000, got -1",
            ),
            (
                SimpleNamespace(cost_usd=float("nan")),
                "cost_usd must be 0 or more, and no more than 1,000,000,000,000,000, got nan",
            ),
            (SimpleNamespace(cost_usd="1"), "cost_usd must be a number of US dollars, got '1'"),
            (SimpleNamespace(cost_usd=True), "cost_usd must be a number of US dollars, got True"),
            (SimpleNamespace(cost_usd=1, token_counts=1.5), "token_counts must be a whole number, 0 or more, got 1.5"),
        ],
    )
    async def test_a_returned_object_whose_usage_is_no_amount_fails_the_step(self, output: Any, problem: str) -> None:
        result = await run(Step("a", lambda _: output, retry=ONCE))
        assert result.step_history[0].feedback == f"Agent execution failed with ValueError: {problem}"
        assert (result.total_cost_usd, result.total_tokens) == (0, 0)

    async def test_a_bad_charge_counts_nothing(self) -> None:
        async def agent(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=1, prompt_tokens=-1)

        result = await run(Step("a", agent, retry=ONCE))
        assert result.step_history[0].feedback == (
            "Agent execution failed with ValueError: prompt_tokens must be a whole number, 0 or more, got -1"
        )
        assert result.total_cost_usd == 0


async def test_a_leaf_alone_runs_like_a_pipeline_of_one() -> None:
    result = await run(Step[int, int, object]("a", lambda data: data + 1), 1)
    assert result.output == 2
    assert [(each.name, each.output) for each in result.step_history] == [("a", 2)]
    assert isinstance(result.step_history[0], StepResult)


async def test_the_seed_of_a_system_makes_its_ids_repeatable() -> None:
    results = [await run(Step("a", str.upper), "x") for _ in range(2)]
    assert results[0].run_id == results[1].run_id == f"{random.Random(1).getrandbits(128):032x}"  # noqa: S311
    assert results[0].spans[0].span_id == results[1].spans[0].span_id


def test_an_input_that_is_passed_on_costs_nothing() -> None:
    @attrs.define
    class Answer:
        cost_usd: float = 0.1
        token_counts: int = 7

    result = run_pipeline(Step("same", lambda data: data), Answer())
    assert (result.total_cost_usd, result.total_tokens) == (0.0, 0)
