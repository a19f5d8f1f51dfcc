"""Which runs to prune. A pure function: backends say how."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flujo_actors.spans import SpanStatus
from flujo_actors.storage.records import RunRecord

_GOING_ON = frozenset({SpanStatus.RUNNING, SpanStatus.PAUSED})


def check_what_to_prune(older_than: float | None, keep: int | None) -> None:
    """Refuse what would delete everything by mistake.

    Raises:
        ValueError: neither is given, or one is negative.
    """
    if older_than is None and keep is None:
        raise ValueError("prune needs older_than, keep or both; keep=0 deletes every run that has ended")
    if (older_than is not None and not older_than >= 0) or (keep is not None and keep < 0):
        raise ValueError(f"older_than and keep are 0 or more, got {older_than!r} and {keep!r}")


def runs_to_prune(
    newest_first: Iterable[RunRecord],
    end_of: Callable[[RunRecord], float],
    *,
    ended_before: float | None,
    keep: int | None,
) -> list[RunRecord]:
    """The runs that are over and that everything asked for says to delete, the oldest first.

    Args:
        newest_first: all runs, the one that started last first.
        end_of: when something of a run without a recorded end happened last, wall clock.
        ended_before: only runs that ended earlier than that, wall clock.
        keep: not this many of those that started last.
    """
    doomed = [
        run
        for place, run in enumerate(newest_first)
        if run.status not in _GOING_ON
        and (keep is None or place >= keep)
        and (ended_before is None or (end_of(run) if run.ended_at is None else run.ended_at) < ended_before)
    ]
    return doomed[::-1]
