"""Runs and spans in an SQLite file."""

from __future__ import annotations

import functools
import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import attrs

from flujo_actors.errors import DuplicateRunError, UnknownRunError
from flujo_actors.spans import Span, SpanStatus
from flujo_actors.storage.backend import StateBackend
from flujo_actors.storage.database import Database, Row
from flujo_actors.storage.owner import Owner, current_owner, has_died
from flujo_actors.storage.records import RunRecord, SpanStatistics, SpanTally
from flujo_actors.storage.span_table import SpanTable, spans_from
from flujo_actors.storage.traces import settled_spans, spans_of, trace_of

_INSERT_RUN: Final = """
    INSERT INTO runs
        (run_id, status, pipeline, started_at, ended_at, total_cost_usd, total_tokens, error, owner)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (run_id) DO NOTHING
"""

_UPDATE_RUN: Final = """
    UPDATE runs
    SET (status, pipeline, started_at, ended_at, total_cost_usd, total_tokens, error) = (?, ?, ?, ?, ?, ?, ?)
    WHERE run_id = ?
"""

_SELECT_RUN: Final = """
    SELECT run_id, status, pipeline, started_at, ended_at, total_cost_usd, total_tokens, error, owner
    FROM runs WHERE run_id = ?
"""

_SELECT_RUN_BY_KEY: Final = """
    SELECT run_id, status, pipeline, started_at, ended_at, total_cost_usd, total_tokens, error, owner
    FROM runs WHERE id = ?
"""

_LIST_RUNS: Final = """
    SELECT run_id, status, pipeline, started_at, ended_at, total_cost_usd, total_tokens, error, owner
    FROM runs
    WHERE started_at >= coalesce(?, -9e999) AND started_at < coalesce(?, 9e999)
        AND (? IS NULL OR pipeline = ?) AND (? IS NULL OR status IN (?, ?))
    ORDER BY started_at DESC, id DESC LIMIT ?
"""

# The comparison of ids lets the index find the place from which to look; bytes are compared because an id may
# be stored as bytes (see Database).
_FIND_RUNS: Final = """
    SELECT run_id, status, pipeline, started_at, ended_at, total_cost_usd, total_tokens, error, owner
    FROM runs
    WHERE run_id >= ? AND substr(CAST(run_id AS BLOB), 1, ?) = CAST(? AS BLOB)
    ORDER BY started_at DESC, id DESC LIMIT ?
"""

LONGEST_LOCK_TIMEOUT: Final = 2_000_000
"""Seconds, three weeks: SQLite counts milliseconds in 32 bits."""

_SPANS_DELETED_AT_ONCE: Final = 10_000
"""Spans after which a transaction that deletes runs is over."""

_LARGEST_INTEGER: Final = 2**63 - 1
"""The largest that SQLite stores as a number."""


