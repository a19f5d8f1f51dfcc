"""What storing a trace costs: ten runs that write 100,000 spans in all, beside one transaction for each span.

Run it with `make benchmark`. The spans are made beforehand, so what is measured is what comes after: `loop` is the CPU
of the trio thread, `process` that of all threads, so it includes writing to SQLite. Memory is measured in processes of
their own, and there the spans are made on the way, as runs make them.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from flujo_actors import LoopStep, Span, SpanStatus, Step, open_system
from flujo_actors.spans import ROOT_SPAN_NAME
from flujo_actors.storage import MemoryBackend, RunRecord, SQLiteBackend, StateBackend
from flujo_actors.storage.actor import StorageActor, open_storage

RUNS: Final = 10
SPANS: Final = 100_000
LOOP_GOAL: Final = 1.0
"""Microseconds of the trio thread for each span."""
PROCESS_GOAL: Final = 3.0
"""Microseconds of all threads for each span."""
FIRST_SPAN: Final = 2**61
NAIVE_SPANS: Final = 2_000
"""So many show what one transaction for each costs."""


def record_of(number: int, status: SpanStatus = SpanStatus.RUNNING) -> RunRecord:
    """A run's record."""
    ended_at = None if status is SpanStatus.RUNNING else 2e9
    return RunRecord(f"{number:032x}", status, "benchmark", 1e9, ended_at)


def spans_of_run(count: int) -> Iterator[Span]:
    """The spans of a run of one loop, as the runtime makes them; the root comes last."""
    for number in range(1, count):
        started_at = 1e9 + number * 1e-4
        yield Span(
            f"{FIRST_SPAN + number:016x}",
            f"{FIRST_SPAN:016x}",
            "increment",
            started_at,
            started_at + 5e-5,
            SpanStatus.COMPLETED,
            {"path": f"grow[{number}]/increment", "kind": "Step", "iteration": number},
        )
    yield Span(f"{FIRST_SPAN:016x}", None, ROOT_SPAN_NAME, 1e9, 2e9, SpanStatus.COMPLETED, {"path": "", "kind": "Loop"})


async def send(storage: StorageActor, run_id: str, span: Span) -> None:
    """What a supervisor does with a span."""
    try:
        storage.record_nowait(run_id, span)
    except trio.WouldBlock:
        await storage.record(run_id, span)
