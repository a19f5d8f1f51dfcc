"""The meters of a run: exact sums, all the way up, and amounts that are refused whole."""

from __future__ import annotations

import math
import sys
import threading
from decimal import Decimal
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors import (
    ParallelStep,
    Step,
    Usage,
    UsageLimitExceededError,
    UsageLimits,
    UsageMeter,
    open_system,
    run_pipeline,
)
from flujo_actors.events import RunEvent, UsageCharged
from flujo_actors.observers import BegunRun, RunObserver

costs = st.floats(0, 1e9) | st.integers(0, 10**6) | st.decimals(0, 10**6, places=4)
tokens = st.integers(0, 10**9)


@given(st.lists(st.tuples(st.booleans(), costs, tokens, tokens)))
def test_a_meter_counts_its_own_and_its_children_s_charges_exactly(charges: list[tuple[bool, Any, int, int]]) -> None:
    parent = UsageMeter()
    child = UsageMeter(parent)
    for of_child, cost, prompt, completion in charges:
        (child if of_child else parent).charge(cost_usd=cost, prompt_tokens=prompt, completion_tokens=completion)
    for meter, counted in ((parent, charges), (child, [each for each in charges if each[0]])):
        total = sum((Decimal(repr(c)) if isinstance(c, float) else Decimal(c) for _, c, _, _ in counted), Decimal(0))
        assert meter.exact_cost_usd == pytest.approx(total, rel=Decimal("1e-40"))
        assert meter.total() == Usage(
            meter.exact_cost_usd, sum(each[2] for each in counted), sum(each[3] for each in counted)
        )
        assert meter.total_tokens == meter.total().total_tokens


@given(tokens, tokens, tokens)
def test_what_was_spent_since_a_former_reading_is_the_difference(first: int, second: int, other: int) -> None:
    meter = UsageMeter()
    meter.charge(cost_usd=0.1, prompt_tokens=first)
    before = meter.total()
    meter.charge(cost_usd=0.2, prompt_tokens=second, completion_tokens=first)
    meter.charge_total(0.7, other)
    assert meter.total() - before == Usage(Decimal("0.9"), second, first, other)


def test_a_hundred_cents_are_exactly_a_dollar() -> None:
    meter = UsageMeter()
    for _ in range(100):
        meter.charge(cost_usd=0.01)
    assert meter.exact_cost_usd == 1
    assert meter.cost_usd == 1.0


@pytest.mark.parametrize(
    ("amounts", "problem"),
    [
        ({"cost_usd": -0.01}, "cost_usd must be 0 or more, and no more than 1,000,000,000,000,000, got -0.01"),
        ({"cost_usd": math.inf}, "cost_usd must be 0 or more, and no more than 1,000,000,000,000,000, got inf"),
        ({"cost_usd": math.nan}, "cost_usd must be 0 or more, and no more than 1,000,000,000,000,000, got nan"),
        ({"cost_usd": Decimal("sNaN")}, "cost_usd must be 0 or more, and no more than"),
        ({"cost_usd": "1"}, "cost_usd must be a number of US dollars, got '1'"),
        ({"cost_usd": None}, "cost_usd must be a number of US dollars, got None"),
        ({"cost_usd": True}, "cost_usd must be a number of US dollars, got True"),
        ({"prompt_tokens": -1}, "prompt_tokens must be a whole number, 0 or more, got -1"),
        ({"prompt_tokens": 1.0}, "prompt_tokens must be a whole number, 0 or more, got 1.0"),
        ({"completion_tokens": True}, "completion_tokens must be a whole number, 0 or more, got True"),
    ],
)
def test_a_charge_with_an_amount_that_is_none_counts_nothing(amounts: dict[str, Any], problem: str) -> None:
    parent = UsageMeter()
    meter = UsageMeter(parent)
    with pytest.raises(ValueError, match=problem):
        meter.charge(**{"cost_usd": 5, "prompt_tokens": 5, **amounts})
    assert meter.total() == parent.total() == Usage()


class TestThreads:
    """Agents that block do so in threads, and charge there."""

    async def test_charges_from_several_threads_at_once_all_count(self) -> None:
        async def agent(data: Any, *, usage: UsageMeter) -> None:
            def work() -> None:
                for _ in range(5_000):
                    usage.charge(cost_usd=0.01, prompt_tokens=1)

            async with trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(trio.to_thread.run_sync, work)

        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            async with open_system() as system:
                result = await system.run(ParallelStep("p", {"a": Step("a", agent), "b": Step("b", agent)}), None)
        finally:
            sys.setswitchinterval(before)
        assert (result.total_cost_usd, result.total_tokens) == (400, 40_000)
        assert [branch.cost_usd for branch in result.step_history[0].step_history] == [200, 200]

    async def test_a_charge_in_a_thread_that_breaches_a_limit_stops_the_siblings(self) -> None:
        threads: list[int] = []

        async def spend(data: Any, *, usage: UsageMeter) -> None:
            def work() -> None:
                threads.append(threading.get_ident())
                usage.charge(cost_usd=2)

            await trio.to_thread.run_sync(work)

        async def wait(data: Any) -> None:
            await trio.sleep_forever()

        branches = {"spend": Step("spend", spend), "wait": Step("wait", wait)}
        async with open_system() as system:
            with pytest.raises(UsageLimitExceededError) as caught:
                await system.run(ParallelStep("p", branches), None, usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert threads != [threading.get_ident()]
        result: Any = caught.value.result
        assert result.total_cost_usd == 2
        assert "p/wait" in result.failure.running

    async def test_watchers_are_told_in_the_thread_of_the_run(self) -> None:
        told: list[tuple[int, RunEvent]] = []

        class Watching:
            def run_begins(self, run: BegunRun) -> RunObserver:
                return Told()

        class Told(RunObserver):
            def event(self, event: RunEvent) -> None:
                told.append((threading.get_ident(), event))

        async def spend(data: Any, *, usage: UsageMeter) -> None:
            await trio.to_thread.run_sync(lambda: usage.charge(prompt_tokens=2))

        async with open_system(observers=[Watching()]) as system:
            await system.run(Step("spend", spend), None)
        charged = [(thread, event.total) for thread, event in told if isinstance(event, UsageCharged)]
        assert charged == [(threading.get_ident(), Usage(prompt_tokens=2))]

    def test_a_thread_may_charge_while_the_run_waits_for_it_without_giving_way(self) -> None:
        def agent(data: Any, *, usage: UsageMeter) -> None:
            thread = threading.Thread(target=lambda: usage.charge(prompt_tokens=2))
            thread.start()
            thread.join()

        assert run_pipeline(Step("a", agent), None).total_tokens == 2

    def test_a_thread_that_outlives_the_program_s_loop_may_charge(self) -> None:
        kept: list[UsageMeter] = []

        def keep(data: Any, *, usage: UsageMeter) -> None:
            kept.append(usage)

        run_pipeline(Step("a", keep), None, usage_limits=UsageLimits(total_tokens_limit=1))
        thread = threading.Thread(target=lambda: kept[0].charge(prompt_tokens=2))
        thread.start()
        thread.join()
        assert kept[0].total_tokens == 2
