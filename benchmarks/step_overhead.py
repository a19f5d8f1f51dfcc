"""What a step costs: a sequence of 100 steps beside bare trio tasks that do the same spawn, message and wait.

Run it with `make benchmark`. All variants take turns in one process; the figures are medians of CPU time per step.
`loop` is the CPU of the trio thread, `process` that of all threads, so it includes writing to SQLite.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import trio

from flujo_actors import Pipeline, Step, System, open_system
from flujo_actors.storage import MemoryBackend, SQLiteBackend

STEPS = 100
Variant = Callable[[], Awaitable[None]]


async def increment(number: int) -> int:
    """The work of one step."""
    return number + 1


async def bare_tasks() -> None:
    """Spawn a task, have it send one message, wait for the message; a hundred times."""

    async def child(number: int, send: trio.MemorySendChannel[int]) -> None:
        await send.send(await increment(number))

    send, receive = trio.open_memory_channel[int](1)
    number = 0
    async with trio.open_nursery() as nursery:
        for _ in range(STEPS):
            nursery.start_soon(child, number, send)
            number = await receive.receive()
    assert number == STEPS


async def bare_tasks_with_scopes() -> None:
    """The same, each task in a cancel scope of its own, so that it could be stopped alone."""

    async def child(number: int, send: trio.MemorySendChannel[int]) -> None:
        with trio.CancelScope():
            await send.send(await increment(number))

    send, receive = trio.open_memory_channel[int](1)
    number = 0
    async with trio.open_nursery() as nursery:
        for _ in range(STEPS):
            nursery.start_soon(child, number, send)
            number = await receive.receive()
    assert number == STEPS


def pipeline_run(system: System, agent: Callable[[int], Awaitable[int]] = increment) -> Variant:
    """The same as a pipeline of a hundred steps."""
    steps = [Step(f"step{number}", agent) for number in range(STEPS)]
    pipeline: Pipeline[int, int, object] = Pipeline("hundred", steps)

    async def run() -> None:
        result = await system.run(pipeline, 0)
        assert result.unwrap() == STEPS

    return run


@attrs.define
class Timing:
    """CPU seconds of the rounds of one variant."""

    name: str
    variant: Variant
    goal: float | None = None
    loop: list[float] = attrs.Factory(list[float])
    process: list[float] = attrs.Factory(list[float])

    async def measure(self) -> None:
        """One round."""
        loop, process = time.thread_time(), time.process_time()
        await self.variant()
        self.loop.append(time.thread_time() - loop)
        self.process.append(time.process_time() - process)

    def row(self, bare: Timing) -> str:
        """The medians in microseconds per step, and as ratios of the bare tasks'."""
        loop, process = statistics.median(self.loop), statistics.median(self.process)
        loop_ratio = loop / statistics.median(bare.loop)
        process_ratio = process / statistics.median(bare.process)
        met = self.goal is not None and process_ratio <= self.goal
        goal = "" if self.goal is None else f"   goal {self.goal} x: {'met' if met else 'MISSED'}"
        return (
            f"{self.name:28} {loop / STEPS * 1e6:7.1f} {process / STEPS * 1e6:8.1f}"
            f" {loop_ratio:7.2f} x {process_ratio:7.2f} x{goal}"
        )


async def measure(rounds: int, folder: Path) -> list[Timing]:
    """Let the variants take turns."""
    async with AsyncExitStack() as stack:
        alone = await stack.enter_async_context(open_system())
        memory = await stack.enter_async_context(open_system(storage=MemoryBackend()))
        sqlite = await stack.enter_async_context(open_system(storage=SQLiteBackend(folder / "runs.db")))
        timings = [
            Timing("bare trio tasks", bare_tasks),
            Timing("bare tasks in cancel scopes", bare_tasks_with_scopes),
            Timing("pipeline, no storage", pipeline_run(alone), goal=1.6),
            Timing("pipeline, MemoryBackend", pipeline_run(memory)),
            Timing("pipeline, SQLite, all spans", pipeline_run(sqlite), goal=2.5),
        ]
        for round_number in range(rounds):
            # Each round begins with another variant, so that none always follows the same one.
            shift = round_number % len(timings)
            for timing in timings[shift:] + timings[:shift]:
                await timing.measure()
    return timings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200, help="how often each variant runs (default: 200)")
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        timings = trio.run(measure, rounds, Path(folder))
    print(f"{STEPS} steps in sequence, median of {rounds} rounds, CPU microseconds per step and ratio to the bare task")
    print(f"{'':28} {'loop':>7} {'process':>8} {'loop':>9} {'process':>9}")
    for timing in timings:
        print(timing.row(timings[0]))


if __name__ == "__main__":
    main()
