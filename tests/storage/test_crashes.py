"""Processes that are killed while they store runs: what was acknowledged is there, and the next run works.

`make crash-test` kills 300 processes, the tests 30: at random moments, right before and after the commits of
transactions, and in the middle of writes. Ten in a row use one file.
"""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import pytest

from flujo_actors import Step, run_pipeline
from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord, SQLiteBackend
from tests.storage.crashing import increment

KILLS = int(os.environ.get("CRASH_TEST_KILLS", "30"))
KILLS_OF_ONE_FILE = 10
PROGRAM = Path(__file__).with_name("crashing.py")
ENDED = {SpanStatus.COMPLETED, SpanStatus.FAILED}


@attrs.frozen
class Acknowledged:
    """What killed processes said before they were killed."""

    spans: dict[str, set[str]] = attrs.Factory(lambda: defaultdict[str, set[str]](set))
    """The ids of the stored spans by run."""
    runs: dict[str, str] = attrs.Factory(dict[str, str])
    """The status of the runs that have returned."""

    def note(self, lines: Iterable[str]) -> None:
        for line in lines:
            match line.split():
                case ["span", run_id, span_id]:
                    self.spans[run_id].add(span_id)
                case words:
                    _, run_id, status = words
                    self.runs[run_id] = status


@attrs.frozen
class Crasher:
    """Has processes run pipelines until they are killed."""

    process: subprocess.Popen[str]

    def run_until_killed(self, path: Path, seed: int, way: str, number: float) -> list[str]:
        """What a process said before it died."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{path} {seed} {way} {number}\n")
        stdin.flush()
        lines: list[str] = []
        while not (line := stdout.readline()).startswith("died "):
            assert line, "the program has ended"
            lines.append(line)
        assert line == ("died SIGXFSZ\n" if way == "in-write" else "died SIGKILL\n")
        return lines[:-1]  # the last one was cut off, or is empty


@pytest.fixture(scope="module")
def crasher() -> Iterator[Crasher]:
    with subprocess.Popen(
        [sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Crasher(process)
        process.kill()


def ways_to_die(series: int, path: Path) -> Iterator[tuple[str, float]]:
    """How the processes of one series die. In all series together every commit from the first on has its turn."""
    chance = random.Random(series)  # noqa: S311 - repeatable, no secret
    for commit in 1 + 2 * series, 2 + 2 * series:
        yield "before-commit", commit
        yield "after-commit", commit
    for _ in range(2):
        largest = max((file.stat().st_size for file in path.parent.glob("runs.db*")), default=0)
        yield "in-write", largest + chance.randrange(300_000)
    for _ in range(4):
        yield "after", round(chance.expovariate(8), 3)


def check_tree(trace: dict[str, Any], recorded: set[str]) -> None:
    """The trace is one tree, nothing in it is running, and it has every span that is recorded."""
    assert trace["parent_span_id"] is None
    seen: set[str] = set()
    waiting = [trace]
    while waiting:
        node = waiting.pop()
        assert node["span_id"] not in seen
        assert node["status"] != "running"
        assert all(child["parent_span_id"] == node["span_id"] for child in node["children"])
        seen.add(node["span_id"])
        waiting += node["children"]
    assert recorded <= seen


def check_run(backend: SQLiteBackend, run: RunRecord, acknowledged: Acknowledged) -> None:
    spans = {span.span_id: span for span in backend.get_spans(run.run_id)}
    promised = acknowledged.spans[run.run_id]
    assert promised <= spans.keys()
    assert all(spans[span_id].end_time is not None for span_id in promised)
    trace = backend.get_trace(run.run_id)
    assert trace is not None
    assert trace["status"] == run.status
    check_tree(trace, set(spans))
    if run.run_id in acknowledged.runs:
        assert run.status == acknowledged.runs[run.run_id]
    assert run.status in {*ENDED, SpanStatus.INTERRUPTED}
    assert (run.ended_at is None) is (run.status is SpanStatus.INTERRUPTED)


def check_file(path: Path, acknowledged: Acknowledged) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with SQLiteBackend(path) as backend:
        runs = backend.list_runs()
        assert acknowledged.spans.keys() | acknowledged.runs.keys() <= {run.run_id for run in runs}
        for run in runs:
            check_run(backend, run, acknowledged)


def check_that_the_next_run_works(path: Path) -> None:
    result = run_pipeline(Step("next", increment), 1, storage=SQLiteBackend(path))
    assert result.output == 2
    assert result.warnings == ()
    with SQLiteBackend(path) as backend:
        assert backend.get_trace(result.run_id) == result.trace_tree


@pytest.mark.parametrize("series", range(KILLS // KILLS_OF_ONE_FILE))
def test_what_was_acknowledged_survives_the_death_of_the_process(crasher: Crasher, tmp_path: Path, series: int) -> None:
    path = tmp_path / "runs.db"
    acknowledged = Acknowledged()
    for place, (way, number) in enumerate(ways_to_die(series, path)):
        acknowledged.note(crasher.run_until_killed(path, 1000 * series + 10 * place, way, number))
        check_file(path, acknowledged)
        check_that_the_next_run_works(path)
    assert acknowledged.runs
