"""A program that has processes run pipelines until they are killed, one process after the other.

Each line of its input says how: a database, a seed, a way to die and a number. The process is a fork of this one, so
that the imports are done once. The ways to die are

    after N           seconds, killed by this program
    before-commit N   right before the N-th transaction is committed
    after-commit N    right after it
    in-write N        in the middle of the write that makes a file larger than N bytes, killed by the system

The process says on its output what was acknowledged: `span RUN SPAN` when `record_spans` has returned and the
transaction around it has ended, `run RUN STATUS` when `system.run` has returned. This program says `died SIGNAL`.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import trio

from flujo_actors import AnyStep, LoopStep, MapStep, ParallelStep, Pipeline, Span, Step, System, open_system
from flujo_actors.storage import SQLiteBackend

AT_ONCE = 4
"""Runs that go on at the same time."""


class Acknowledging(SQLiteBackend):
    """Says which spans are stored, once they are."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._depth = 0
        self._lines: list[str] = []

    @contextmanager
    def transaction(self) -> Generator[None]:
        self._depth += 1
        try:
            with super().transaction():
                yield
        except BaseException:
            self._lines.clear()
            raise
        finally:
            self._depth -= 1
        if not self._depth:
            say(*self._lines)
            self._lines.clear()

    def record_spans(self, run_id: str, spans: Sequence[Span]) -> None:
        super().record_spans(run_id, spans)
        self._lines += [f"span {run_id} {span.span_id}" for span in spans]


def say(*lines: str) -> None:
    os.write(1, "".join(f"{line}\n" for line in lines).encode())


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def watch_connections(watch: Callable[[str], object] | None) -> None:
    """Have every connection tell its statements, and copy the journal into the database often, to have that hit too."""
    connect = sqlite3.connect

    def connect_watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute("PRAGMA wal_autocheckpoint = 5")
        connection.set_trace_callback(watch)
        return connection

    setattr(sqlite3, "connect", connect_watched)  # noqa: B010 - its type is that of several overloads


def death_at_commit(number: int, *, after: bool) -> Callable[[str], None]:
    """Counts the transactions that are committed, and kills the process right before or after one of them."""
    seen = 0

    def watch(statement: str) -> None:
        nonlocal seen
        if after and seen >= number:  # this is the statement that follows the commit
            die()
        seen += statement == "COMMIT"
        if seen >= number and not after:
            die()

    return watch


def die_in_write(size: int) -> None:
    """Have the system kill the process in the middle of the write that makes a file larger than `size` bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def increment(data: int) -> int:
    return data + 1


async def pause(data: int) -> int:
    await trio.sleep(0.001)
    return data + 1


def refuse(data: Any) -> int:
    raise ValueError(f"{data!r} " * 200)


def numbers(data: int, context: Any) -> list[int]:
    return list(range(8))


PIPELINES: list[AnyStep] = [
    Pipeline("sequence", [Step(f"step {number}", increment) for number in range(20)]),
    LoopStep("loop", Step("body", pause), exit_condition=lambda output, context: output > 15, max_loops=30),
    ParallelStep("parallel", {name: Step("a", pause) >> Step("b", increment) for name in "xyz"}),
    Pipeline("fallback", [Step("refusing", refuse, fallback=Step("taking", increment)), Step("after", pause)]),
    Pipeline("failing", [Step("before", increment), Step("refusing", refuse)]),
    MapStep("map", Step("item", pause), over=numbers, max_concurrency=4),
    LoopStep(
        "outer",
        ParallelStep("inner", {name: Step("a", increment) for name in "xy"}) >> Step("sum", len),
        exit_condition=lambda output, context: False,
        max_loops=5,
        on_max_loops="succeed",
    ),
]


async def run_on(system: System, choose: random.Random) -> None:
    while True:
        result = await system.run(choose.choice(PIPELINES), 0)
        say(f"run {result.run_id} {result.status}")


async def run_pipelines(path: str, seed: int) -> None:
    async with open_system(storage=Acknowledging(path)) as system, trio.open_nursery() as nursery:
        for number in range(AT_ONCE):
            nursery.start_soon(run_on, system, random.Random(seed + number))  # noqa: S311 - repeatable, no secret


def live(path: str, seed: int, way: str, number: float) -> None:
    """Be the process that dies."""
    commits = {"before-commit": False, "after-commit": True}
    watch_connections(death_at_commit(int(number), after=commits[way]) if way in commits else None)
    if way == "in-write":
        die_in_write(int(number))
    trio.run(run_pipelines, path, seed)


def main() -> None:
    for line in sys.stdin:
        path, seed, way, number = line.split()
        child = os.fork()
        if not child:
            live(path, int(seed), way, float(number))
        if way == "after":
            time.sleep(float(number))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        say("", f"died {signal.Signals(os.WTERMSIG(status)).name}")  # the line before may have been cut off


if __name__ == "__main__":
    main()
