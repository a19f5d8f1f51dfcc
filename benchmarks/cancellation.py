"""What stopping a part of a run costs: 100 running actors beside a bare trio cancel scope over as many tasks.

Both take turns in one process. Measured is the trio thread's CPU from the cancellation until everything has stopped;
for the actors with the results, accounts and spans of all of them. The figures are medians.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
import trio.testing

from flujo_actors import AnyStep, ParallelStep, Pipeline, Step, System, UsageMeter, open_system
from flujo_actors.storage import SQLiteBackend

ACTORS = 100
ROUNDS = 100


async def bare_tasks() -> float:
    """CPU seconds to cancel a scope over the tasks, and to see the last of them end."""
    began = 0.0
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            for _ in range(ACTORS):
                nursery.start_soon(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            began = time.thread_time()
            scope.cancel()
    return time.thread_time() - began


def part_of_a_run(system: System) -> Callable[[], Awaitable[float]]:
    """The same for a parallel step of a run, up to the run's result."""

    async def wait(_: object, *, usage: UsageMeter) -> None:
        usage.charge(cost_usd=0.01)
        await trio.sleep_forever()

    branches: dict[str, AnyStep] = {f"b{number}": Step[Any, Any, Any]("wait", wait) for number in range(ACTORS)}
    pipeline = Pipeline[Any, Any, Any]("p", [ParallelStep[Any, Any, Any]("part", branches)])

    async def measure() -> float:
        run = await system.start(pipeline, None)
        await trio.testing.wait_all_tasks_blocked()
        began = time.thread_time()
        assert run.cancel("part", reason="enough")
        result = await run.wait()
        ended = time.thread_time()
        (stopped,) = result.step_history
        assert (stopped.cost_usd, len(stopped.step_history), len(result.spans)) == (ACTORS / 100, ACTORS, ACTORS + 2)
        return ended - began

    return measure


async def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_system() as alone, open_system(storage=SQLiteBackend(Path(folder) / "runs.db")) as stored:
            variants: dict[str, Callable[[], Awaitable[float]]] = {
                "bare tasks in one cancel scope": bare_tasks,
                "part of a run": part_of_a_run(alone),
                "part of a run, spans in SQLite": part_of_a_run(stored),
            }
            times: dict[str, list[float]] = {name: [] for name in variants}
            for _ in range(ROUNDS):
                for name, measure in variants.items():
                    times[name].append(await measure())
    bare = statistics.median(times["bare tasks in one cancel scope"])
    print(f"stopping {ACTORS} at once, median of {ROUNDS} rounds, CPU microseconds each")
    for name, taken in times.items():
        median = statistics.median(taken)
        goal = "" if median == bare else f"   goal 3 x: {'met' if median <= 3 * bare else 'MISSED'}"
        print(f"  {name:32} {median / ACTORS * 1e6:7.1f} {median / bare:6.2f} x{goal}")


if __name__ == "__main__":
    trio.run(main)
