from __future__ import annotations

import pytest

from flujo_actors.lens import Figures
from flujo_actors.spans import SpanStatus
from tests.stored_runs import SpanMaker, article_traces


def test_spans_of_one_name_are_added_up_over_runs() -> None:
    figures = Figures()
    for trace in article_traces():
        figures.add(trace)
    by_name = {each.name: each for each in figures.by_name()}
    assert figures.runs == 2
    write = by_name["write"]
    assert (write.count, write.failed, write.cost_usd, write.tokens) == (4, 0, 0.04, 198)
    assert write.total_seconds == pytest.approx(2.0)
    assert by_name["facts"].failed == 1
    assert by_name["facts"].mean_seconds == pytest.approx(0.9)


def test_percentiles_are_durations_that_were_measured() -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, 100.0)
    for number in range(1, 101):
        maker.add("step", 0.0, float(number), parent=root)
    figures = Figures()
    figures.add(maker.tree())
    step = next(each for each in figures.by_name() if each.name == "step")
    assert (step.p50_seconds, step.p95_seconds) == (50.0, 95.0)


def test_what_has_no_end_is_counted_but_has_no_duration() -> None:
    maker = SpanMaker()
    maker.add("", 0.0, None, status=SpanStatus.INTERRUPTED)
    figures = Figures()
    figures.add(maker.tree())
    (root,) = figures.by_name()
    assert (root.count, root.stopped, root.total_seconds) == (1, 1, 0.0)
    assert (root.mean_seconds, root.p50_seconds, root.p95_seconds) == (None, None, None)


def test_costs_are_added_as_the_decimals_they_are() -> None:
    figures = Figures()
    for _ in range(10):
        maker = SpanMaker()
        maker.add("", 0.0, 1.0, cost_usd=0.1)
        figures.add(maker.tree())
    assert figures.by_name()[0].cost_usd == 1.0
