"""What the spans of each name add up to, in one run or in many."""

from __future__ import annotations

import math
from decimal import Decimal

import attrs

from flujo_actors.lens.tree import SpanNode, TraceTree, exact
from flujo_actors.spans import SpanStatus


@attrs.frozen
class NameFigures:
    """What the spans of one name add up to. Costs and tokens are those of everything in the spans."""

    name: str
    count: int
    """How many there are, whether they have ended or not."""
    failed: int
    """How many of them failed."""
    stopped: int
    """How many of them were cancelled or interrupted."""
    total_seconds: float
    """How long those that have an end took, together."""
    mean_seconds: float | None
    """How long one of them took; `None` when none has an end."""
    p50_seconds: float | None
    """The duration that half of them did not exceed, one that was measured (nearest rank)."""
    p95_seconds: float | None
    """The duration that 95 of 100 did not exceed, one that was measured (nearest rank)."""
    cost_usd: float
    tokens: int


@attrs.define
class _Sums:
    count: int = 0
    failed: int = 0
    stopped: int = 0
    durations: list[float] = attrs.Factory(list[float])
    cost_usd: Decimal = Decimal(0)
    tokens: int = 0

    def add(self, node: SpanNode) -> None:
        self.count += 1
        self.failed += node.span.status is SpanStatus.FAILED
        self.stopped += node.span.status in {SpanStatus.CANCELLED, SpanStatus.INTERRUPTED}
        if node.seconds is not None:
            self.durations.append(node.seconds)
        if cost := node.cost_usd:
            self.cost_usd += exact(cost)
        self.tokens += node.tokens

    def figures(self, name: str) -> NameFigures:
        durations = sorted(self.durations)
        total = math.fsum(durations)
        return NameFigures(
            name=name,
            count=self.count,
            failed=self.failed,
            stopped=self.stopped,
            total_seconds=total,
            mean_seconds=total / len(durations) if durations else None,
            p50_seconds=_nearest_rank(durations, 50),
            p95_seconds=_nearest_rank(durations, 95),
            cost_usd=float(self.cost_usd),
            tokens=self.tokens,
        )


@attrs.define
class Figures:
    """Adds traces up. Keeps a number for each span, and nothing else of them."""

    runs: int = attrs.field(default=0, init=False)
    """How many traces were added."""
    _by_name: dict[str, _Sums] = attrs.field(factory=dict[str, _Sums], init=False)

    def add(self, trace: TraceTree) -> None:
        """Count the spans of one run."""
        self.runs += 1
        for node in trace.nodes:
            self._by_name.setdefault(node.span.name, _Sums()).add(node)

    def by_name(self) -> list[NameFigures]:
        """The figures so far, the name that took longest first."""
        figures = [sums.figures(name) for name, sums in self._by_name.items()]
        return sorted(figures, key=lambda each: (-round(each.total_seconds, 6), each.name))


def _nearest_rank(ordered: list[float], percent: int) -> float | None:
    return ordered[math.ceil(len(ordered) * percent / 100) - 1] if ordered else None
