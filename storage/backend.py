"""What every store of runs and their traces can do."""

from __future__ import annotations

import abc
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from flujo_actors.spans import Span, SpanStatus
from flujo_actors.storage.pruning import check_what_to_prune, runs_to_prune
from flujo_actors.storage.records import RunRecord, SpanStatistics


class StateBackend(abc.ABC):
    """Keeps runs and their spans.

    Synchronous: the storage actor calls it in a worker thread; whoever wants to read calls it directly. All
    methods may be called from any thread; those that follow each other in one `transaction` from one thread.

    A backend opens itself when it is used first, also after it was closed. `with backend:` opens it at the
    start and closes it at the end.

    Every method raises `DatabaseUnusableError` when the backend opens itself and cannot, and `DatabaseFailedError`
    when it fails later, by which it says that nothing can be stored: a run that is refused for what it is should
    be refused with another error. What a writing method has not done completely it has not done. A method must
    return: what it waits for it should wait for in bounds.

    A run whose process has died reads as `interrupted`, where the backend can know; so do those of its spans
    that were recorded as running. Nothing is written to conclude this.
    """

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @abc.abstractmethod
    def open(self) -> None:
        """Make the backend usable: create what is missing and bring what is old up to date. Idempotent.

        Raises:
            DatabaseUnusableError: there is something else where the data should be, or it may not be used.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of files and locks. Idempotent; not to be called inside a `transaction`."""

    @abc.abstractmethod
    def transaction(self) -> AbstractContextManager[None]:
        """Do everything in the `with` block, or, when an exception leaves it, nothing of it.

        Other threads wait until the block has ended. Inside another transaction it joins that one: what it
        did lasts if the outer one ends well, and an exception that is caught in the outer one undoes the
        inner part only.
        """

    @abc.abstractmethod
    def record_run_start(self, run: RunRecord) -> None:
        """Record that this process runs `run` from now on.

        Raises:
            DuplicateRunError: a run of this id is recorded already.
        """

    @abc.abstractmethod
    def record_spans(self, run_id: str, spans: Sequence[Span]) -> None:
        """Add spans to a run. A span whose id the run has already takes the place of the earlier one.

        Attributes should be JSON values. What is none is not lost: tuples become lists, other keys than
        strings become strings as `json.dumps` does it, not-a-number and the infinities become `"NaN"`,
        `"Infinity"` and `"-Infinity"`, whole numbers of thousands of digits their hexadecimal text, and
        everything else its `repr`.

        Raises:
            UnknownRunError: the run's start was not recorded, or it was deleted.
        """

    @abc.abstractmethod
    def record_run_end(self, run: RunRecord) -> None:
        """Replace the record of a run with its final state.

        Raises:
            UnknownRunError: the run's start was not recorded, or it was deleted.
        """

    @abc.abstractmethod
    def save_trace(self, run_id: str, trace: Mapping[str, Any]) -> None:
        """Make `trace` the trace of a run, in place of all spans it had.

        Args:
            run_id: the run.
            trace: the root as nested dicts, as `get_trace` gives it.

        Raises:
            UnknownRunError: the run's start was not recorded, or it was deleted.
            KeyError: a node lacks a field.
            ValueError: the nodes are not one tree: an id stands twice, or a parent is missing.
        """

    @abc.abstractmethod
    def delete_run(self, run_id: str) -> bool:
        """Forget a run and its spans. Says whether there was one."""

    def delete_runs(self, run_ids: Iterable[str]) -> list[str]:
        """Forget runs and their spans, in several transactions, so that who writes meanwhile does not wait for long.

        Returns:
            The ids of those that there were.
        """
        return [run_id for run_id in run_ids if self.delete_run(run_id)]

    def prune(self, *, older_than: float | None = None, keep: int | None = None, now: float | None = None) -> list[str]:
        """Forget runs by their age, by their number, or both: then only runs that either would delete.

        Runs that are running or paused are never deleted. Each other run is deleted whole or not at all, but not all
        of them at once: see `delete_runs`.

        Args:
            older_than: only runs that ended more than so many seconds ago. One that was interrupted ended when the
                last of its recorded spans did, or if there is none when it started.
            keep: not the so many runs that started last, whatever became of them.
            now: what to count `older_than` back from, wall clock, seconds since the epoch; `None` for now.

        Returns:
            The ids of the runs that were deleted, the one that started first at the beginning.

        Raises:
            ValueError: neither `older_than` nor `keep` was given, or one of them is negative.
        """
        doomed = self.find_prunable(older_than=older_than, keep=keep, now=now)
        return self.delete_runs(run.run_id for run in doomed)

    def find_prunable(
        self, *, older_than: float | None = None, keep: int | None = None, now: float | None = None
    ) -> list[RunRecord]:
        """The runs that `prune` would delete, the one that started first at the beginning. Deletes nothing.

        Raises:
            ValueError: as for `prune`.
        """
        check_what_to_prune(older_than, keep)
        ended_before = None if older_than is None else (time.time() if now is None else now) - older_than
        return runs_to_prune(self.list_runs(), self._last_activity, ended_before=ended_before, keep=keep)

    def _last_activity(self, run: RunRecord) -> float:
        """When something of a run happened last that was recorded."""
        return max((span.end_time or span.start_time for span in self.get_spans(run.run_id)), default=run.started_at)

    @abc.abstractmethod
    def get_run(self, run_id: str) -> RunRecord | None:
        """The record of a run, `None` when there is none."""

    @abc.abstractmethod
    def list_runs(
        self,
        *,
        status: SpanStatus | None = None,
        pipeline: str | None = None,
        started_after: float | None = None,
        started_before: float | None = None,
        limit: int | None = None,
    ) -> list[RunRecord]:
        """The runs that fit everything asked for, the one that started last first.

        Args:
            status: only runs that read as this.
            pipeline: only runs of the pipeline of this name.
            started_after: only runs that started then or later; wall clock, seconds since the epoch.
            started_before: only runs that started earlier than that; wall clock, seconds since the epoch.
            limit: at most so many, 0 or more; `None` for all.
        """

    @abc.abstractmethod
    def find_runs(self, prefix: str, limit: int = 10) -> list[RunRecord]:
        """At most `limit` runs whose id begins with `prefix`, the one that started last first."""

    @abc.abstractmethod
    def get_spans(self, run_id: str) -> list[Span]:
        """The recorded spans of a run in the order of their start, none for an unknown run."""

    @abc.abstractmethod
    def get_trace(self, run_id: str) -> dict[str, Any] | None:
        """The trace of a run: its root as nested dicts, children in the order of their start.

        The root of a run that has ended never reads as running. Of a run whose root was not written, because
        it has not ended or its process died, the root and the other ancestors of the spans there are stand
        in the trace as `running` or `interrupted`.

        Returns:
            The root, or `None` when there is no such run. What the caller changes in it changes nothing here.
        """

    @abc.abstractmethod
    def get_span_statistics(self, run_id: str | None = None) -> SpanStatistics:
        """What the recorded spans of a run add up to; those of all runs for `None`."""
