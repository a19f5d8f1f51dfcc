from __future__ import annotations

import pytest

from flujo_actors.lens import Order, Selection, matches_path
from flujo_actors.spans import SpanStatus
from tests.stored_runs import SpanMaker, article_traces


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("grow[3]/double", "grow[3]/double", True),
        ("grow[3]/double", "grow3/double", False),
        ("grow[*]/double", "grow[12]/double", True),
        ("grow[?]/*", "grow[1]/double", True),
        ("grow[?]/*", "grow[12]/double", False),
        ("*", "grow", True),
        ("*", "grow[1]/double", False),
        ("**", "grow[1]/double", True),
        ("**/double", "grow[1]/double", True),
        ("**/double", "double", False),
        ("a.c", "abc", False),
        ("a*", "a\nb", True),
        ("", "", True),
    ],
)
def test_a_pattern_fits_a_path(pattern: str, path: str, fits: bool) -> None:
    assert matches_path(pattern, path) is fits


def test_no_pattern_takes_long_to_refuse_a_path() -> None:
    assert not matches_path("*" * 50 + "b", "a" * 10_000)


def test_spans_are_chosen_by_status_name_and_path() -> None:
    _, trace = article_traces()
    failed = Selection(statuses=frozenset({SpanStatus.FAILED})).of(trace)
    assert [node.path for node in failed] == ["", "review", "review/facts"]
    assert len(Selection(name="m*").of(trace)) == 2
    assert [node.path for node in Selection(name="measure", path="draft[2]/**").of(trace)] == [
        "draft[2]/pipeline/measure"
    ]


def test_spans_are_sorted_by_start_duration_and_cost() -> None:
    _, trace = article_traces()
    longest = Selection(order=Order.DURATION, limit=2).of(trace)
    assert [node.path for node in longest] == ["", "draft"]
    costliest = Selection(order=Order.COST, path="?**", limit=2).of(trace)
    assert [node.path for node in costliest] == ["draft", "draft[2]/pipeline"]
    assert [node.path for node in Selection(limit=2).of(trace)] == ["", "fetch"]


def test_what_has_no_end_counts_as_long_as_the_run_is_known() -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, None)
    maker.add("short", 0.0, 2.0, parent=root)
    maker.add("unended", 1.0, None, parent=root)
    maker.add("long", 4.0, 9.0, parent=root)
    order = [node.path for node in Selection(order=Order.DURATION).of(maker.tree())]
    assert order == ["", "unended", "long", "short"]
