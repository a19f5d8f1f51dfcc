"""What every backend does, whichever it is."""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flujo_actors.errors import DuplicateRunError, UnknownRunError
from flujo_actors.spans import Span, SpanStatus, build_trace
from flujo_actors.storage import (
    MemoryBackend,
    NameStatistics,
    RunRecord,
    SpanStatistics,
    SQLiteBackend,
    StateBackend,
)

RUN = RunRecord("run", SpanStatus.RUNNING, "orders", started_at=100.0)
ROOT = Span("00", None, "pipeline_run", 100.0, 109.0, SpanStatus.COMPLETED, {"kind": "Pipeline"})
CHILD = Span("01", "00", "fetch", 101.0, 103.0, SpanStatus.COMPLETED, {"path": "fetch"})
OTHER = Span("02", "00", "parse", 102.0, 108.0, SpanStatus.FAILED, {"path": "parse"})

run_numbers = itertools.count()
shared_backend = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
"""For laws that use one backend for all examples, with a run for each."""


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateBackend]:
    made = MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "runs.db")
    with made:
        yield made


def with_attributes(**attributes: Any) -> Span:
    return attrs.evolve(ROOT, attributes=attributes)


def start_new_run(backend: StateBackend) -> str:
    run = attrs.evolve(RUN, run_id=f"run {next(run_numbers)}")
    backend.record_run_start(run)
    return run.run_id