class SQLiteBackend(StateBackend):
    """Keeps everything in one SQLite file, which several processes may use at the same time.

    Nothing touches the disk before `open` or the first use. A file that is created can be read by its owner
    only; the folders that are created on the way to it can be entered by their owner only.

    Args:
        path: the file. One that is empty is taken as new; one that something else has written is refused.
        read_only: refuse to write, and be content with a file that may only be read. Such a file is read as
            it was when it was opened: open it again to see what was written since.
        lock_timeout: seconds to wait for another process that has locked the file before it is an error; at most
            `LONGEST_LOCK_TIMEOUT`.

    Raises:
        ValueError: `lock_timeout` is no such number of seconds.
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False, lock_timeout: float = 5.0) -> None:
        if not 0 <= lock_timeout <= LONGEST_LOCK_TIMEOUT:
            raise ValueError(f"lock_timeout is 0 to {LONGEST_LOCK_TIMEOUT:,} seconds, got {lock_timeout!r}")
        self._database = Database(Path(path).absolute(), read_only=read_only, lock_timeout=lock_timeout)
        self._spans = SpanTable(self._database)

    @property
    def path(self) -> Path:
        """The file."""
        return self._database.path

    def open(self) -> None:
        """See `StateBackend.open`."""
        self._database.open()

    def close(self) -> None:
        """See `StateBackend.close`."""
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        """See `StateBackend.transaction`."""
        return self._database.transaction()

    def record_run_start(self, run: RunRecord) -> None:
        """See `StateBackend.record_run_start`."""
        row = (run.run_id, *_changing_columns(run), current_owner().to_json())
        with self._database.statement():
            if not self._database.execute(_INSERT_RUN, row):
                raise DuplicateRunError(run.run_id)

    def record_spans(self, run_id: str, spans: Sequence[Span]) -> None:
        """See `StateBackend.record_spans`."""
        with self.transaction():
            self._spans.append(self._key_of(run_id), spans)

    def record_run_end(self, run: RunRecord) -> None:
        """See `StateBackend.record_run_end`."""
        with self._database.statement():
            if not self._database.execute(_UPDATE_RUN, (*_changing_columns(run), run.run_id)):
                raise UnknownRunError(run.run_id)

    def save_trace(self, run_id: str, trace: Mapping[str, Any]) -> None:
        """See `StateBackend.save_trace`."""
        spans = spans_of(trace)
        with self.transaction():
            key = self._key_of(run_id)
            self._spans.delete(key)
            self._spans.append(key, spans)

    def delete_run(self, run_id: str) -> bool:
        """See `StateBackend.delete_run`."""
        with self.transaction():
            return self._delete(run_id) is not None

    def delete_runs(self, run_ids: Iterable[str]) -> list[str]:
        """See `StateBackend.delete_runs`. The file shrinks by what they took, here and not with `delete_run`.

        A file that an early version made does not shrink; what is free in it is used again.
        """
        deleted: list[str] = []
        waiting = deque(run_ids)
        while waiting:
            with self._database.pausing(), self.transaction():
                deleted += self._delete_some(waiting)
        self._database.shrink()
        return deleted

    def get_run(self, run_id: str) -> RunRecord | None:
        """See `StateBackend.get_run`."""
        runs = _runs_from(self._database.rows(_SELECT_RUN, (run_id,)))
        return next(map(self._with_spending, runs), None)

    def list_runs(
        self,
        *,
        status: SpanStatus | None = None,
        pipeline: str | None = None,
        started_after: float | None = None,
        started_before: float | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """See `StateBackend.list_runs`."""
        wanted = None if status is None else str(status)
        recorded = str(SpanStatus.RUNNING) if status is SpanStatus.INTERRUPTED else wanted
        # Which of the runs recorded as running are interrupted is found out below, so only then is it known which
        # are the first so many.
        enough = -1 if limit is None or recorded == SpanStatus.RUNNING else limit
        rows = self._database.rows(
            _LIST_RUNS, (started_after, started_before, pipeline, pipeline, wanted, wanted, recorded, enough)
        )
        fitting = (run for run in _runs_from(rows) if status in {None, run.status})
        return list(map(self._with_spending, itertools.islice(fitting, limit)))

    def find_runs(self, prefix: str, limit: int = 10) -> list[RunRecord]:
        """See `StateBackend.find_runs`."""
        size = len(prefix.encode("utf-8", "surrogatepass"))
        rows = self._database.rows(_FIND_RUNS, (prefix, size, prefix, limit))
        return list(map(self._with_spending, itertools.islice(_runs_from(rows), limit)))

    def get_spans(self, run_id: str) -> list[Span]:
        """See `StateBackend.get_spans`."""
        run, rows = self._read(run_id)
        spans = [] if run is None else settled_spans(run, spans_from(rows))
        return sorted(spans, key=lambda span: (span.start_time, span.span_id))

    def get_trace(self, run_id: str) -> dict[str, Any] | None:
        """See `StateBackend.get_trace`."""
        run, rows = self._read(run_id)
        return None if run is None else trace_of(run, settled_spans(run, spans_from(rows)))

    def get_span_statistics(self, run_id: str | None = None) -> SpanStatistics:
        """See `StateBackend.get_span_statistics`."""
        tally = SpanTally()
        with self._database.snapshot():
            keys = self._range_of_keys(run_id)
            for name, status, is_root, count, ended, seconds in self._spans.sums_of_ended(keys):
                tally.add_alike(
                    name, SpanStatus(status), is_root=bool(is_root), count=count, ended=ended, seconds=seconds
                )
            for span in self._recorded_as_running(keys):
                tally.add(span)
        return tally.statistics()

    def _delete_some(self, waiting: deque[str]) -> list[str]:
        """Delete the first of the runs that wait, as many as one transaction should."""
        deleted: list[str] = []
        spans = 0
        while waiting and spans < _SPANS_DELETED_AT_ONCE:
            run_id = waiting.popleft()
            count = self._delete(run_id)
            if count is not None:
                deleted.append(run_id)
                spans += count
        return deleted

    def _delete(self, run_id: str) -> int | None:
        """Delete a run, and say how many spans it had; `None` when there is no such run."""
        key = self._find_key(run_id)
        if key is None:
            return None
        count = self._spans.delete(key)
        self._database.execute("DELETE FROM runs WHERE id = ?", (key,))
        return count

    def _last_activity(self, run: RunRecord) -> float:
        """See `StateBackend`: without reading what else is known of the spans."""
        key = self._find_key(run.run_id)
        last = None if key is None else self._spans.last_activity(key)
        return run.started_at if last is None else last

    def _read(self, run_id: str) -> tuple[RunRecord | None, list[Row]]:
        """The record of a run and its spans as rows, from one state of the file."""
        with self._database.snapshot():
            run = self.get_run(run_id)
            return run, [] if run is None else self._spans.rows_of(self._key_of(run_id))

    def _with_spending(self, run: RunRecord) -> RunRecord:
        """The run; one that was interrupted with what its recorded spans have spent, since it was not summed up."""
        if run.status is not SpanStatus.INTERRUPTED or (key := self._find_key(run.run_id)) is None:
            return run
        cost, tokens = self._spans.spent(key)
        return attrs.evolve(run, total_cost_usd=cost, total_tokens=tokens)

    def _key_of(self, run_id: str) -> int:
        """The number under which the spans of a run are stored."""
        key = self._find_key(run_id)
        if key is None:
            raise UnknownRunError(run_id)
        return key

    def _find_key(self, run_id: str) -> int | None:
        rows = self._database.rows("SELECT id FROM runs WHERE run_id = ?", (run_id,))
        return rows[0][0] if rows else None

    def _range_of_keys(self, run_id: str | None) -> tuple[int, int]:
        """The first and the last key of the runs meant; keys begin at 1."""
        if run_id is None:
            return 1, _LARGEST_INTEGER
        key = self._find_key(run_id) or 0
        return key, key

    def _recorded_as_running(self, keys: tuple[int, int]) -> Iterator[Span]:
        for key, group in itertools.groupby(self._spans.running(keys), key=lambda row: row[0]):
            (run,) = _runs_from(self._database.rows(_SELECT_RUN_BY_KEY, (key,)))
            yield from settled_spans(run, spans_from(row[1:] for row in group))


def _changing_columns(run: RunRecord) -> Row:
    """What of a run changes in the database when it ends."""
    return (
        str(run.status),
        run.pipeline,
        run.started_at,
        run.ended_at,
        run.total_cost_usd,
        run.total_tokens if run.total_tokens <= _LARGEST_INTEGER else str(run.total_tokens),
        run.error,
    )


def _runs_from(rows: Iterable[Row]) -> Iterator[RunRecord]:
    """The runs as a reader has to see them. Each owner is looked for once."""
    owner_has_died = functools.cache(_owner_has_died)
    for run_id, status, pipeline, started_at, ended_at, cost, tokens, error, owner in rows:
        seen = SpanStatus(status)
        if seen is SpanStatus.RUNNING and owner_has_died(owner):
            seen = SpanStatus.INTERRUPTED
        yield RunRecord(run_id, seen, pipeline, started_at, ended_at, cost, int(tokens), error)


def _owner_has_died(owner: str) -> bool:
    return has_died(Owner.from_json(owner))
