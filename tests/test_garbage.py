"""What a run leaves when it is over and its result is gone: nothing that only the garbage collector could take away.

Contexts are left out: the objects of one branch know each other.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import trio

from flujo_actors import (
    AnyStep,
    CacheStep,
    ConditionalStep,
    DynamicParallelRouterStep,
    LoopStep,
    MapStep,
    ParallelStep,
    Pipeline,
    RefinementCheck,
    RefinementStep,
    RetryPolicy,
    Step,
    System,
    open_system,
)


async def increment(number: int) -> int:
    return number + 1


async def fail(number: int) -> int:
    raise ValueError(number)


async def stream(number: int) -> AsyncIterator[str]:
    yield str(number)


async def forever(_: int) -> None:
    await trio.sleep_forever()


def good() -> AnyStep:
    return Step[Any, Any, Any]("good", increment)


def bad(**options: Any) -> AnyStep:
    return Step[Any, Any, Any]("bad", fail, retry=RetryPolicy(max_attempts=2), **options)


def three(*_: object) -> list[int]:
    return [1, 2, 3]


def choose(_: object) -> list[str]:
    return ["a"]


def above_three(number: int, _: object) -> bool:
    return number > 3


def criticise(number: int) -> RefinementCheck:
    return RefinementCheck(is_complete=number > 1, feedback="more")


KINDS: dict[str, AnyStep] = {
    "sequence": good() >> good(),
    "retries": bad(),
    "fallback": bad(fallback=good()),
    "time limit": Step[Any, Any, Any]("slow", forever, timeout=1, retry=RetryPolicy(max_attempts=1)),
    "stream": Step[Any, Any, Any]("stream", stream),
    "parallel": ParallelStep[Any, Any, Any]("parallel", {"a": good(), "b": bad()}),
    "router": DynamicParallelRouterStep[Any, Any, Any]("router", choose, branches={"a": bad()}),
    "condition": ConditionalStep[Any, Any, Any]("condition", condition=lambda _, __: "a", branches={"a": bad()}),
    "map": MapStep[Any, Any, Any]("map", bad(), over=three),
    "map side by side": MapStep[Any, Any, Any]("map", bad(), over=three, max_concurrency=2, on_item_failure="ignore"),
    "loop": LoopStep[Any, Any, Any]("loop", good(), exit_condition=above_three, max_loops=5),
    "loop that fails": LoopStep[Any, Any, Any]("loop", bad(), exit_condition=above_three, max_loops=5),
    "refinement": RefinementStep[Any, Any, Any]("refine", generator=good(), critic=Step[Any, Any, Any]("c", criticise)),
    "cache": CacheStep[Any, Any, Any]("cache", good()),
    "failure far below": Pipeline[Any, Any, Any]("outer", [Pipeline[Any, Any, Any]("inner", [good(), bad()])]),
}


@pytest.fixture
def collector() -> Iterator[None]:
    """The collector does nothing unasked, and has nothing to do at first."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def run_watched(system: System, step: AnyStep) -> None:
    run = await system.start(step, 1)
    async for _ in run.events():
        pass
    await run.wait()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_run_is_no_garbage(kind: str, collector: None, autojump_clock: trio.testing.MockClock) -> None:
    del collector, autojump_clock
    async with open_system() as system:
        await run_watched(system, KINDS[kind])
        gc.collect()
        await system.run(KINDS[kind], 1)
        await run_watched(system, KINDS[kind])
        assert gc.collect() == 0


async def test_a_run_inside_an_agent_is_no_garbage(collector: None) -> None:
    del collector
    async with open_system() as system:

        async def delegate(number: int) -> int:
            result = await system.run(good() >> bad(), number)
            return result.total_tokens

        step = Step[Any, Any, Any]("delegate", delegate)
        await run_watched(system, step)
        gc.collect()
        await run_watched(system, step)
        assert gc.collect() == 0


async def test_a_run_that_was_cancelled_is_no_garbage(collector: None) -> None:
    del collector
    step = ParallelStep[Any, Any, Any]("parallel", {"a": Step[Any, Any, Any]("a", forever), "b": good()})
    async with open_system() as system:
        for _ in range(2):
            gc.collect()
            run = await system.start(step, 1)
            await trio.testing.wait_all_tasks_blocked()
            run.cancel(reason="enough")
            await run.wait()
            del run
        assert gc.collect() == 0
