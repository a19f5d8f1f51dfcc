"""How two runs differ, path by path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from flujo_actors.lens.tree import SpanNode, TraceTree, exact
from flujo_actors.spans import SpanStatus

VALUES: Final = ("input", "output")
"""The attributes that hold what went into a step and what came out of it."""


@attrs.frozen
class Difference:
    """A step that both runs have, and that did not go alike in them. Pairs are run A's value and run B's."""

    path: str
    occurrence: int
    """Which of the spans of this path it is, from 1: of several tries of a step around it, each has its own."""
    name: str
    status: tuple[SpanStatus, SpanStatus]
    seconds: tuple[float | None, float | None]
    """`None` where the span has no end."""
    cost_usd: tuple[float, float]
    tokens: tuple[int, int]
    attempts: tuple[int, int]
    values: Mapping[str, tuple[Any, Any]]
    """Of `input` and `output` those that both traces hold and that differ."""
    weight: float
    """The largest share that a difference makes up of the longer, costlier, larger run: of its time, cost or tokens."""

    @property
    def status_changed(self) -> bool:
        """Whether the step ended another way."""
        return self.status[0] is not self.status[1]

    @property
    def spending_changed(self) -> bool:
        """Whether cost, tokens or attempts differ."""
        return any(first != second for first, second in (self.cost_usd, self.tokens, self.attempts))

    @property
    def seconds_changed_by(self) -> float:
        """How much longer it took in B, as a share of what it took in A. Infinite where A took no time."""
        first, second = self.seconds
        if first is None or second is None or first == second:
            return 0.0
        return (second - first) / first if first else float("inf")

    def matters(self, threshold: float) -> bool:
        """Whether anything but the time differs, or the time by at least this share of the longer run."""
        if self.status_changed or self.spending_changed or self.values:
            return True
        return self.seconds[0] != self.seconds[1] and self.weight >= threshold


@attrs.frozen
class Comparison:
    """How two runs differ."""

    only_in_first: list[SpanNode]
    """Steps that only run A has, in order. Of a whole subtree its top alone."""
    only_in_second: list[SpanNode]
    """Steps that only run B has, in order. Of a whole subtree its top alone."""
    differences: list[Difference]
    """Steps that both have and that differ: those that ended another way first, then the one of most weight."""


def compare(first: TraceTree, second: TraceTree, *, threshold: float = 0.0) -> Comparison:
    """Compare two runs.

    Args:
        first: run A.
        second: run B.
        threshold: a step of which only the time differs counts when it differs by at least this share of the time
            of the longer run; 0.1 is a tenth.
    """
    ours, theirs = _keyed(first), _keyed(second)
    largest = _Largest.of(first, second)
    pairs = ((key, node, theirs[key]) for key, node in ours.items() if key in theirs)
    differences = [_difference(key, a, b, largest) for key, a, b in pairs]
    return Comparison(
        only_in_first=_tops(ours, theirs),
        only_in_second=_tops(theirs, ours),
        differences=sorted(
            (each for each in differences if each.matters(threshold)),
            key=lambda each: (not each.status_changed, -round(each.weight, 6)),
        ),
    )


_Key = tuple[str, int]
"""A path, and which of its spans."""


@attrs.frozen
class _Largest:
    """What differences are measured by: the figures of the run that has more. 1 where both have nothing."""

    seconds: float
    cost_usd: float
    tokens: int

    @classmethod
    def of(cls, first: TraceTree, second: TraceTree) -> _Largest:
        return cls(
            seconds=max(first.seconds, second.seconds) or 1.0,
            cost_usd=max(first.root.cost_usd, second.root.cost_usd) or 1.0,
            tokens=max(first.root.tokens, second.root.tokens) or 1,
        )


def _keyed(trace: TraceTree) -> dict[_Key, SpanNode]:
    return {
        (path, number): node for path, nodes in trace.by_path().items() for number, node in enumerate(nodes, start=1)
    }


def _tops(ours: Mapping[_Key, SpanNode], theirs: Mapping[_Key, SpanNode]) -> list[SpanNode]:
    alone = {node for key, node in ours.items() if key not in theirs}
    return sorted((node for node in alone if node.parent not in alone), key=lambda node: node.span.start_time)


def _difference(key: _Key, a: SpanNode, b: SpanNode, largest: _Largest) -> Difference:
    seconds = (a.seconds, b.seconds)
    longer = 0.0 if seconds[0] is None or seconds[1] is None else abs(seconds[1] - seconds[0])
    shares = (
        longer / largest.seconds,
        float(abs(exact(b.cost_usd) - exact(a.cost_usd))) / largest.cost_usd,
        abs(b.tokens - a.tokens) / largest.tokens,
    )
    return Difference(
        path=key[0],
        occurrence=key[1],
        name=a.span.name,
        status=(a.span.status, b.span.status),
        seconds=seconds,
        cost_usd=(a.cost_usd, b.cost_usd),
        tokens=(a.tokens, b.tokens),
        attempts=(_tries(a), _tries(b)),
        values=dict(_values(a.span.attributes, b.span.attributes)),
        weight=max(shares),
    )


def _tries(node: SpanNode) -> int:
    return len(node.attempts) or 1


def _values(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for name in VALUES:
        if name in a and name in b and a[name] != b[name]:
            yield name, (a[name], b[name])
