"""What wide and long steps cost: 1,000 branches at once, loops of up to 10,000 iterations, maps over 100,000 items.

The branches stand beside a bare trio nursery of as many tasks that send one message each, in one run; the figures are
medians of the trio thread's CPU time. Each branch writes one key of a small context, and all are merged.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

import attrs
import trio

from flujo_actors import LoopStep, MapStep, ParallelStep, Step, System, open_system

BRANCHES = 1000
ROUNDS = 15


@attrs.define
class Board:
    """A small context."""

    seen: MutableMapping[str, int] = attrs.Factory(dict[str, int])


async def increment(number: int) -> int:
    """The work of one branch or iteration."""
    return number + 1


async def bare_nursery() -> None:
    """As many tasks as there are branches, each sending one message."""

    async def child(send: trio.MemorySendChannel[int]) -> None:
        await send.send(await increment(1))

    send, receive = trio.open_memory_channel[int](0)
    async with trio.open_nursery() as nursery:
        for _ in range(BRANCHES):
            nursery.start_soon(child, send)
        for _ in range(BRANCHES):
            await receive.receive()


def writer(name: str) -> Step[int, int, Board]:
    """A branch that writes one key of its own."""

    async def write(number: int, *, context: Board) -> int:
        context.seen[name] = number
        return number + 1

    return Step(name, write)


def fan_out(system: System) -> Callable[[], Awaitable[None]]:
    """The branches as a parallel step."""
    step = ParallelStep("fan", {f"branch{number}": writer(f"branch{number}") for number in range(BRANCHES)})

    async def run() -> None:
        result = await system.run(step, 1, context=Board())
        assert len(result.context.seen) == BRANCHES

    return run


def fan_out_without_context(system: System) -> Callable[[], Awaitable[None]]:
    """The same branches without a context."""
    step = ParallelStep("fan", {f"branch{number}": Step("increment", increment) for number in range(BRANCHES)})

    async def run() -> None:
        assert len((await system.run(step, 1)).unwrap()) == BRANCHES

    return run


async def seconds(run: Callable[[], Awaitable[None]]) -> float:
    """CPU seconds of the trio thread."""
    began = time.thread_time()
    await run()
    return time.thread_time() - began


async def print_fan_out(system: System) -> None:
    """The table of branches."""
    variants = {
        "bare nursery": bare_nursery,
        "parallel step, no context": fan_out_without_context(system),
        "parallel step, one write each, merged": fan_out(system),
    }
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(ROUNDS):
        for name, run in variants.items():
            times[name].append(await seconds(run))
    bare = statistics.median(times["bare nursery"])
    print(f"{BRANCHES} branches at once, median of {ROUNDS} rounds, CPU microseconds a branch")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"  {name:40} {median / BRANCHES * 1e6:7.1f} {median / bare:6.2f} x")


async def print_loops(system: System) -> None:
    """The table of loops."""
    print("iterations in one loop, CPU microseconds an iteration")
    for count in (100, 1_000, 10_000):

        def done(number: int, _: object, count: int = count) -> bool:
            return number >= count

        loop = LoopStep("count", Step("increment", increment), exit_condition=done, max_loops=count)

        async def run(loop: LoopStep[int, int, object] = loop, count: int = count) -> None:
            assert (await system.run(loop, 0)).unwrap() == count

        median = statistics.median([await seconds(run) for _ in range(3)])
        print(f"  {count:40,} {median / count * 1e6:7.1f}")


async def most_memory(run: Callable[[], Awaitable[None]]) -> int:
    """Bytes that were in use at one time beyond those before. Takes several times as long as the run alone."""
    gc.collect()
    tracemalloc.start()
    await run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


async def print_maps(system: System) -> None:
    """The table of maps: what is held while items are mapped one after another, and 16 side by side."""
    print("items of a map that gives None for each, keep_results=100: CPU microseconds an item, peak memory in MB")
    for count in (10_000, 100_000):
        for at_once in (1, 16):
            step = MapStep[None, None, Any](
                "map", Step("nothing", nothing), over=partial(numbers_up_to, count), max_concurrency=at_once
            )

            async def run(step: MapStep[None, None, Any] = step) -> None:
                assert (await system.run(step, None, context=Board(), keep_results=100)).success

            cost = await seconds(run)
            peak = await most_memory(run)
            print(f"  {count:9,} items, {at_once:2} at once {cost / count * 1e6:12.1f} {peak / 1e6:8.1f}")


def numbers_up_to(count: int, _: None, __: object) -> range:
    """The items."""
    return range(count)


async def nothing(_: object) -> None:
    """The work of one item."""


async def main() -> None:
    """Measure and print."""
    async with open_system() as system:
        await print_fan_out(system)
        await print_loops(system)
        await print_maps(system)


if __name__ == "__main__":
    trio.run(main)
