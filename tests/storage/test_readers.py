"""Who reads while others write does not make the journal grow without bound."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
import pytest

from flujo_actors.spans import Span, SpanStatus
from flujo_actors.storage import RunRecord, SQLiteBackend, StateBackend, journal, opening

MEGABYTE = 2**20
RUN = RunRecord("run", SpanStatus.RUNNING, "orders", started_at=100.0)
SPAN = Span("00", None, "large", 1.0, 2.0, SpanStatus.COMPLETED, {"path": "x" * 10_000})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def writer(path: Path) -> Iterator[SQLiteBackend]:
    with SQLiteBackend(path) as backend:
        backend.record_run_start(RUN)
        yield backend


def journal_size(path: Path) -> int:
    return path.with_name(f"{path.name}-wal").stat().st_size


def write(writer: SQLiteBackend, megabytes: int) -> int:
    """Write so much, and say how large the journal was at its largest, in megabytes."""
    largest = 0
    for _ in range(megabytes):
        number = next(numbers)
        writer.record_spans("run", [attrs.evolve(SPAN, span_id=f"{number}.{place}") for place in range(100)])
        largest = max(largest, journal_size(writer.path))
    return largest // MEGABYTE


numbers = itertools.count()

POLLING = """
import sys
from flujo_actors.storage import SQLiteBackend

with SQLiteBackend(sys.argv[1], read_only=True) as backend:
    print("reading", flush=True)
    while True:
        for run in backend.list_runs():
            backend.get_span_statistics(run.run_id)
"""

# Two readers, each of which begins before the other has ended.
OVERLAPPING = """
import sqlite3, sys, time

readers = [sqlite3.connect(sys.argv[1], isolation_level=None) for _ in range(2)]
readers[0].execute("BEGIN")
readers[0].execute("SELECT count(*) FROM runs").fetchall()
print("reading", flush=True)
while True:
    readers.reverse()
    readers[0].execute("BEGIN")
    readers[0].execute("SELECT count(*) FROM runs").fetchall()
    time.sleep(0.005)
    readers[1].execute("COMMIT")
    time.sleep(0.005)
"""


@contextmanager
def reading(program: str, path: Path) -> Generator[None]:
    """Another process reads, all the time."""
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"reading\n"
        try:
            yield
            assert process.poll() is None
        finally:
            process.kill()


@pytest.mark.parametrize("program", [POLLING, OVERLAPPING], ids=["polling", "overlapping"])
def test_readers_that_follow_each_other_without_a_pause_do_not_keep_the_journal_growing(
    writer: SQLiteBackend, program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SIZE_TO_WAIT", 12 * MEGABYTE)
    monkeypatch.setattr(journal, "WAIT", 60.0)  # no reader takes that long, however busy the machine is
    with reading(program, writer.path):
        assert write(writer, 80) <= 2 * 12


def test_a_reader_that_reads_for_long_is_left_alone_and_the_journal_is_small_again_afterwards(
    writer: SQLiteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SIZE_TO_WAIT", 12 * MEGABYTE)
    monkeypatch.setattr(journal, "WAIT", 0.01)
    with closing(sqlite3.connect(writer.path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM spans").fetchone()
        assert write(writer, 40) >= 30
        assert reader.execute("SELECT count(*) FROM spans").fetchone() == before
    write(writer, 2)
    assert journal_size(writer.path) <= opening.JOURNAL_SIZE


READING: dict[str, Callable[[StateBackend], object]] = {
    "trace": lambda backend: backend.get_trace("run"),
    "spans": lambda backend: backend.get_spans("run"),
    "run": lambda backend: backend.get_run("run"),
    "list": lambda backend: backend.list_runs(),
    "find": lambda backend: backend.find_runs("r"),
    "statistics": lambda backend: backend.get_span_statistics(),
    "statistics of a run": lambda backend: backend.get_span_statistics("run"),
}


@pytest.mark.parametrize("what", READING)
def test_a_backend_holds_nothing_when_it_has_read(writer: SQLiteBackend, what: str) -> None:
    write(writer, 1)
    with SQLiteBackend(writer.path, read_only=True) as reader:
        READING[what](reader)
        with closing(sqlite3.connect(writer.path, timeout=0)) as other:
            (was_busy, _, _) = other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        assert not was_busy
        assert journal_size(writer.path) == 0


def test_a_writer_waits_for_a_lock_as_long_as_before_after_it_has_waited_for_readers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "SIZE_TO_WAIT", MEGABYTE)
    with SQLiteBackend(path, lock_timeout=0.05) as writer:
        writer.record_run_start(RUN)
        write(writer, 2)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(sqlite3.OperationalError), closing(sqlite3.connect(path, timeout=0)) as third:
                third.execute("BEGIN IMMEDIATE")
            with pytest.raises(Exception, match=r"within 0\.05 s"):
                writer.delete_run("run")
