from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.lens import TraceTree
from flujo_actors.lens.tree import TOKEN_KEYS
from flujo_actors.spans import SpanStatus
from tests.stored_runs import START, SpanMaker, article_traces, failure


def test_nodes_come_parents_first_and_know_their_place() -> None:
    completed, _ = article_traces()
    assert [(node.depth, node.path) for node in completed.nodes][:5] == [
        (0, ""),
        (1, "fetch"),
        (1, "draft"),
        (2, "draft[1]/pipeline"),
        (3, "draft[1]/pipeline/write"),
    ]
    for node in completed.nodes:
        assert node.parent is None or node in node.parent.children
    assert completed.seconds == pytest.approx(2.6)


def test_what_a_step_spends_itself_adds_up_to_what_the_run_spent() -> None:
    for trace in article_traces():
        assert sum(node.own_tokens for node in trace.nodes) == trace.root.tokens
        assert sum(node.own_cost_usd for node in trace.nodes) == pytest.approx(trace.root.cost_usd, abs=1e-12)


def test_what_a_step_spends_itself_has_no_dust_of_binary_fractions() -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, 1.0, cost_usd=0.3)
    maker.add("a", 0.0, 1.0, parent=root, cost_usd=0.1)
    maker.add("b", 0.0, 1.0, parent=root, cost_usd=0.2)
    assert maker.tree().root.own_cost_usd == 0.0


def test_own_time_is_when_no_step_inside_ran() -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, 10.0)
    maker.add("a", 1.0, 4.0, parent=root)
    maker.add("inside a's time", 2.0, 3.0, parent=root)
    maker.add("b", 3.0, 6.0, parent=root)
    maker.add("beyond the end", 9.0, 11.0, parent=root)
    assert maker.tree().root.own_seconds() == pytest.approx(4.0)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=8))
def test_own_time_is_the_time_that_no_child_covers(children: list[tuple[int, int]]) -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, 20.0)
    for start, end in children:
        maker.add("c", float(min(start, end)), float(max(start, end)), parent=root)
    free = sum(not any(min(child) <= second < max(child) for child in children) for second in range(20))
    assert maker.tree().root.own_seconds() == pytest.approx(free)


def test_a_run_that_goes_on_is_seen_until_now() -> None:
    maker = SpanMaker()
    maker.add("", 0.0, None, status=SpanStatus.RUNNING)
    trace = TraceTree.from_trace(maker.tree().root.span.to_dict(), now=START + 5.0)
    assert trace.root.seconds is None
    assert trace.end_of(trace.root) == START + 5.0
    assert trace.seconds == 5.0


def test_what_failed_is_found_with_all_that_is_around_it() -> None:
    _, failed = article_traces()
    paths = {node.path for node in failed.unsuccessful()}
    assert paths == {"", "review", "review/facts"}


def test_attributes_that_are_not_what_this_version_writes_read_as_absent() -> None:
    maker = SpanMaker()
    odd: dict[str, Any] = dict.fromkeys(TOKEN_KEYS, "many")
    maker.add("", 0.0, 1.0, cost_usd=float("nan"), failure="no", attempts="three", **odd)
    root = maker.tree().root
    assert (root.cost_usd, root.tokens, root.failure, root.attempts) == (0.0, 0, None, [])


def test_a_chain_of_twenty_thousand_steps_is_read() -> None:
    maker = SpanMaker()
    parent = maker.add("", 0.0, 1.0)
    for number in range(20_000):
        parent = maker.add(f"s{number}", 0.0, 1.0, parent=parent)
    maker.add("last", 0.0, 1.0, parent=parent, status=SpanStatus.FAILED, failure=failure("no", step="last"))
    trace = maker.tree()
    assert trace.nodes[-1].depth == 20_001
    assert len(trace.unsuccessful()) == 20_002
