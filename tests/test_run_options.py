"""What may be said of a single run: how many agents at once, how many results are kept."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    FailureDomain,
    LoopStep,
    MapStep,
    ParallelStep,
    Pipeline,
    RetryPolicy,
    Step,
    open_system,
    run_pipeline,
)

ONCE = RetryPolicy(max_attempts=1)


class Crowd:
    """An agent that takes a second and notes how many are at work at once."""

    def __init__(self) -> None:
        self.now = self.most = self.calls = 0

    async def run(self, data: Any) -> Any:
        self.calls += 1
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await trio.sleep(1)
        finally:
            self.now -= 1
        return data


def fan(width: int, branch: AnyStep) -> AnyStep:
    return ParallelStep[Any, Any, Any]("fan", {f"b{number}": branch for number in range(width)})


def agent_step(crowd: Crowd, **options: Any) -> AnyStep:
    return Step[Any, Any, Any]("agent", crowd.run, **options)


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
def test_no_more_agents_are_at_work_than_the_run_allows_wherever_they_stand(limit: int, width: int, depth: int) -> None:
    crowd = Crowd()
    step: AnyStep = agent_step(crowd)
    for _ in range(depth):
        step = fan(width, Pipeline[Any, Any, Any]("inside", [step]))
    leaves = width**depth

    async def main() -> None:
        async with open_system() as system:
            assert (await system.run(step, "in", max_concurrency=limit)).success

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert crowd.most == min(limit, leaves)
    assert crowd.calls == leaves


async def test_composites_take_no_place_so_that_nesting_cannot_block(autojump_clock: MockClock) -> None:
    crowd = Crowd()
    step = fan(2, Pipeline[Any, Any, Any]("p", [fan(2, agent_step(crowd)), agent_step(crowd)]))
    async with open_system() as system:
        result = await system.run(step, "in", max_concurrency=1)
    assert (result.success, crowd.most, trio.current_time()) == (True, 1, 6.0)


async def test_waiting_for_a_turn_does_not_count_for_the_step_s_own_time_limit(autojump_clock: MockClock) -> None:
    crowd = Crowd()
    async with open_system() as system:
        result = await system.run(fan(3, agent_step(crowd, timeout=1.5, retry=ONCE)), "in", max_concurrency=1)
    assert result.success


async def test_waiting_for_a_turn_counts_for_the_limits_of_the_steps_around(autojump_clock: MockClock) -> None:
    crowd = Crowd()
    step = Pipeline[Any, Any, Any]("limited", [fan(3, agent_step(crowd))], timeout=1.5)
    async with open_system() as system:
        result = await system.run(step, "in", max_concurrency=1)
    assert result.failure is not None
    assert result.failure.domain is FailureDomain.TIMEOUT
    assert crowd.calls == 2


async def test_a_place_is_free_while_a_step_backs_off(autojump_clock: MockClock) -> None:
    tries = iter([True, False])

    async def flaky(data: Any) -> None:
        if next(tries):
            raise ValueError("boom")

    crowd = Crowd()
    branches = {
        "flaky": Step[Any, Any, Any]("flaky", flaky, retry=RetryPolicy(backoff=10)),
        "other": agent_step(crowd),
    }
    async with open_system() as system:
        result = await system.run(ParallelStep[Any, Any, Any]("both", branches), "in", max_concurrency=1)
    # Whichever comes first, the other one does not wait for the end of the back-off.
    assert max(each.latency_s for each in result.step_history[0].step_history) < 12
    assert result.step_history[0].step_history[1].latency_s < 3


async def test_a_cancelled_run_gives_all_places_back(autojump_clock: MockClock) -> None:
    crowd = Crowd()
    async with open_system() as system:
        run = await system.start(fan(4, agent_step(crowd)), "in", max_concurrency=2)
        await trio.sleep(0.5)
        run.cancel(reason="enough")
        result = await run.wait()
    assert (str(result.status), crowd.calls, crowd.now) == ("cancelled", 2, 0)


def test_two_runs_do_not_share_their_places() -> None:
    crowd = Crowd()

    async def main() -> None:
        async with open_system() as system, trio.open_nursery() as nursery:
            for _ in range(2):
                run = await system.start(fan(2, agent_step(crowd)), "in", max_concurrency=1)
                nursery.start_soon(run.wait)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert crowd.most == 2


def test_the_last_results_are_kept_and_the_totals_are_those_of_all() -> None:
    def charge(number: int, *, usage: Any) -> int:
        usage.charge(prompt_tokens=1)
        return number + 1

    loop = LoopStep[Any, Any, Any](
        "loop", Step("charge", charge), exit_condition=lambda number, context: number == 50, max_loops=100
    )
    result = run_pipeline(loop, 0, keep_results=3)
    (step,) = result.step_history
    assert [each.output for each in step.step_history] == [48, 49, 50]
    assert (step.attempts, step.token_counts, result.output) == (50, 50, 50)
    assert [span.name for span in result.spans] == ["charge", "loop", "pipeline_run"]
    assert result.trace_tree["name"] == "pipeline_run"


def test_the_last_results_of_all_attempts_are_kept() -> None:
    def fail(number: int) -> int:
        raise ValueError("boom")

    inner = Pipeline[Any, Any, Any]("p", [Step("ok", lambda data: data), Step("fail", fail, retry=ONCE)])
    outer = Pipeline[Any, Any, Any]("outer", [inner], retry=RetryPolicy(max_attempts=3))
    result = run_pipeline(Pipeline[Any, Any, Any]("top", [outer]), 0, keep_results=2)
    assert [len(result.step_history[0].step_history), len(result.spans)] == [2, 2]


def double(item: int) -> int:
    return item * 2


@pytest.mark.parametrize("max_concurrency", [1, 7])
def test_a_map_over_very_many_items_holds_its_outputs_and_the_last_results(max_concurrency: int) -> None:
    step = MapStep[Any, Any, Any](
        "map", Step("double", double), over=lambda data, context: range(2000),
        max_concurrency=max_concurrency,
    )  # fmt: skip
    result = run_pipeline(step, None, keep_results=5)
    assert result.output == [item * 2 for item in range(2000)]
    assert len(result.step_history[0].step_history) == 5


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2"])
@pytest.mark.parametrize("option", ["max_concurrency", "keep_results"])
def test_an_option_without_a_meaning_is_refused(option: str, value: Any) -> None:
    options: Any = {option: value}
    with pytest.raises(ValueError, match=f"{option} is a whole number, 1 or more, or None, got {value!r}"):
        run_pipeline(Step[Any, Any, Any]("a", lambda data: data), 1, **options)


def test_an_option_that_does_not_exist_is_refused_by_name() -> None:
    options: Any = {"max_concurency": 1}
    with pytest.raises(TypeError, match="max_concurency"):
        run_pipeline(Step[Any, Any, Any]("a", lambda data: data), 1, **options)
