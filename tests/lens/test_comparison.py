from __future__ import annotations

from typing import Any

import pytest

from flujo_actors.lens import compare
from flujo_actors.spans import SpanStatus
from tests.stored_runs import SpanMaker, article_traces


def test_a_run_does_not_differ_from_itself() -> None:
    _, failed = article_traces()
    comparison = compare(failed, failed)
    assert (comparison.only_in_first, comparison.only_in_second, comparison.differences) == ([], [], [])


def test_what_ended_another_way_stands_first_then_what_makes_up_most_of_the_run() -> None:
    comparison = compare(*article_traces())
    assert [each.path for each in comparison.differences if each.status_changed] == ["review/facts", "", "review"]
    first = comparison.differences[0]
    assert first.status == (SpanStatus.COMPLETED, SpanStatus.FAILED)
    assert first.attempts == (1, 2)
    assert first.seconds_changed_by == pytest.approx(1.0)
    weights = [round(each.weight, 6) for each in comparison.differences[3:]]
    assert weights == sorted(weights, reverse=True)


def test_steps_that_only_one_run_has_are_named_by_the_top_of_their_subtree() -> None:
    first, second = SpanMaker(), SpanMaker()
    for maker in (first, second):
        maker.add("", 0.0, 5.0)
    a = first.add("a", 0.0, 1.0, parent=first.spans[0].span_id)
    first.add("a/inner", 0.0, 1.0, parent=a)
    second.add("b", 0.0, 1.0, parent=second.spans[0].span_id)
    comparison = compare(first.tree(), second.tree())
    assert [node.path for node in comparison.only_in_first] == ["a"]
    assert [node.path for node in comparison.only_in_second] == ["b"]


def two(seconds: float, **attributes: Any) -> SpanMaker:
    maker = SpanMaker()
    root = maker.add("", 0.0, 100.0)
    maker.add("step", 0.0, seconds, parent=root, **attributes)
    return maker


def test_steps_of_which_only_the_time_differs_a_little_are_left_out() -> None:
    a, b = two(10.0).tree(), two(10.9).tree()
    assert compare(a, b, threshold=0.01).differences == []
    (difference,) = compare(a, b, threshold=0.009).differences
    assert difference.seconds_changed_by == pytest.approx(0.09)


def test_costs_tokens_and_attempts_that_differ_count_whatever_the_threshold() -> None:
    a = two(10.0, cost_usd=0.5, prompt_tokens=10, attempts=[{"number": 1}, {"number": 2}]).tree()
    b = two(10.0, cost_usd=0.25, prompt_tokens=30).tree()
    (difference,) = compare(a, b, threshold=1.0).differences
    assert (difference.cost_usd, difference.tokens, difference.attempts) == ((0.5, 0.25), (10, 30), (2, 1))


def test_inputs_and_outputs_that_differ_count_where_both_traces_hold_them() -> None:
    a = two(10.0, input={"a": [1, 2]}, output="x").tree()
    assert compare(a, two(10.0).tree()).differences == []
    (difference,) = compare(a, two(10.0, input={"a": [1, 3]}, output="x").tree()).differences
    assert difference.values == {"input": ({"a": [1, 2]}, {"a": [1, 3]})}


def test_several_spans_of_one_path_are_compared_in_order() -> None:
    first, second = SpanMaker(), SpanMaker()
    for maker, statuses in ((first, "fc"), (second, "fcc")):
        root = maker.add("", 0.0, 5.0)
        for number, status in enumerate(statuses):
            kind = SpanStatus.FAILED if status == "f" else SpanStatus.COMPLETED
            maker.add("p/a", float(number), number + 1.0, parent=root, status=kind)
    comparison = compare(first.tree(), second.tree())
    assert comparison.differences == []
    assert [node.span.start_time for node in comparison.only_in_second] == [second.spans[3].start_time]
