"""The spans in an SQLite file.

They are appended as they come, whatever run they belong to, and `segments` says which stretches of the table are whose.
Kept together by run instead, the spans of runs that go on side by side would be written into as many places of the file
with each batch: small batches take twice the time then. What it costs is that a span that takes the place of an earlier
one does not overwrite it: of several with one id, the last one counts.
"""

# ruff: noqa: S608 - the statements are put together from constants
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from flujo_actors.plain import decode_all, encode_all
from flujo_actors.spans import Span, SpanStatus
from flujo_actors.storage.database import ROWS_AT_ONCE, Database, Row

_INSERT: Final = """
    INSERT INTO spans (run, span_id, parent_span_id, name, start_time, end_time, status, attributes)
"""

# Outer loop, inner loop: a run has few segments, and the spans of each lie side by side.
_OF_RUNS: Final = "segments CROSS JOIN spans ON spans.id BETWEEN first AND last"

_SELECT: Final = f"""
    SELECT span_id, parent_span_id, name, start_time, end_time, status, attributes
    FROM {_OF_RUNS} WHERE segments.run = ? ORDER BY first
"""

_DELETE: Final = f"DELETE FROM spans WHERE id IN (SELECT spans.id FROM {_OF_RUNS} WHERE segments.run = ?)"

_SELECT_LAST_ACTIVITY: Final = f"""
    SELECT max(coalesce(end_time, start_time)) FROM {_OF_RUNS} WHERE segments.run = ?
"""

_SPENT_BY_TOPMOST: Final = f"""
    SELECT
        total(json_extract(attributes, '$.cost_usd')),
        total(json_extract(attributes, '$.prompt_tokens'))
            + total(json_extract(attributes, '$.completion_tokens'))
            + total(json_extract(attributes, '$.other_tokens'))
    FROM spans
    WHERE id IN (SELECT max(spans.id) FROM {_OF_RUNS} WHERE segments.run = ? GROUP BY span_id)
        AND coalesce(parent_span_id, '') NOT IN (SELECT span_id FROM {_OF_RUNS} WHERE segments.run = ?)
"""

_LAST_OF_EACH: Final = f"""
    FROM {_OF_RUNS} WHERE segments.run BETWEEN ? AND ? GROUP BY spans.run, span_id
"""

# Spans recorded as running are left to be counted one by one: what they are depends on their run. With `max`, the other
# columns are those of the row that has the maximum.
_SUM_ENDED: Final = f"""
    SELECT name, status, parent_span_id IS NULL, count(*), count(end_time), total(end_time - start_time)
    FROM (SELECT max(spans.id), name, status, parent_span_id, start_time, end_time {_LAST_OF_EACH})
    WHERE status <> 'running' GROUP BY 1, 2, 3
"""

_SELECT_RUNNING: Final = f"""
    SELECT run, span_id, parent_span_id, name, start_time, end_time, status, attributes
    FROM spans WHERE id IN (SELECT max(spans.id) {_LAST_OF_EACH}) AND status = 'running' ORDER BY run
"""

_ANY_RUNNING: Final = f"""
    SELECT EXISTS (SELECT 1 FROM {_OF_RUNS} WHERE segments.run BETWEEN ? AND ? AND status = 'running')
"""

_STATUSES: Final = {str(status): status for status in SpanStatus}
"""Looking a status up is quicker than having the enum find it, and there is one for each span."""


class SpanTable:
    """The spans of all runs. A run is named by the key of its row; who calls sees to transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, run: int, spans: Sequence[Span]) -> None:
        """Add spans to a run."""
        if not spans:
            return
        last = 0
        for start in range(0, len(spans), ROWS_AT_ONCE):
            last = self._database.insert(_INSERT, _rows_from(run, spans[start : start + ROWS_AT_ONCE]))
        # Nobody else can have inserted meanwhile, so these have the numbers up to the last.
        self._database.execute("INSERT INTO segments VALUES (?, ?, ?)", (run, last - len(spans) + 1, last))

    def delete(self, run: int) -> int:
        """Delete the spans of a run, and say how many there were."""
        count = self._database.execute(_DELETE, (run,))
        self._database.execute("DELETE FROM segments WHERE run = ?", (run,))
        return count

    def rows_of(self, run: int) -> list[Row]:
        """The spans of a run as `spans_from` takes them."""
        return self._database.rows(_SELECT, (run,))

    def last_activity(self, run: int) -> float | None:
        """When a span of a run ended last, or started if it has no end; `None` when there is no span."""
        found: float | None = self._database.rows(_SELECT_LAST_ACTIVITY, (run,))[0][0]
        return found

    def spent(self, run: int) -> tuple[float, int]:
        """US dollars and tokens that the spans of a run have spent. Those of a span include what is inside it."""
        cost, tokens = self._database.rows(_SPENT_BY_TOPMOST, (run, run))[0]
        return cost, int(tokens)

    def sums_of_ended(self, runs: tuple[int, int]) -> list[Row]:
        """For each name and status, of roots and of others, of a range of runs: how many, how many ended, seconds."""
        return self._database.rows(_SUM_ENDED, runs)

    def running(self, runs: tuple[int, int]) -> list[Row]:
        """The spans that are recorded as running, of a range of runs, each after the key of its run."""
        ((exist,),) = self._database.rows(_ANY_RUNNING, runs)
        return self._database.rows(_SELECT_RUNNING, runs) if exist else []


def spans_from(rows: Iterable[Row]) -> Iterator[Span]:
    """The spans in rows of one run, the last one of each id."""
    last = list({row[0]: row for row in rows}.values())
    for start in range(0, len(last), ROWS_AT_ONCE):
        some = last[start : start + ROWS_AT_ONCE]
        attributes = decode_all([row[-1] for row in some])
        yield from map(_span_from, some, attributes)


def _span_from(row: Row, attributes: Mapping[str, Any]) -> Span:
    span_id, parent_span_id, name, start_time, end_time, status, _ = row
    return Span(span_id, parent_span_id, name, start_time, end_time, _STATUSES[status], attributes)


def _rows_from(run: int, spans: Sequence[Span]) -> list[Row]:
    texts = encode_all([span.attributes for span in spans])
    return [
        (
            run,
            span.span_id,
            span.parent_span_id,
            span.name,
            span.start_time,
            span.end_time,
            str(span.status),
            attributes,
        )
        for span, attributes in zip(spans, texts, strict=True)
    ]
