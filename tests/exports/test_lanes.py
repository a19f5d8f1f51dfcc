from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.exports.lanes import Slice, slices_of
from flujo_actors.lens import TraceTree
from tests.stored_runs import SpanMaker

moments = st.integers(0, 12).map(float)


@st.composite
def traces(draw: st.DrawFn) -> TraceTree:
    """Traces of any shape, also of spans that lie outside of their parents or take no time."""
    maker = SpanMaker()
    ids = [maker.add("", 0.0, draw(moments))]
    for number in range(draw(st.integers(0, 14))):
        start, took = draw(moments), draw(moments)
        parent = draw(st.sampled_from(ids))
        ids.append(maker.add(f"s{number}", start, draw(st.sampled_from([start + took, None])), parent=parent))
    return maker.tree()


def by_lane(slices: list[Slice]) -> dict[int, list[Slice]]:
    lanes: dict[int, list[Slice]] = defaultdict(list)
    for each in slices:
        lanes[each.lane].append(each)
    return lanes


def is_below(inner: Slice, outer: Slice) -> bool:
    above = inner.node.parent
    while above is not None and above is not outer.node:
        above = above.parent
    return above is not None


@given(traces())
def test_slices_on_a_lane_lie_beside_or_inside_each_other_as_in_the_trace(trace: TraceTree) -> None:
    slices = slices_of(trace)
    assert {each.node for each in slices} == set(trace.nodes)
    for lane in by_lane(slices).values():
        for number, one in enumerate(lane):
            for other in lane[number + 1 :]:
                overlap = min(one.end, other.end) - max(one.start, other.start)
                assert overlap <= 0 or (is_below(other, one) and one.start <= other.start <= other.end <= one.end)


@given(traces())
def test_slices_come_in_order_of_start_and_the_lanes_are_numbered_without_gaps(trace: TraceTree) -> None:
    slices = slices_of(trace)
    assert all(one.start <= other.start for one, other in pairwise(slices))
    assert sorted(by_lane(slices)) == list(range(1 + max(each.lane for each in slices)))
    assert slices[0].node is trace.root
    assert slices[0].lane == 0


def test_a_run_in_which_nothing_is_concurrent_has_one_lane() -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, 3.0)
    loop = maker.add("loop", 0.0, 2.0, parent=root)
    maker.add("loop[1]/a", 0.0, 1.0, parent=loop)
    maker.add("loop[2]/a", 1.0, 2.0, parent=loop)
    maker.add("last", 2.0, 3.0, parent=root)
    assert [each.lane for each in slices_of(maker.tree())] == [0, 0, 0, 0, 0]


def test_a_lane_is_used_again_when_it_is_free() -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, 4.0)
    for number in range(2):
        for branch in "abc":
            maker.add(f"p{number}/{branch}", number * 2.0, number * 2.0 + 2.0, parent=root)
    assert sorted(by_lane(slices_of(maker.tree()))) == [0, 1, 2]
