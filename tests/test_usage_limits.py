"""Usage limits: above is too much, everything stops at once, and the true spend is told."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    BaseStep,
    ConditionalStep,
    FailureDomain,
    LoopStep,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    SpanStatus,
    Step,
    StepResult,
    UsageLimitExceededError,
    UsageLimits,
    UsageMeter,
    open_system,
    run_pipeline,
)
from flujo_actors.storage import MemoryBackend
from flujo_actors.supervisors import Children, Supervisor

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


def spender(
    name: str, cost: float | Decimal = 0, tokens: int = 0, *, fails: bool = False, seconds: float = 0, **options: Any
) -> AnyStep:
    async def agent(data: Any, *, usage: UsageMeter) -> Any:
        usage.charge(cost_usd=cost, prompt_tokens=tokens)
        await trio.sleep(seconds)
        if fails:
            raise ValueError(f"{name} failed")
        return data

    given: dict[str, Any] = {"retry": ONCE, **options}
    return Step(name, agent, **given)


async def run(step: AnyStep, data: Any = None, **options: Any) -> PipelineResult[Any, Any]:
    async with open_system() as system:
        result: PipelineResult[Any, Any] = await system.run(step, data, **options)
    return result


async def breached(step: AnyStep, data: Any = None, **options: Any) -> UsageLimitExceededError:
    with pytest.raises(UsageLimitExceededError) as caught:
        await run(step, data, **options)
    return caught.value


def result_of(error: UsageLimitExceededError) -> PipelineResult[Any, Any]:
    result: PipelineResult[Any, Any] = error.result
    return result


class TestLimits:
    @pytest.mark.parametrize(
        ("limit", "shown"),
        [
            (1, "1"),
            (1.0, "1"),
            (Decimal("1.00"), "1"),
            (0.5, "0.5"),
            (Decimal("0.50"), "0.5"),
            (10, "10"),
            (100.0, "100"),
            (Decimal("1E+2"), "100"),
            (0.1, "0.1"),
            (0, "0"),
            (1e-7, "0.0000001"),
        ],
    )
    async def test_a_cost_above_the_limit_is_told_without_trailing_zeros(self, limit: Any, shown: str) -> None:
        error = await breached(spender("a", 1000), usage_limits=UsageLimits(total_cost_usd_limit=limit))
        assert str(error) == error.breach == f"Cost limit of ${shown} exceeded"

    @pytest.mark.parametrize("limit", [0, 1, 100])
    async def test_tokens_above_the_limit_are_told(self, limit: int) -> None:
        error = await breached(spender("a", tokens=101), usage_limits=UsageLimits(total_tokens_limit=limit))
        assert str(error) == f"Token limit of {limit} exceeded"

    async def test_what_is_spent_up_to_the_limit_is_no_breach(self) -> None:
        limits = UsageLimits(total_cost_usd_limit=1, total_tokens_limit=100)
        result = await run(spender("a", 1, 100), usage_limits=limits)
        assert result.success
        assert (result.total_cost_usd, result.total_tokens) == (1, 100)

    async def test_a_limit_of_zero_allows_what_costs_nothing(self) -> None:
        limits = UsageLimits(total_cost_usd_limit=0, total_tokens_limit=0)
        assert (await run(spender("a"), usage_limits=limits)).success

    async def test_the_total_of_many_floats_is_exact(self) -> None:
        pipeline = Pipeline[Any, Any, Any]("p", [spender("a", 0.1) for _ in range(10)])
        assert (await run(pipeline, usage_limits=UsageLimits(total_cost_usd_limit=1))).total_cost_usd == 1
        error = await breached(pipeline >> spender("b", 1e-9), usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert result_of(error).total_cost_usd == 1.000000001

    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.integers(0, 30), min_size=1, max_size=8), st.integers(0, 100))
    def test_a_run_ends_with_the_first_step_that_is_above(self, cents: list[int], limit: int) -> None:
        pipeline = Pipeline[Any, Any, Any]("p", [spender("a", each / 100) for each in cents])
        spent = above = 0
        for each in cents:
            spent += each
            if spent > limit:
                above = 1
                break

        async def main() -> tuple[bool, PipelineResult[Any, Any]]:
            try:
                return False, await run(pipeline, usage_limits=UsageLimits(total_cost_usd_limit=limit / 100))
            except UsageLimitExceededError as error:
                return True, result_of(error)

        raised, result = trio.run(main)
        assert raised == bool(above)
        assert result.total_cost_usd == spent / 100

    @pytest.mark.parametrize("limit", [-1, float("nan"), float("inf"), "1", True])
    def test_a_limit_that_is_no_amount_is_refused(self, limit: Any) -> None:
        with pytest.raises(ValueError, match=r"^total_cost_usd_limit must be"):
            UsageLimits(total_cost_usd_limit=limit)

    @pytest.mark.parametrize("limit", [-1, 1.5, "1", True])
    def test_a_limit_that_is_no_number_of_tokens_is_refused(self, limit: Any) -> None:
        with pytest.raises(ValueError, match="total_tokens_limit must be a whole number, 0 or more"):
            UsageLimits(total_tokens_limit=limit)

    async def test_what_an_output_says_it_cost_counts_too(self) -> None:
        @attrs.frozen
        class Answer:
            cost_usd: float = 2.0
            token_counts: int = 5

        error = await breached(
            Step("a", lambda data: Answer(), retry=ONCE), usage_limits=UsageLimits(total_cost_usd_limit=1)
        )
        assert result_of(error).total_cost_usd == 2
        assert result_of(error).total_tokens == 5


class TestResult:
    async def test_it_holds_the_true_spend_and_what_was_done(self) -> None:
        pipeline = Pipeline("p", [spender("a", 0.6), spender("b", 0.7, 5), spender("c", 9)])
        result = result_of(await breached(pipeline, usage_limits=UsageLimits(total_cost_usd_limit=1)))
        assert (result.status, result.success, result.output) == (SpanStatus.FAILED, False, None)
        assert (result.total_cost_usd, result.total_tokens) == (1.3, 5)
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.USAGE_LIMIT
        assert result.failure.feedback == "Cost limit of $1 exceeded"
        assert [(each.name, each.success, each.cost_usd) for each in result.step_history] == [
            ("a", True, 0.6),
            ("b", False, 0.7),
        ]
        assert result.step_history[1].feedback == "Cancelled: Cost limit of $1 exceeded"

    async def test_what_succeeded_before_has_left_its_writes(self) -> None:
        async def note(data: Any, *, context: Notes) -> None:
            context.lines.append("noted")

        pipeline = Pipeline("p", [Step("note", note), spender("b", 9)])
        error = await breached(pipeline, context=Notes(), usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert result_of(error).context == Notes(["noted"])

    async def test_wait_raises_it_every_time(self) -> None:
        async with open_system() as system:
            handle = await system.start(spender("a", 2), None, usage_limits=UsageLimits(total_cost_usd_limit=1))
            for _ in range(2):
                with pytest.raises(UsageLimitExceededError, match=r"^Cost limit of \$1 exceeded$") as caught:
                    await handle.wait()
                assert result_of(caught.value).total_cost_usd == 2

    async def test_what_is_charged_once_the_run_has_ended_breaches_nothing(self) -> None:
        kept: list[UsageMeter] = []

        def keep(data: Any, *, usage: UsageMeter) -> None:
            kept.append(usage)

        async with open_system() as system:
            handle = await system.start(Step("a", keep), None, usage_limits=UsageLimits(total_cost_usd_limit=1))
            assert (await handle.wait()).success
            kept[0].charge(cost_usd=2)
            assert (await handle.wait()).success

    def test_run_pipeline_raises_it(self) -> None:
        with pytest.raises(UsageLimitExceededError) as caught:
            run_pipeline(spender("a", 2), None, usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert result_of(caught.value).total_cost_usd == 2

    async def test_a_breach_that_nobody_waits_for_harms_no_other_run(self) -> None:
        async with open_system() as system:
            await system.start(spender("a", 2), None, usage_limits=UsageLimits(total_cost_usd_limit=1))
            other: PipelineResult[Any, Any] = await system.run(spender("b", 5), "x")
        assert other.output == "x"

    async def test_the_record_says_so_and_no_span_is_left_open(self) -> None:
        backend = MemoryBackend()
        pipeline = Pipeline[Any, Any, Any]("p", [Pipeline[Any, Any, Any]("inner", [spender("a", 2)])])
        async with open_system(storage=backend) as system:
            with pytest.raises(UsageLimitExceededError) as caught:
                await system.run(pipeline, None, usage_limits=UsageLimits(total_cost_usd_limit=1))
        result = result_of(caught.value)
        record = backend.get_run(result.run_id)
        assert record is not None
        assert record.status is SpanStatus.FAILED
        assert record.error is not None
        assert "Cost limit of $1 exceeded" in record.error
        assert record.total_cost_usd == 2
        trace = backend.get_trace(result.run_id)
        assert trace == result.trace_tree
        assert [(span.attributes["path"], str(span.status)) for span in result.spans] == [
            ("inner/a", "cancelled"),
            ("inner", "cancelled"),
            ("", "failed"),
        ]
        assert result.trace_tree["attributes"]["failure"]["domain"] == "usage_limit"


class TestStopping:
    async def test_the_step_that_breached_is_stopped_and_may_clean_up(self, autojump_clock: MockClock) -> None:
        done: list[str] = []

        async def agent(data: Any, *, usage: UsageMeter) -> None:
            try:
                usage.charge(cost_usd=2)
                done.append("went on")
                await trio.sleep(100)
                done.append("not reached")
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(3)
                    usage.charge(cost_usd=0.5)
                done.append("cleaned up")

        error = await breached(Step("a", agent), usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert done == ["went on", "cleaned up"]
        assert trio.current_time() == 3
        assert result_of(error).total_cost_usd == 2.5

    async def test_siblings_are_stopped_at_once(self, autojump_clock: MockClock) -> None:
        step = Both("both", (spender("slow", 0.5, seconds=100), spender("greedy", 9, seconds=100)))
        async with open_system(actors={Both: BothSupervisor}) as system:
            with pytest.raises(UsageLimitExceededError) as caught:
                await system.run(step, None, usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert trio.current_time() == 0
        result = result_of(caught.value)
        assert result.total_cost_usd == 9.5
        assert {span.attributes["path"]: str(span.status) for span in result.spans} == {
            "both/slow": "cancelled",
            "both/greedy": "cancelled",
            "both": "cancelled",
            "": "failed",
        }

    async def test_a_synchronous_agent_s_breach_ends_the_run_before_the_next_step(self) -> None:
        called: list[str] = []

        def greedy(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=2)

        pipeline = Pipeline[Any, Any, Any]("p", [Step("a", greedy), Step("b", called.append)])
        error = await breached(pipeline, usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert called == []
        assert result_of(error).total_cost_usd == 2

    @pytest.mark.parametrize("options", [{}, {"timeout": 5}, {"retry": RetryPolicy(max_attempts=3)}])
    @pytest.mark.parametrize("synchronous", [True, False])
    async def test_it_wins_over_retries_and_fallbacks(self, options: dict[str, Any], synchronous: bool) -> None:
        calls: list[str] = []

        def fail(data: Any, *, usage: UsageMeter) -> Any:
            calls.append("primary")
            usage.charge(cost_usd=2)
            raise ValueError("and failed")

        async def fail_later(data: Any, *, usage: UsageMeter) -> Any:
            fail(data, usage=usage)

        agent: Callable[..., Any] = fail if synchronous else fail_later
        leaf: AnyStep = Step("a", agent, retry=RetryPolicy(max_attempts=3), fallback=Step("b", calls.append))
        backup = Step[Any, Any, Any]("c", calls.append)
        pipeline = Pipeline[Any, Any, Any]("p", [leaf], fallback=backup, **options)
        error = await breached(pipeline, usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert calls == ["primary"]
        assert result_of(error).total_cost_usd == 2
        assert [span.attributes["path"] for span in result_of(error).spans] == ["a", ""]

    async def test_attempts_that_failed_count(self) -> None:
        step = spender("a", 0.4, fails=True, retry=RetryPolicy(max_attempts=9))
        result = result_of(await breached(step, usage_limits=UsageLimits(total_cost_usd_limit=1)))
        assert result.total_cost_usd == 1.2
        assert result.step_history[0].attempts == 3

    async def test_a_fallback_may_breach(self) -> None:
        step = spender("a", 0.6, fails=True).with_fallback(spender("b", 0.6))
        result = result_of(await breached(step, usage_limits=UsageLimits(total_cost_usd_limit=1)))
        assert result.step_history[0].cost_usd == 1.2

    async def test_a_loop_is_ended_in_the_iteration_that_breaches(self) -> None:
        loop = LoopStep[Any, Any, Any]("loop", spender("a", 0.4), exit_condition=lambda output, context: False)
        result = result_of(await breached(loop, usage_limits=UsageLimits(total_cost_usd_limit=1)))
        assert (result.step_history[0].attempts, result.total_cost_usd) == (3, 1.2)

    @pytest.mark.parametrize("retry", [ONCE, RetryPolicy(max_attempts=3)])
    async def test_a_breach_while_a_timeout_is_cleaned_up_wins(
        self, autojump_clock: MockClock, retry: RetryPolicy
    ) -> None:
        calls: list[str] = []

        async def agent(data: Any, *, usage: UsageMeter) -> None:
            try:
                calls.append("primary")
                await trio.sleep(9)
            finally:
                usage.charge(cost_usd=2)

        step = Step("a", agent, timeout=2, retry=retry, fallback=Step[Any, Any, Any]("b", calls.append))
        error = await breached(step, usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert calls == ["primary"]
        assert result_of(error).total_cost_usd == 2

    async def test_the_host_s_own_cancellation_goes_on(self, autojump_clock: MockClock) -> None:
        with trio.move_on_after(1) as scope:
            await run(spender("a", 0.5, seconds=9), usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert scope.cancelled_caught

    async def test_a_run_cancelled_first_has_breached_all_the_same(self, autojump_clock: MockClock) -> None:
        async def agent(data: Any, *, usage: UsageMeter) -> None:
            try:
                await trio.sleep(9)
            finally:
                usage.charge(cost_usd=2)

        async with open_system() as system:
            handle = await system.start(Step("a", agent), None, usage_limits=UsageLimits(total_cost_usd_limit=1))
            await trio.sleep(1)
            handle.cancel(reason="enough")
            with pytest.raises(UsageLimitExceededError) as caught:
                await handle.wait()
        assert result_of(caught.value).total_cost_usd == 2


class TestStepLimits:
    async def test_a_step_s_limit_ends_the_whole_run(self) -> None:
        limited = spender("b", 2, usage_limits=UsageLimits(total_cost_usd_limit=1))
        result = result_of(await breached(Pipeline("p", [spender("a", 5), limited, spender("c")])))
        assert result.total_cost_usd == 7
        assert [each.name for each in result.step_history] == ["a", "b"]
        assert result.failure is not None
        assert result.failure.feedback == "Cost limit of $1 exceeded"

    async def test_only_what_is_spent_inside_counts(self) -> None:
        limited = spender("b", 1, usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert (await run(Pipeline("p", [spender("a", 5), limited, spender("c", 5)]))).success

    @pytest.mark.parametrize(
        "limited",
        [
            Pipeline[Any, Any, Any](
                "l", [spender("a", 0.6), spender("b", 0.6)], usage_limits=UsageLimits(total_cost_usd_limit=1)
            ),
            LoopStep[Any, Any, Any](
                "l",
                spender("a", 0.6),
                exit_condition=lambda output, context: False,
                usage_limits=UsageLimits(total_cost_usd_limit=1),
            ),
            ConditionalStep[Any, Any, Any](
                "l",
                lambda data, context: "k",
                {"k": spender("a", 1.2)},
                usage_limits=UsageLimits(total_cost_usd_limit=1),
            ),
            spender(
                "l",
                0.6,
                fails=True,
                retry=RetryPolicy(max_attempts=2),
                usage_limits=UsageLimits(total_cost_usd_limit=1),
            ),
            spender("l", 0.6, fails=True, fallback=spender("b", 0.6), usage_limits=UsageLimits(total_cost_usd_limit=1)),
        ],
    )
    async def test_everything_inside_counts(self, limited: AnyStep) -> None:
        error = await breached(Pipeline("p", [limited]))
        assert str(error) == "Cost limit of $1 exceeded"
        assert result_of(error).total_cost_usd == 1.2

    async def test_each_iteration_has_its_body_s_limit_to_itself(self) -> None:
        body = spender("a", 1, usage_limits=UsageLimits(total_cost_usd_limit=1))
        loop = LoopStep[Any, Any, Any](
            "l", body, exit_condition=lambda output, context: False, max_loops=3, on_max_loops="succeed"
        )
        assert (await run(loop)).total_cost_usd == 3

    async def test_the_first_of_several_limits_is_told(self) -> None:
        limited = spender("b", 4, usage_limits=UsageLimits(total_cost_usd_limit=2))
        error = await breached(limited, usage_limits=UsageLimits(total_cost_usd_limit=3))
        assert error.breach == "Cost limit of $2 exceeded"


@attrs.frozen(slots=False)
class Both(BaseStep[Any, Any, Any]):
    """Two steps side by side."""

    parts: tuple[AnyStep, AnyStep]

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        return tuple((part.name, part) for part in self.parts)


class BothSupervisor(Supervisor[Both]):
    """Waits for both."""

    __slots__ = ()

    async def supervise(self, children: Children, data: Any) -> StepResult:
        for name, step in self.step.children:
            children.spawn(name, step, data)
        for _ in self.step.children:
            await children.settle(await children.next_settled())
        return self.completed(data)
