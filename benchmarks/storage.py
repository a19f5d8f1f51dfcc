"""What storing traces costs: ten runs that write 100,000 spans in all, beside one transaction for each span.

Run it with `make benchmark`. Most of the spans are made beforehand, so what is measured is what comes after: `loop` is
the CPU of the trio thread, `process` that of all threads, so it includes writing to SQLite. Memory is measured in
processes of their own, in which the spans are made on the way, as runs make them.
"""

from __future__ import annotations

import argparse
import gc
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from flujo_actors import LoopStep, Pipeline, Span, SpanStatus, Step, open_system
from flujo_actors.spans import ROOT_SPAN_NAME
from flujo_actors.storage import RunRecord, SQLiteBackend, StateBackend
from flujo_actors.storage.actor import StorageActor, open_storage

RUNS: Final = 10
SPANS: Final = 100_000
NAIVE_SPANS: Final = 2_000
FIRST_ID: Final = 2**61
LOOP_GOAL: Final = 1.0
"""Microseconds of the trio thread for each span."""
PROCESS_GOAL: Final = 3.0
"""Microseconds of all threads for each span."""


def record_of(number: int, status: SpanStatus = SpanStatus.RUNNING) -> RunRecord:
    """The record of one of the runs."""
    ended_at = None if status is SpanStatus.RUNNING else 2e9
    return RunRecord(f"{number:032x}", status, "benchmark", 1e9, ended_at)


def spans_of_run(count: int) -> Iterator[Span]:
    """The spans of a run of one loop, as the runtime makes them; the root comes last."""
    root_id = f"{FIRST_ID:016x}"
    for number in range(1, count):
        started_at = 1e9 + number * 1e-4
        yield Span(
            f"{FIRST_ID + number:016x}",
            root_id,
            "increment",
            started_at,
            started_at + 5e-5,
            SpanStatus.COMPLETED,
            {"path": f"grow[{number}]/increment", "kind": "Step", "iteration": number},
        )
    yield Span(root_id, None, ROOT_SPAN_NAME, 1e9, 2e9, SpanStatus.COMPLETED, {"path": "", "kind": "LoopStep"})


async def send(storage: StorageActor, run_id: str, span: Span) -> None:
    """What a supervisor does with a span."""
    try:
        storage.record_nowait(run_id, span)
    except trio.WouldBlock:
        await storage.record(run_id, span)


async def store_run(storage: StorageActor, number: int, spans: Iterable[Span]) -> None:
    """One run, from its start to its end."""
    run = record_of(number)
    await storage.begin_run(run)
    for span in spans:
        await send(storage, run.run_id, span)
    missing = await storage.end_run(record_of(number, SpanStatus.COMPLETED))
    assert missing == ()


async def store_runs(backend: StateBackend, runs: Sequence[Iterable[Span]]) -> None:
    """All of them at once."""
    async with open_storage(backend) as storage, trio.open_nursery() as nursery:
        for number, spans in enumerate(runs):
            nursery.start_soon(store_run, storage, number, spans)


async def store_naively(backend: StateBackend, runs: Sequence[Iterable[Span]]) -> None:
    """One transaction for each span, in a worker thread."""
    for number, spans in enumerate(runs):
        run = record_of(number)
        await trio.to_thread.run_sync(backend.record_run_start, run)
        for span in spans:
            await trio.to_thread.run_sync(backend.record_spans, run.run_id, [span])


