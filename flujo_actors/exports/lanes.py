"""Which track a span is drawn on, so that what overlaps in time does not overlap on the screen."""

from __future__ import annotations

import heapq

import attrs

from flujo_actors.lens import SpanNode, TraceTree


@attrs.frozen(eq=False)
class Slice:
    """A span as it is drawn: on a lane, from a moment to another."""

    node: SpanNode
    lane: int
    """0 for the lane of the root."""
    start: int
    """Nanoseconds since the run's start."""
    end: int
    """Nanoseconds since the run's start, never before `start`."""


@attrs.define(eq=False)
class _Lane:
    number: int
    open: list[Slice] = attrs.Factory(list[Slice])
    """The slices that are not over yet at the moment looked at, each inside the one before it."""

    def close_until(self, moment: int, *, keep: Slice | None = None) -> None:
        while self.open and self.open[-1].end <= moment and self.open[-1] is not keep:
            self.open.pop()


def slices_of(trace: TraceTree) -> list[Slice]:
    """The spans of a trace on lanes, in order of their start, in time linear in their number but for sorting.

    Two slices on one lane either do not overlap or lie one inside the other, the inner one being below the outer one
    in the trace. A span stays on its parent's lane where that is free, so a run in which nothing is concurrent has
    one lane. What begins before its parent or ends after it, as the rounding of clocks may have it, is cut off there.
    """
    drawn: dict[SpanNode, Slice] = {}
    lanes = [_Lane(0)]
    free_from: list[tuple[int, int]] = []
    """When each lane is free, as far as is known, and its number: a heap. The root's lane is not in it."""
    for node, start, end in _clipped(trace):
        lane = _lane_for(node, start, drawn, lanes, free_from)
        if not lane.open and lane.number:
            heapq.heappush(free_from, (end, lane.number))
        drawn[node] = Slice(node, lane.number, start, end)
        lane.open.append(drawn[node])
    return list(drawn.values())


def _lane_for(
    node: SpanNode, start: int, drawn: dict[SpanNode, Slice], lanes: list[_Lane], free_from: list[tuple[int, int]]
) -> _Lane:
    if node.parent is None:
        return lanes[0]
    parent = drawn[node.parent]
    beside = lanes[parent.lane]
    beside.close_until(start, keep=parent)
    if not beside.open or beside.open[-1] is parent:
        return beside
    while free_from and free_from[0][0] <= start:
        lane = lanes[heapq.heappop(free_from)[1]]
        lane.close_until(start)
        if not lane.open:  # else somebody stayed on it who found it free
            return lane
    lanes.append(_Lane(len(lanes)))
    return lanes[-1]


def _clipped(trace: TraceTree) -> list[tuple[SpanNode, int, int]]:
    """The spans with their times within those of their parents, in order of start, parents first."""
    times: dict[SpanNode, tuple[int, int]] = {}
    for node in trace.nodes:
        start, end = _since(trace, node.span.start_time), _since(trace, trace.end_of(node))
        if node.parent is not None:
            first, last = times[node.parent]
            start, end = min(max(start, first), last), min(end, last)
        times[node] = (start, max(start, end))
    # The order of the trace has parents before children, and sorting keeps it where starts are equal.
    return sorted(((node, *span) for node, span in times.items()), key=lambda each: each[1])


def _since(trace: TraceTree, moment: float) -> int:
    return round((moment - trace.start) * 1e9)
