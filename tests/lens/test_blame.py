from __future__ import annotations

import pytest

from flujo_actors.lens import TraceTree, failures_of, writers_of
from flujo_actors.spans import SpanStatus
from tests.stored_runs import SpanMaker, article_traces, failure


def test_the_chain_leads_from_the_run_to_the_leaf_and_the_attempt() -> None:
    _, failed = article_traces()
    top, leaf = failures_of(failed)
    assert (top.step, top.depth, top.is_last) == ("review", 0, False)
    assert (leaf.step, leaf.depth, leaf.is_last) == ("review/facts", 1, True)
    assert leaf.failure["attempt"] == 2
    assert leaf.node is not None
    assert len(leaf.node.attempts) == 2


def test_a_run_that_completed_names_what_it_got_over() -> None:
    completed, _ = article_traces()
    got_over = [(blamed.step, blamed.failure["exception_type"]) for blamed in failures_of(completed)]
    assert got_over == [("fetch", "ConnectionError"), ("review/opinion", "TimeoutError")]


def test_all_failing_branches_are_named_in_their_order() -> None:
    maker = SpanMaker()
    inner = [failure(f"bad {name}", step=f"p/{name}") for name in "abc"]
    both = failure("p failed", step="p", cause=inner[0], others=inner[1:])
    root = maker.add("", 0.0, 1.0, status=SpanStatus.FAILED, failure=both)
    maker.add("p", 0.0, 1.0, parent=root, status=SpanStatus.FAILED, failure=both)
    chain = [(blamed.depth, blamed.step) for blamed in failures_of(maker.tree())]
    assert chain == [(0, "p"), (1, "p/a"), (1, "p/b"), (1, "p/c")]


def test_of_several_tries_of_a_composite_the_last_failed_span_of_a_path_is_blamed() -> None:
    maker = SpanMaker()
    bad = failure("bad", step="p/a")
    root = maker.add("", 0.0, 4.0, status=SpanStatus.FAILED, failure=bad)
    for number in range(3):
        maker.add("p/a", float(number), number + 1.0, parent=root, status=SpanStatus.FAILED, failure=bad)
    maker.add("p/a", 3.0, 4.0, parent=root)
    (blamed,) = failures_of(maker.tree())
    assert blamed.node is not None
    assert blamed.node.span.span_id == maker.spans[3].span_id


def test_a_failure_of_a_step_that_the_trace_does_not_have_is_told_all_the_same() -> None:
    maker = SpanMaker()
    maker.add("", 0.0, 1.0, status=SpanStatus.FAILED, failure=failure("bad", step="gone"))
    (blamed,) = failures_of(maker.tree())
    assert (blamed.step, blamed.node) == ("gone", None)


@pytest.fixture
def writing() -> TraceTree:
    """A loop that writes `notes['k']` twice, after a step that wrote `notes` whole; ends are 1, 2, 3, 3, 5."""
    maker = SpanMaker()
    root = maker.add("", 0.0, 5.0)
    maker.add("first", 0.0, 1.0, parent=root, writes=["notes", "seen"])
    loop = maker.add("loop", 1.0, 3.0, parent=root, writes=["notes['k']", "notes['j']"])
    maker.add("loop[1]/a", 1.0, 2.0, parent=loop, writes=["notes['k'].deep[0]"])
    maker.add("loop[2]/a", 2.0, 3.0, parent=loop, writes=["notes['k']", "not a path!"])
    maker.add("last", 3.0, 5.0, parent=root, writes=["lines[3]"])
    return maker.tree()


def test_the_steps_that_wrote_a_value_stand_newest_first_of_those_that_ended_together_the_inner_one(
    writing: TraceTree,
) -> None:
    writers = writers_of("notes['k']", writing)
    assert writers is not None
    assert [(each.node.path, each.paths) for each in writers] == [
        ("loop[2]/a", ("notes['k']",)),
        ("loop", ("notes['k']",)),
        ("loop[1]/a", ("notes['k'].deep[0]",)),
        ("first", ("notes",)),
    ]


def test_a_step_around_others_that_wrote_says_so(writing: TraceTree) -> None:
    writers = writers_of("notes", writing)
    assert writers is not None
    assert [each.node.path for each in writers if each.inside] == ["loop"]


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("lines", ["last"]),
        ("lines[3]", ["last"]),
        ("lines[30]", []),
        ("seen", ["first"]),
        ("notes.j", ["loop", "first"]),
        ("notes['k'].deep[0]", ["loop[2]/a", "loop", "loop[1]/a", "first"]),
        ("notes['k'].deep[1]", ["loop[2]/a", "loop", "first"]),
        ("see", []),
    ],
)
def test_a_path_fits_what_is_around_it_and_what_is_in_it(writing: TraceTree, path: str, steps: list[str]) -> None:
    writers = writers_of(path, writing)
    assert writers is not None
    assert [each.node.path for each in writers] == steps


def test_a_trace_that_does_not_hold_what_steps_wrote_gives_no_answer() -> None:
    maker = SpanMaker()
    maker.add("", 0.0, 1.0)
    assert writers_of("notes", maker.tree()) is None


def test_in_a_trace_that_shows_values_a_step_without_writes_wrote_nothing() -> None:
    maker = SpanMaker()
    maker.add("", 0.0, 1.0, input=None)
    assert writers_of("notes", maker.tree()) == []


def test_a_step_that_wrote_more_than_its_span_names_may_have_written_the_value() -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, 2.0)
    maker.add("sure", 0.0, 1.0, parent=root, writes=["a", "notes", "…"])
    maker.add("perhaps", 1.0, 2.0, parent=root, writes=["a", "b", "…"])
    writers = writers_of("notes", maker.tree())
    assert writers is not None
    assert [(each.node.path, each.paths) for each in writers] == [("perhaps", ("…",)), ("sure", ("notes",))]


def test_a_step_that_replaced_the_whole_context_wrote_everything() -> None:
    maker = SpanMaker()
    maker.add("", 0.0, 1.0, writes=[""])
    writers = writers_of("notes['k']", maker.tree())
    assert writers is not None
    assert [each.paths for each in writers] == [("",)]


def test_what_is_no_path_is_refused(writing: TraceTree) -> None:
    with pytest.raises(ValueError, match="is not a path such as"):
        writers_of("notes[", writing)