async def cpu_of(work: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """CPU seconds of the trio thread and of all threads."""
    # What exists beforehand is not to be looked through again and again for garbage.
    gc.collect()
    gc.freeze()
    loop, process = time.thread_time(), time.process_time()
    await work()
    spent = time.thread_time() - loop, time.process_time() - process
    gc.unfreeze()
    return spent


@attrs.define
class Cost:
    """CPU microseconds for each span, of several rounds."""

    name: str
    loop: list[float] = attrs.Factory(list[float])
    process: list[float] = attrs.Factory(list[float])

    def add(self, spent: tuple[float, float], spans: int) -> None:
        """One more round."""
        self.loop.append(spent[0] / spans * 1e6)
        self.process.append(spent[1] / spans * 1e6)

    def row(self, *, with_goals: bool = False) -> str:
        """The medians, and whether they meet the goals."""
        loop, process = statistics.median(self.loop), statistics.median(self.process)
        text = f"  {self.name:44} {loop:7.2f} {process:8.2f}"
        if with_goals:
            text += f"   {verdict(loop, LOOP_GOAL)}, {verdict(process, PROCESS_GOAL)}"
        return text


def verdict(value: float, goal: float) -> str:
    """Whether a value is within its goal."""
    return f"goal {goal:g}: {'met' if value <= goal else 'MISSED'}"


def check_that_all_is_stored(path: Path, spans: int) -> None:
    """Every span is in the file, in one tree for each run."""
    with SQLiteBackend(path, read_only=True) as backend:
        assert backend.get_span_statistics().total == spans
        for run in backend.list_runs():
            trace = backend.get_trace(run.run_id)
            assert trace is not None
            assert len(trace["children"]) == spans // RUNS - 1


async def compare_sending(rounds: int, folder: Path) -> None:
    """Spans that are there beforehand, in batches and one by one."""
    # The same ones for each run: fresh spans lie in the cache of the processor, and ten times as many would not.
    spans = list(spans_of_run(SPANS // RUNS))
    runs, few = [spans] * RUNS, [spans[: NAIVE_SPANS // RUNS]] * RUNS
    batches, naive = Cost("batches of the storage actor"), Cost("one transaction for each span")
    for number in range(rounds):
        path = folder / f"batches-{number}.db"
        batches.add(await cpu_of(partial(store_runs, SQLiteBackend(path), runs)), SPANS)
        check_that_all_is_stored(path, SPANS)
        with SQLiteBackend(folder / f"naive-{number}.db") as backend:
            naive.add(await cpu_of(partial(store_naively, backend, few)), NAIVE_SPANS)
    print(f"{RUNS} runs that write {SPANS:,} spans in all, median of {rounds} rounds, CPU microseconds for each span")
    print(f"  {'':44} {'loop':>7} {'process':>8}")
    print(batches.row(with_goals=True))
    print(naive.row())
    print(f"  nothing is lost: {SPANS:,} spans in the file after each round")


def increment(number: int) -> int:
    """The work of one step."""
    return number + 1


async def compare_runs(folder: Path) -> None:
    """The same number of spans by the runtime itself, with and without a storage."""
    loop: LoopStep[int, int, Any] = LoopStep(
        "grow",
        Step("increment", increment),
        exit_condition=lambda output, context: False,
        max_loops=SPANS // RUNS - 2,
        on_max_loops="succeed",
    )
    path = folder / "real.db"
    without, stored = Cost("without storage"), Cost("stored in SQLite")
    without.add(await cpu_of(partial(run_together, loop, None)), SPANS)
    stored.add(await cpu_of(partial(run_together, loop, SQLiteBackend(path))), SPANS)
    with SQLiteBackend(path, read_only=True) as backend:
        assert backend.get_span_statistics().total == SPANS
    print(f"{RUNS} real runs of a loop at once, {SPANS:,} spans in all, one round, CPU microseconds for each span")
    print(f"  {'':44} {'loop':>7} {'process':>8}")
    print(without.row())
    print(stored.row())


async def run_together(loop: LoopStep[int, int, Any], backend: StateBackend | None) -> None:
    """Ten runs at once."""
    async with open_system(storage=backend) as system:
        runs = [await system.start(Pipeline("benchmark", [loop]), 0) for _ in range(RUNS)]
        for run in runs:
            result = await run.wait()
            assert result.success
            assert result.warnings == ()


def peak_of_storing(spans: int) -> int:
    """The most bytes that a process of its own had at one time in which so many spans are made and stored."""
    command = [sys.executable, __file__, "--store", str(spans)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - ourselves


def store_and_print_peak(spans: int) -> None:
    """What such a process does."""
    with tempfile.TemporaryDirectory() as folder:
        runs = [spans_of_run(spans // RUNS) for _ in range(RUNS)]
        trio.run(store_runs, SQLiteBackend(Path(folder) / "runs.db"), runs)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))


def compare_memory() -> None:
    """Whether it depends on the number of spans."""
    nothing = peak_of_storing(0)
    print("memory at its peak beyond that of a process that stores nothing, spans made on the way")
    for spans in SPANS // 10, SPANS, 5 * SPANS:
        print(f"  {spans:>9,} spans {(peak_of_storing(spans) - nothing) / 2**20:>35.1f} MB")


def compare_reading(rounds: int, folder: Path) -> None:
    """Whether rebuilding a trace takes time in proportion to its size."""
    print(f"rebuilding the trace of one run, median of {rounds} rounds, CPU microseconds for each span")
    print(f"  {'':44} {'as it is':>8} {'no garbage collection':>22}")
    for count in SPANS // 10, SPANS:
        with SQLiteBackend(folder / f"trace-{count}.db") as backend:
            backend.record_run_start(record_of(0))
            backend.record_spans(record_of(0).run_id, list(spans_of_run(count)))
            backend.record_run_end(record_of(0, SpanStatus.COMPLETED))
            plain = statistics.median(seconds_to_read(backend) for _ in range(rounds))
            gc.disable()
            paused = statistics.median(seconds_to_read(backend) for _ in range(rounds))
            gc.enable()
        print(f"  {f'{count:,} spans':44} {plain / count * 1e6:8.2f} {paused / count * 1e6:22.2f}")


def seconds_to_read(backend: StateBackend) -> float:
    """CPU seconds."""
    gc.collect()
    begun = time.process_time()
    assert backend.get_trace(record_of(0).run_id) is not None
    return time.process_time() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="how often each is measured (default: 7)")
    parser.add_argument("--store", type=int, metavar="SPANS", help="only store so many, and print the peak of memory")
    arguments = parser.parse_args()
    if arguments.store is not None:
        store_and_print_peak(arguments.store)
        return
    rounds: int = arguments.rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        compare_memory()  # first, because a process begins with the peak of the one that started it
        trio.run(compare_sending, rounds, folder)
        trio.run(compare_runs, folder)
        compare_reading(rounds, folder)


if __name__ == "__main__":
    main()