any_text = st.text(st.characters(exclude_categories=()))
"""Halves of surrogate pairs and control characters included."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=8,
)
times = st.integers(0, 5) | st.floats(0, 2e9)


@st.composite
def span_trees(draw: st.DrawFn) -> list[Span]:
    """Spans that make one tree, parents before children."""
    return [
        Span(
            span_id=f"{number:016x}",
            parent_span_id=f"{draw(st.integers(0, number - 1)):016x}" if number else None,
            name=draw(any_text),
            start_time=draw(times),
            end_time=draw(st.none() | times),
            status=draw(st.sampled_from(SpanStatus)),
            attributes=draw(st.dictionaries(any_text, json_values, max_size=3)),
        )
        for number in range(draw(st.integers(1, 12)))
    ]


class TestRuns:
    def test_a_run_reads_as_its_start_was_recorded(self, backend: StateBackend) -> None:
        backend.record_run_start(RUN)
        assert backend.get_run("run") == RUN

    def test_the_end_of_a_run_replaces_its_record(self, backend: StateBackend) -> None:
        ended = RunRecord("run", SpanStatus.FAILED, "orders", 100.0, 107.5, 0.25, 1200, "fetch: boom")
        backend.record_run_start(RUN)
        backend.record_run_end(ended)
        assert backend.get_run("run") == ended

    def test_the_start_of_a_run_is_recorded_once(self, backend: StateBackend) -> None:
        backend.record_run_start(RUN)
        with pytest.raises(DuplicateRunError, match="run"):
            backend.record_run_start(attrs.evolve(RUN, pipeline="another"))
        assert backend.get_run("run") == RUN

    @pytest.mark.parametrize(
        "text", ["", "naïve 🎈", 'it\'s "quoted" -- ; DROP', "\ud800 half", "nul\0byte", "x" * 2**20]
    )
    def test_texts_come_back_as_they_were(self, backend: StateBackend, text: str) -> None:
        run = RunRecord(f"id {text}", SpanStatus.FAILED, text, 1.0, error=text)
        backend.record_run_start(run)
        assert backend.get_run(run.run_id) == run
        assert backend.list_runs(pipeline=text) == [run]
        assert backend.find_runs(f"id {text}") == [run]

    @pytest.mark.parametrize("tokens", [0, 2**63 - 1, 2**63, 10**40])
    def test_tokens_are_counted_exactly_however_many(self, backend: StateBackend, tokens: int) -> None:
        backend.record_run_start(RUN)
        backend.record_run_end(ended := attrs.evolve(RUN, total_tokens=tokens))
        assert backend.get_run("run") == ended

    def test_a_run_has_a_duration_once_it_has_ended(self) -> None:
        assert RUN.duration_s is None
        assert attrs.evolve(RUN, ended_at=107.5).duration_s == 7.5

    def test_nothing_is_known_of_an_unknown_run(self, backend: StateBackend) -> None:
        assert backend.get_run("no such run") is None
        assert backend.get_trace("no such run") is None
        assert backend.get_spans("no such run") == []
        assert backend.get_span_statistics("no such run").total == 0
        assert not backend.delete_run("no such run")

    def test_nothing_is_recorded_for_an_unknown_run(self, backend: StateBackend) -> None:
        with pytest.raises(UnknownRunError, match="run"):
            backend.record_spans("run", [ROOT])
        with pytest.raises(UnknownRunError):
            backend.record_run_end(RUN)
        with pytest.raises(UnknownRunError):
            backend.save_trace("run", ROOT.to_dict())
        assert backend.list_runs() == []
        assert backend.get_span_statistics().total == 0

    def test_a_closed_backend_opens_itself_and_has_kept_everything(self, backend: StateBackend) -> None:
        backend.record_run_start(RUN)
        backend.record_spans("run", [ROOT, CHILD])
        backend.close()
        backend.close()
        assert backend.get_run("run") == RUN
        assert backend.get_spans("run") == [ROOT, CHILD]


class TestLists:
    @pytest.fixture
    def runs(self, backend: StateBackend) -> list[RunRecord]:
        """Five runs, in the order of their start; two started at one time."""
        runs = [
            RunRecord("aa1", SpanStatus.COMPLETED, "orders", 10.0),
            RunRecord("ab1", SpanStatus.FAILED, "orders", 20.0),
            RunRecord("ab2", SpanStatus.COMPLETED, "refunds", 30.0),
            RunRecord("b%_", SpanStatus.RUNNING, "orders", 30.0),
            RunRecord("AB3", SpanStatus.RUNNING, "refunds", 40.0),
        ]
        for run in runs:
            backend.record_run_start(run)
        return runs

    def test_runs_are_listed_newest_first(self, backend: StateBackend, runs: list[RunRecord]) -> None:
        assert backend.list_runs() == runs[::-1]

    def test_runs_are_listed_by_what_is_asked_for(self, backend: StateBackend, runs: list[RunRecord]) -> None:
        assert backend.list_runs(status=SpanStatus.COMPLETED) == [runs[2], runs[0]]
        assert backend.list_runs(status=SpanStatus.RUNNING) == [runs[4], runs[3]]
        assert backend.list_runs(status=SpanStatus.INTERRUPTED) == []
        assert backend.list_runs(pipeline="refunds") == [runs[4], runs[2]]
        assert backend.list_runs(started_after=20.0, started_before=40.0) == [runs[3], runs[2], runs[1]]
        assert backend.list_runs(pipeline="orders", status=SpanStatus.FAILED, started_before=20.0) == []

    @pytest.mark.parametrize("status", [None, *SpanStatus])
    @pytest.mark.parametrize("limit", [0, 1, 9])
    def test_a_limit_keeps_the_newest(
        self, backend: StateBackend, runs: list[RunRecord], status: SpanStatus | None, limit: int
    ) -> None:
        assert runs
        assert backend.list_runs(status=status, limit=limit) == backend.list_runs(status=status)[:limit]

    def test_a_run_is_found_by_the_beginning_of_its_id(self, backend: StateBackend, runs: list[RunRecord]) -> None:
        assert backend.find_runs("ab") == [runs[2], runs[1]]
        assert backend.find_runs("ab", limit=1) == [runs[2]]
        assert backend.find_runs("b%") == [runs[3]]
        assert backend.find_runs("%") == []
        assert backend.find_runs("b1") == []
        assert backend.find_runs("", limit=9) == runs[::-1]


class TestSpans:
    @pytest.fixture(autouse=True)
    def run(self, backend: StateBackend) -> None:
        backend.record_run_start(RUN)

    def test_spans_are_read_in_the_order_of_their_start(self, backend: StateBackend) -> None:
        backend.record_spans("run", [OTHER, ROOT])
        backend.record_spans("run", [CHILD])
        assert backend.get_spans("run") == [ROOT, CHILD, OTHER]

    def test_a_span_replaces_the_one_of_the_same_id(self, backend: StateBackend) -> None:
        ended = attrs.evolve(CHILD, status=SpanStatus.CANCELLED, end_time=105.0, name="x", attributes={"y": 1})
        backend.record_spans("run", [ROOT, CHILD])
        backend.record_spans("run", [ended])
        assert backend.get_spans("run") == [ROOT, ended]

    def test_a_span_that_was_replaced_counts_once_and_as_what_it_is_now(self, backend: StateBackend) -> None:
        running = attrs.evolve(CHILD, status=SpanStatus.RUNNING, end_time=None)
        backend.record_spans("run", [ROOT, running, OTHER])
        backend.record_spans("run", [CHILD, CHILD])
        backend.record_spans("run", [attrs.evolve(OTHER, status=SpanStatus.RUNNING, end_time=None)])
        statistics = backend.get_span_statistics("run")
        assert statistics.by_status == {SpanStatus.COMPLETED: 2, SpanStatus.RUNNING: 1}
        assert statistics.by_name["fetch"] == NameStatistics(1, 1, 2.0)
        trace = backend.get_trace("run")
        assert trace is not None
        assert [child["status"] for child in trace["children"]] == ["completed", "running"]

    def test_a_replaced_span_goes_with_its_run(self, backend: StateBackend) -> None:
        backend.record_spans("run", [ROOT, CHILD])
        backend.record_spans("run", [CHILD])
        assert backend.delete_run("run")
        backend.record_run_start(RUN)
        backend.record_spans("run", [ROOT])
        assert backend.get_spans("run") == [ROOT]
        assert backend.get_span_statistics().total == 1

    def test_spans_of_several_runs_that_come_in_turns_are_kept_apart(self, backend: StateBackend) -> None:
        backend.record_run_start(attrs.evolve(RUN, run_id="run 2"))
        for number in range(600):
            span = attrs.evolve(CHILD, span_id=f"{number:04}", start_time=float(number))
            backend.record_spans("run" if number % 3 else "run 2", [span])
        assert [int(span.span_id) for span in backend.get_spans("run 2")] == list(range(0, 600, 3))
        assert backend.delete_run("run 2")
        assert [int(span.span_id) for span in backend.get_spans("run")] == [n for n in range(600) if n % 3]

    def test_runs_do_not_share_spans_of_the_same_id(self, backend: StateBackend) -> None:
        backend.record_run_start(attrs.evolve(RUN, run_id="run 2"))
        backend.record_spans("run", [ROOT])
        backend.record_spans("run 2", [attrs.evolve(ROOT, name="elsewhere")])
        assert backend.get_spans("run") == [ROOT]

    def test_no_spans_are_recorded_without_harm(self, backend: StateBackend) -> None:
        backend.record_spans("run", [])
        assert backend.get_spans("run") == []

    @pytest.mark.parametrize(
        ("value", "stored"),
        [
            (math.nan, "NaN"),
            ([1.5, -math.inf, {"x": math.inf}], [1.5, "-Infinity", {"x": "Infinity"}]),
            (10**4000, 10**4000),
            (10**5000, hex(10**5000)),
            ((1, (2,)), [1, [2]]),
            (
                {7: "a", None: "b", True: "c", 2.5: "d", math.nan: "e"},
                {"7": "a", "null": "b", "true": "c", "2.5": "d", "NaN": "e"},
            ),
            (SpanStatus.FAILED, "failed"),
            (Decimal("0.1"), "Decimal('0.1')"),
            ("\ud800", "\ud800"),
            ("x" * 2**21, "x" * 2**21),
        ],
        ids=["nan", "infinities", "large", "larger", "tuples", "keys", "enum", "object", "surrogate", "long"],
    )
    def test_attributes_become_json_values(self, backend: StateBackend, value: object, stored: object) -> None:
        backend.record_spans("run", [with_attributes(value=value)])
        assert backend.get_spans("run")[0].attributes == {"value": stored}

    def test_attributes_that_contain_themselves_do_not_lose_the_span(self, backend: StateBackend) -> None:
        endless: list[Any] = [1]
        endless.append(endless)
        backend.record_spans("run", [with_attributes(value=endless), CHILD])
        assert [span.span_id for span in backend.get_spans("run")] == ["00", "01"]
        assert backend.get_spans("run")[0].attributes == {"value": [1, "(contains itself)"]}

    def test_attributes_nested_beyond_the_stack_do_not_lose_the_span(self, backend: StateBackend) -> None:
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        backend.record_spans("run", [with_attributes(value=deep), CHILD])
        assert [span.span_id for span in backend.get_spans("run")] == ["00", "01"]

    def test_an_attribute_whose_repr_raises_does_not_lose_the_span(self, backend: StateBackend) -> None:
        class Broken:
            def __repr__(self) -> str:
                raise RuntimeError

        backend.record_spans("run", [with_attributes(value=Broken())])
        assert backend.get_spans("run")[0].attributes == {"value": "<Broken>"}

    def test_what_is_read_can_be_changed_without_changing_what_is_stored(self, backend: StateBackend) -> None:
        backend.record_spans("run", [with_attributes(value=[1])])
        trace = backend.get_trace("run")
        assert trace is not None
        trace["attributes"]["value"].append(2)
        assert backend.get_spans("run")[0].attributes == {"value": [1]}

    def test_a_deleted_run_takes_its_spans_along_and_leaves_the_others(self, backend: StateBackend) -> None:
        backend.record_run_start(other := attrs.evolve(RUN, run_id="other"))
        backend.record_spans("run", [ROOT, CHILD])
        backend.record_spans("other", [ROOT])
        assert backend.delete_run("run")
        assert backend.get_trace("run") is None
        assert backend.list_runs() == [other]
        assert backend.get_span_statistics().total == 1
        backend.record_run_start(RUN)
        assert backend.get_spans("run") == []

    def test_statistics_add_up_the_spans_of_a_run_or_of_all(self, backend: StateBackend) -> None:
        unfinished = Span("03", "00", "fetch", 104.0, None, SpanStatus.RUNNING, {})
        backend.record_spans("run", [ROOT, CHILD, OTHER, unfinished])
        backend.record_run_start(attrs.evolve(RUN, run_id="run 2"))
        backend.record_spans("run 2", [ROOT])
        assert backend.get_span_statistics("run") == SpanStatistics(
            total=4,
            by_status={SpanStatus.COMPLETED: 2, SpanStatus.FAILED: 1, SpanStatus.RUNNING: 1},
            by_name={
                "pipeline_run": NameStatistics(1, 1, 9.0),
                "fetch": NameStatistics(2, 1, 2.0),
                "parse": NameStatistics(1, 1, 6.0),
            },
            total_seconds=9.0,
        )
        assert backend.get_span_statistics().by_name["pipeline_run"] == NameStatistics(2, 2, 18.0)
        assert backend.get_span_statistics().by_name["fetch"].mean_seconds == 2.0
        assert backend.get_span_statistics().total_seconds == 18.0


class TestTraces:
    @shared_backend
    @given(spans=span_trees())
    def test_a_saved_trace_reads_as_it_was(self, backend: StateBackend, spans: list[Span]) -> None:
        run_id = start_new_run(backend)
        trace = build_trace(spans)
        assert trace is not None
        backend.save_trace(run_id, trace)
        assert backend.get_trace(run_id) == trace

    @shared_backend
    @given(spans=span_trees(), data=st.data())
    def test_spans_make_the_same_trace_in_whatever_order_and_batches_they_come(
        self, backend: StateBackend, spans: list[Span], data: st.DataObject
    ) -> None:
        run_id = start_new_run(backend)
        shuffled = data.draw(st.permutations(spans))
        size = data.draw(st.integers(1, len(spans)))
        for start in range(0, len(shuffled), size):
            backend.record_spans(run_id, shuffled[start : start + size])
        assert backend.get_trace(run_id) == build_trace(spans)

    def test_a_saved_trace_takes_the_place_of_the_spans_before(self, backend: StateBackend) -> None:
        run_id = start_new_run(backend)
        backend.record_spans(run_id, [ROOT, CHILD])
        backend.save_trace(run_id, {**ROOT.to_dict(), "children": [OTHER.to_dict()]})
        assert backend.get_spans(run_id) == [ROOT, OTHER]

    @pytest.mark.parametrize(
        "child",
        [
            attrs.evolve(CHILD, span_id=ROOT.span_id),
            attrs.evolve(CHILD, parent_span_id="nowhere"),
            attrs.evolve(CHILD, parent_span_id=None),
        ],
        ids=["an id twice", "a parent that is missing", "two roots"],
    )
    def test_a_trace_that_is_no_tree_is_refused_and_the_old_one_stays(self, backend: StateBackend, child: Span) -> None:
        run_id = start_new_run(backend)
        backend.record_spans(run_id, [ROOT])
        with pytest.raises(ValueError, match="span"):
            backend.save_trace(run_id, {**ROOT.to_dict(), "children": [child.to_dict()]})
        assert backend.get_spans(run_id) == [ROOT]

    def test_a_trace_is_as_deep_as_the_run(self, backend: StateBackend) -> None:
        run_id = start_new_run(backend)
        chain = [
            attrs.evolve(CHILD, span_id=f"{number:04}", parent_span_id=f"{number - 1:04}") for number in range(1, 5000)
        ]
        backend.record_spans(run_id, [attrs.evolve(ROOT, span_id="0000"), *chain])
        node = backend.get_trace(run_id)
        for _ in chain:
            assert node is not None
            node = node["children"][0]

    def test_a_run_that_goes_on_has_a_root_that_is_running(self, backend: StateBackend) -> None:
        backend.record_run_start(RUN)
        backend.record_spans("run", [CHILD])
        trace = backend.get_trace("run")
        assert trace is not None
        assert (trace["name"], trace["status"], trace["span_id"]) == ("pipeline_run", "running", ROOT.span_id)
        assert (trace["start_time"], trace["end_time"]) == (RUN.started_at, None)
        assert trace["children"] == [CHILD.to_dict()]

    def test_a_run_without_spans_has_a_root(self, backend: StateBackend) -> None:
        backend.record_run_start(RUN)
        trace = backend.get_trace("run")
        assert trace is not None
        assert (trace["span_id"], trace["status"], trace["children"]) == ("0" * 16, "running", [])

    @pytest.mark.parametrize("written", [True, False], ids=["written", "not written"])
    def test_no_span_is_running_once_the_run_has_ended(self, backend: StateBackend, written: bool) -> None:
        spans = [attrs.evolve(span, status=SpanStatus.RUNNING, end_time=None) for span in (ROOT, CHILD)]
        backend.record_run_start(RUN)
        backend.record_spans("run", spans if written else spans[1:])
        backend.record_run_end(attrs.evolve(RUN, status=SpanStatus.FAILED, ended_at=110.0))
        trace = backend.get_trace("run")
        assert trace is not None
        assert (trace["status"], trace["end_time"]) == ("failed", 110.0)
        assert trace["children"][0]["status"] == "interrupted"
        assert SpanStatus.RUNNING not in backend.get_span_statistics("run").by_status


class TestPruning:
    """Five runs that ended at 110, 120, 130, one that is running and one that is paused."""

    @pytest.fixture(autouse=True)
    def runs(self, backend: StateBackend) -> None:
        for number in 1, 2, 3:
            record = RunRecord(f"ended {number}", SpanStatus.COMPLETED, "orders", 100.0 + number)
            backend.record_run_start(record)
            backend.record_spans(record.run_id, [ROOT, CHILD])
            backend.record_run_end(attrs.evolve(record, status=SpanStatus.FAILED, ended_at=100.0 + 10 * number))
        backend.record_run_start(RunRecord("running", SpanStatus.RUNNING, "orders", 1.0))
        backend.record_run_start(RunRecord("paused", SpanStatus.PAUSED, "orders", 2.0, ended_at=3.0))

    @staticmethod
    def left(backend: StateBackend) -> list[str]:
        return sorted(run.run_id for run in backend.list_runs())

    def test_runs_that_ended_too_long_ago_are_deleted_with_their_spans(self, backend: StateBackend) -> None:
        assert backend.prune(older_than=15.0, now=140.0) == ["ended 1", "ended 2"]
        assert self.left(backend) == ["ended 3", "paused", "running"]
        assert backend.get_span_statistics().total == 2

    def test_what_would_be_deleted_can_be_found_first(self, backend: StateBackend) -> None:
        found = backend.find_prunable(older_than=15.0, now=140.0)
        assert [run.run_id for run in found] == ["ended 1", "ended 2"]
        assert len(backend.list_runs()) == 5

    def test_a_run_that_ended_just_so_long_ago_stays(self, backend: StateBackend) -> None:
        assert backend.prune(older_than=30.0, now=140.0) == []

    def test_age_is_counted_from_now_on_unless_said_otherwise(self, backend: StateBackend) -> None:
        backend.record_run_start(fresh := RunRecord("fresh", SpanStatus.COMPLETED, "orders", time.time()))
        backend.record_run_end(attrs.evolve(fresh, ended_at=time.time()))
        assert backend.prune(older_than=3600.0) == ["ended 1", "ended 2", "ended 3"]
        assert "fresh" in self.left(backend)

    def test_all_but_the_newest_are_deleted(self, backend: StateBackend) -> None:
        assert backend.prune(keep=1) == ["ended 1", "ended 2"]
        assert backend.prune(keep=0) == ["ended 3"]

    def test_runs_that_go_on_are_counted_among_the_newest_and_never_deleted(self, backend: StateBackend) -> None:
        backend.record_run_start(RunRecord("newest", SpanStatus.RUNNING, "orders", 200.0))
        assert backend.prune(keep=2) == ["ended 1", "ended 2"]
        assert self.left(backend) == ["ended 3", "newest", "paused", "running"]

    def test_with_both_conditions_only_what_fits_both_is_deleted(self, backend: StateBackend) -> None:
        assert backend.prune(older_than=15.0, keep=2, now=140.0) == ["ended 1"]

    @pytest.mark.parametrize(
        "conditions",
        [{}, {"older_than": -1.0}, {"older_than": math.nan}, {"keep": -1}, {"older_than": 1.0, "keep": -1}],
    )
    def test_conditions_that_make_no_sense_delete_nothing(
        self, backend: StateBackend, conditions: dict[str, Any]
    ) -> None:
        with pytest.raises(ValueError, match="older_than"):
            backend.prune(**conditions)
        assert len(backend.list_runs()) == 5

    def test_runs_are_deleted_by_their_ids_and_those_that_were_there_are_named(self, backend: StateBackend) -> None:
        assert backend.delete_runs(["ended 3", "no such run", "ended 1"]) == ["ended 3", "ended 1"]
        assert backend.delete_runs(["no such run"]) == []
        assert self.left(backend) == ["ended 2", "paused", "running"]


class TestTransactions:
    def test_an_exception_leaves_nothing_of_its_transaction(self, backend: StateBackend) -> None:
        backend.record_run_start(RUN)
        backend.record_run_start(gone := attrs.evolve(RUN, run_id="deleted"))
        backend.record_spans("run", [ROOT, CHILD])
        before = backend.get_trace("run")
        with suppress(ZeroDivisionError), backend.transaction():
            backend.record_run_start(attrs.evolve(RUN, run_id="new"))
            backend.record_spans("new", [ROOT])
            backend.record_spans("run", [attrs.evolve(CHILD, name="changed"), OTHER])
            backend.save_trace("run", ROOT.to_dict())
            backend.record_run_end(attrs.evolve(RUN, status=SpanStatus.COMPLETED))
            backend.delete_run("deleted")
            raise ZeroDivisionError
        assert backend.list_runs() == [gone, RUN]
        assert backend.get_trace("run") == before

    def test_a_transaction_sees_its_own_changes(self, backend: StateBackend) -> None:
        with backend.transaction():
            backend.record_run_start(RUN)
            backend.record_spans("run", [ROOT])
            assert backend.get_trace("run") == ROOT.to_dict()

    def test_a_transaction_in_another_is_undone_with_it(self, backend: StateBackend) -> None:
        with suppress(ZeroDivisionError), backend.transaction():
            with backend.transaction():
                backend.record_run_start(RUN)
            raise ZeroDivisionError
        assert backend.get_run("run") is None

    def test_an_error_caught_in_a_transaction_undoes_only_what_raised_it(self, backend: StateBackend) -> None:
        with backend.transaction():
            backend.record_run_start(RUN)
            with suppress(UnknownRunError), backend.transaction():
                backend.record_spans("run", [ROOT])
                backend.record_spans("no such run", [ROOT])
            backend.record_spans("run", [CHILD])
        assert backend.get_spans("run") == [CHILD]

    @pytest.fixture
    def hasty_threads(self) -> Iterator[None]:
        """Threads that take turns as often as they can."""
        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        yield
        sys.setswitchinterval(before)

    @pytest.mark.usefixtures("hasty_threads")
    def test_readers_in_other_threads_see_whole_transactions(self, backend: StateBackend) -> None:
        backend.record_run_start(RUN)

        def write() -> None:
            for number in range(60):
                with backend.transaction():
                    for half in range(2):
                        backend.record_spans("run", [attrs.evolve(CHILD, span_id=f"{number}.{half}")])

        def read(writer: Future[None]) -> set[int]:
            counts = {0}
            while not writer.done():
                counts.add(len(backend.get_spans("run")))
            return counts

        with ThreadPoolExecutor() as threads:
            writer = threads.submit(write)
            readers = [threads.submit(read, writer) for _ in range(3)]
            writer.result()
            seen = set[int]().union(*(reader.result() for reader in readers))
        assert len(backend.get_spans("run")) == 120
        assert {count % 2 for count in seen} == {0}

    @pytest.mark.usefixtures("hasty_threads")
    def test_threads_that_write_together_lose_nothing(self, backend: StateBackend) -> None:
        def write(thread: int) -> None:
            backend.record_run_start(attrs.evolve(RUN, run_id=f"{thread}"))
            for number in range(30):
                backend.record_spans(f"{thread}", [attrs.evolve(CHILD, span_id=f"{number}")])

        with ThreadPoolExecutor() as threads:
            list(threads.map(write, range(6)))
        assert [len(backend.get_spans(f"{thread}")) for thread in range(6)] == [30] * 6
