"""Runs and spans in memory: for tests, and for programs that do not want to keep them."""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any

import attrs

from flujo_actors.errors import DuplicateRunError, UnknownRunError
from flujo_actors.plain import plain_attributes
from flujo_actors.spans import Span, SpanStatus
from flujo_actors.storage.backend import StateBackend
from flujo_actors.storage.records import RunRecord, SpanStatistics, SpanTally
from flujo_actors.storage.traces import settled_spans, spans_of, trace_of


@attrs.define
class _StoredRun:
    record: RunRecord
    number: int
    """Rises from run to run: which of two that started at the same time came later."""
    spans: dict[str, Span] = attrs.field(factory=dict[str, Span])


class MemoryBackend(StateBackend):
    """Keeps everything in the memory of this process, as long as the backend is there.

    Spans are kept as they come, and turned into JSON values when they are read. Closing forgets nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._runs: dict[str, _StoredRun] = {}
        self._numbers = itertools.count()
        self._depth = 0
        """How many transactions are open, each inside the one before."""
        self._undo: list[Callable[[], object]] = []
        """What takes back the changes of the open transactions, the newest last."""

    def open(self) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to do: what was recorded stays readable."""

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """See `StateBackend.transaction`."""
        with self._lock:
            before = len(self._undo)
            self._depth += 1
            try:
                yield
            except BaseException:
                while len(self._undo) > before:
                    self._undo.pop()()
                raise
            finally:
                self._depth -= 1
                if not self._depth:
                    self._undo.clear()

    def record_run_start(self, run: RunRecord) -> None:
        """See `StateBackend.record_run_start`."""
        with self.transaction():
            if run.run_id in self._runs:
                raise DuplicateRunError(run.run_id)
            self._runs[run.run_id] = _StoredRun(run, next(self._numbers))
            self._undo.append(lambda: self._runs.pop(run.run_id))

    def record_spans(self, run_id: str, spans: Sequence[Span]) -> None:
        """See `StateBackend.record_spans`."""
        with self.transaction():
            stored = self._stored(run_id).spans
            replaced = {span.span_id: stored.get(span.span_id) for span in spans}
            stored.update((span.span_id, span) for span in spans)
            self._undo.append(lambda: _put_back(stored, replaced))

    def record_run_end(self, run: RunRecord) -> None:
        """See `StateBackend.record_run_end`."""
        with self.transaction():
            stored = self._stored(run.run_id)
            before, stored.record = stored.record, run
            self._undo.append(lambda: setattr(stored, "record", before))

    def save_trace(self, run_id: str, trace: Mapping[str, Any]) -> None:
        """See `StateBackend.save_trace`."""
        # The caller may go on changing the tree, so its attributes are copied at once.
        spans = {span.span_id: _in_plain_values(span) for span in spans_of(trace)}
        with self.transaction():
            stored = self._stored(run_id)
            before, stored.spans = stored.spans, spans
            self._undo.append(lambda: setattr(stored, "spans", before))

    def delete_run(self, run_id: str) -> bool:
        """See `StateBackend.delete_run`."""
        with self.transaction():
            stored = self._runs.pop(run_id, None)
            if stored is not None:
                self._undo.append(lambda: self._runs.update({run_id: stored}))
            return stored is not None

    def get_run(self, run_id: str) -> RunRecord | None:
        """See `StateBackend.get_run`."""
        with self._lock:
            stored = self._runs.get(run_id)
            return None if stored is None else stored.record

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
        fitting = (
            run
            for run in self._newest_first()
            if (status is None or run.status is status)
            and (pipeline is None or run.pipeline == pipeline)
            and (started_after is None or run.started_at >= started_after)
            and (started_before is None or run.started_at < started_before)
        )
        return list(itertools.islice(fitting, limit))

    def find_runs(self, prefix: str, limit: int = 10) -> list[RunRecord]:
        """See `StateBackend.find_runs`."""
        fitting = (run for run in self._newest_first() if run.run_id.startswith(prefix))
        return list(itertools.islice(fitting, limit))

    def get_spans(self, run_id: str) -> list[Span]:
        """See `StateBackend.get_spans`."""
        with self._lock:
            stored = self._runs.get(run_id)
            return [] if stored is None else _read(stored)

    def get_trace(self, run_id: str) -> dict[str, Any] | None:
        """See `StateBackend.get_trace`."""
        with self._lock:
            stored = self._runs.get(run_id)
            return None if stored is None else trace_of(stored.record, _read(stored))

    def get_span_statistics(self, run_id: str | None = None) -> SpanStatistics:
        """See `StateBackend.get_span_statistics`."""
        tally = SpanTally()
        with self._lock:
            for stored in self._runs.values():
                if run_id in {None, stored.record.run_id}:
                    for span in settled_spans(stored.record, stored.spans.values()):
                        tally.add(span)
        return tally.statistics()

    def _stored(self, run_id: str) -> _StoredRun:
        stored = self._runs.get(run_id)
        if stored is None:
            raise UnknownRunError(run_id)
        return stored

    def _newest_first(self) -> Iterable[RunRecord]:
        with self._lock:
            stored = sorted(self._runs.values(), key=lambda run: (run.record.started_at, run.number), reverse=True)
            return [run.record for run in stored]


def _read(stored: _StoredRun) -> list[Span]:
    """The spans of a run as a reader has to see them, in the order of their start, with attributes of their own."""
    spans = sorted(stored.spans.values(), key=lambda span: (span.start_time, span.span_id))
    return [_in_plain_values(span) for span in settled_spans(stored.record, spans)]


def _in_plain_values(span: Span) -> Span:
    return attrs.evolve(span, attributes=plain_attributes(span.attributes))


def _put_back(spans: dict[str, Span], replaced: Mapping[str, Span | None]) -> None:
    for span_id, span in replaced.items():
        if span is None:
            del spans[span_id]
        else:
            spans[span_id] = span
