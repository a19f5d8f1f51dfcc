"""Runs and spans in an SQLite file."""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

from flujo_actors.errors import DuplicateRunError, UnknownRunError
from flujo_actors.plain import encode_attributes
from flujo_actors.spans import Span, SpanStatus
from flujo_actors.storage.backend import StateBackend
from flujo_actors.storage.database import Database, Row
from flujo_actors.storage.owner import Owner, current_owner, has_died
from flujo_actors.storage.records import RunRecord, SpanStatistics, SpanTally
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

_INSERT_SPAN: Final = """
    INSERT INTO spans (run, span_id, parent_span_id, name, start_time, end_time, status, attributes)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (run, span_id) DO UPDATE SET
        parent_span_id = excluded.parent_span_id, name = excluded.name, start_time = excluded.start_time,
        end_time = excluded.end_time, status = excluded.status, attributes = excluded.attributes
"""

_SELECT_SPANS: Final = """
    SELECT span_id, parent_span_id, name, start_time, end_time, spans.status, attributes
    FROM spans JOIN runs ON spans.run = runs.id
    WHERE run_id = ? ORDER BY start_time, span_id
"""

# Spans recorded as running are left to be counted one by one: what they are depends on their run.
_SUM_ENDED_SPANS: Final = """
    SELECT name, status, parent_span_id IS NULL, count(*), count(end_time), total(end_time - start_time)
    FROM spans WHERE run BETWEEN ? AND ? AND status <> 'running'
    GROUP BY 1, 2, 3
"""

_SELECT_RUNNING_SPANS: Final = """
    SELECT runs.run_id, span_id, parent_span_id, name, start_time, end_time, spans.status, attributes
    FROM spans JOIN runs ON spans.run = runs.id
    WHERE run BETWEEN ? AND ? AND spans.status = 'running'
    ORDER BY run
"""

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
    """

    def __init__(self, path: str | os.PathLike[str], *, read_only: bool = False) -> None:
        self._database = Database(Path(path).absolute(), read_only=read_only)

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
        with self.transaction():
            if not self._database.execute(_INSERT_RUN, row):
                raise DuplicateRunError(run.run_id)

    def record_spans(self, run_id: str, spans: Sequence[Span]) -> None:
        """See `StateBackend.record_spans`."""
        with self.transaction():
            self._insert_spans(self._key_of(run_id), spans)

    def record_run_end(self, run: RunRecord) -> None:
        """See `StateBackend.record_run_end`."""
        with self.transaction():
            if not self._database.execute(_UPDATE_RUN, (*_changing_columns(run), run.run_id)):
                raise UnknownRunError(run.run_id)

    def save_trace(self, run_id: str, trace: Mapping[str, Any]) -> None:
        """See `StateBackend.save_trace`."""
        spans = spans_of(trace)
        with self.transaction():
            key = self._key_of(run_id)
            self._database.execute("DELETE FROM spans WHERE run = ?", (key,))
            self._insert_spans(key, spans)

    def delete_run(self, run_id: str) -> bool:
        """See `StateBackend.delete_run`."""
        with self.transaction():
            return self._database.execute("DELETE FROM runs WHERE run_id = ?", (run_id,)) > 0

    def get_run(self, run_id: str) -> RunRecord | None:
        """See `StateBackend.get_run`."""
        return next(_runs_from(self._database.rows(_SELECT_RUN, (run_id,))), None)

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
        return list(itertools.islice(fitting, limit))

    def find_runs(self, prefix: str, limit: int = 10) -> list[RunRecord]:
        """See `StateBackend.find_runs`."""
        size = len(prefix.encode("utf-8", "surrogatepass"))
        rows = self._database.rows(_FIND_RUNS, (prefix, size, prefix, limit))
        return list(itertools.islice(_runs_from(rows), limit))

    def get_spans(self, run_id: str) -> list[Span]:
        """See `StateBackend.get_spans`."""
        with self._database.snapshot():
            run = self.get_run(run_id)
            rows = self._database.rows(_SELECT_SPANS, (run_id,))
        return [] if run is None else settled_spans(run, map(_span_from, rows))

    def get_trace(self, run_id: str) -> dict[str, Any] | None:
        """See `StateBackend.get_trace`."""
        with self._database.snapshot():
            run = self.get_run(run_id)
            spans = self.get_spans(run_id)
        return None if run is None else trace_of(run, spans)

    def get_span_statistics(self, run_id: str | None = None) -> SpanStatistics:
        """See `StateBackend.get_span_statistics`."""
        tally = SpanTally()
        with self._database.snapshot():
            keys = self._range_of_keys(run_id)
            for name, status, is_root, count, ended, seconds in self._database.rows(_SUM_ENDED_SPANS, keys):
                tally.add_alike(
                    name, SpanStatus(status), is_root=bool(is_root), count=count, ended=ended, seconds=seconds
                )
            for span in self._recorded_as_running(keys):
                tally.add(span)
        return tally.statistics()

    def _key_of(self, run_id: str) -> int:
        """The number under which the spans of a run are stored."""
        rows = self._database.rows("SELECT id FROM runs WHERE run_id = ?", (run_id,))
        if not rows:
            raise UnknownRunError(run_id)
        key: int = rows[0][0]
        return key

    def _range_of_keys(self, run_id: str | None) -> tuple[int, int]:
        """The first and the last key of the runs meant; keys begin at 1."""
        if run_id is None:
            return 1, _LARGEST_INTEGER
        try:
            key = self._key_of(run_id)
        except UnknownRunError:
            return 0, 0
        return key, key

    def _insert_spans(self, key: int, spans: Sequence[Span]) -> None:
        rows = [
            (
                key,
                span.span_id,
                span.parent_span_id,
                span.name,
                span.start_time,
                span.end_time,
                str(span.status),
                encode_attributes(span.attributes),
            )
            for span in spans
        ]
        self._database.execute_many(_INSERT_SPAN, rows)

    def _recorded_as_running(self, keys: tuple[int, int]) -> Iterator[Span]:
        rows = self._database.rows(_SELECT_RUNNING_SPANS, keys)
        for run_id, group in itertools.groupby(rows, key=lambda row: row[0]):
            run = self.get_run(run_id)
            assert run is not None, "the query joins the run"  # noqa: S101 - an invariant
            yield from settled_spans(run, (_span_from(row[1:]) for row in group))


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


def _span_from(row: Row) -> Span:
    span_id, parent_span_id, name, start_time, end_time, status, attributes = row
    return Span(span_id, parent_span_id, name, start_time, end_time, SpanStatus(status), json.loads(attributes))
