"""What a backend keeps of a run besides its spans, and what it counts."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from flujo_actors.spans import Span, SpanStatus


@attrs.frozen
class RunRecord:
    """One run, as it was recorded last and as a reader has to see it now."""

    run_id: str
    """32 hexadecimal digits when flujo_actors made it; unique in its backend."""
    status: SpanStatus
    """`RUNNING` until the run's end is recorded; read as `INTERRUPTED` when the process that ran it has died."""
    pipeline: str
    """The name of the pipeline."""
    started_at: float
    """Wall clock, seconds since the epoch."""
    ended_at: float | None = None
    """Wall clock, seconds since the epoch; `None` when no end was recorded."""
    total_cost_usd: float = 0.0
    """US dollars spent by everything in the run; when it was interrupted, by its recorded spans."""
    total_tokens: int = 0
    """Prompt and completion tokens spent by everything in the run; when it was interrupted, by its recorded spans."""
    error: str | None = None
    """Why the run did not complete, as one sentence."""

    @property
    def duration_s(self) -> float | None:
        """Seconds from its start to its end; `None` when no end was recorded."""
        return None if self.ended_at is None else self.ended_at - self.started_at


@attrs.frozen
class NameStatistics:
    """What the spans of one name add up to."""

    count: int = 0
    """How many there are, whether they have ended or not."""
    ended: int = 0
    """How many of them have an end."""
    total_seconds: float = 0.0
    """How long those that have an end took, together."""

    @property
    def mean_seconds(self) -> float:
        """How long one of them took; 0 when none has an end."""
        return self.total_seconds / self.ended if self.ended else 0.0

    def plus(self, *, count: int, ended: int, seconds: float) -> NameStatistics:
        """These spans and more of them."""
        return NameStatistics(self.count + count, self.ended + ended, self.total_seconds + seconds)


@attrs.frozen
class SpanStatistics:
    """What spans, of one run or of all, add up to."""

    total: int
    """How many spans there are."""
    by_status: Mapping[SpanStatus, int]
    """How many have which status; a status that none has is missing."""
    by_name: Mapping[str, NameStatistics]
    """What the spans of each name add up to."""
    total_seconds: float
    """How long the roots that have an end took, together: the other spans lie inside them."""


@attrs.define
class SpanTally:
    """Adds spans up, one by one or many of a kind at once."""

    _by_status: dict[SpanStatus, int] = attrs.field(factory=dict[SpanStatus, int], init=False)
    _by_name: dict[str, NameStatistics] = attrs.field(factory=dict[str, NameStatistics], init=False)
    _total_seconds: float = attrs.field(default=0.0, init=False)

    def add(self, span: Span) -> None:
        """Count one span."""
        seconds = None if span.end_time is None else span.end_time - span.start_time
        self.add_alike(
            span.name,
            span.status,
            is_root=span.parent_span_id is None,
            count=1,
            ended=int(seconds is not None),
            seconds=seconds or 0.0,
        )

    def add_alike(
        self, name: str, status: SpanStatus, *, is_root: bool, count: int, ended: int, seconds: float
    ) -> None:
        """Count spans that have their name and status in common, `ended` of which took `seconds` together."""
        known = self._by_name.get(name, NameStatistics())
        self._by_name[name] = known.plus(count=count, ended=ended, seconds=seconds)
        self._by_status[status] = self._by_status.get(status, 0) + count
        if is_root:
            self._total_seconds += seconds

    def statistics(self) -> SpanStatistics:
        """The sums so far."""
        total = sum(self._by_status.values())
        return SpanStatistics(total, dict(self._by_status), dict(self._by_name), self._total_seconds)
