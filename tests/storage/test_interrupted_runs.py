"""Runs whose process died, with real processes that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from flujo_actors.spans import Span, SpanStatus
from flujo_actors.storage import RunRecord, SQLiteBackend
from flujo_actors.storage.owner import Owner, current_owner, has_died
from flujo_actors.storage.traces import trace_of

PROGRAM = """
import sys
from flujo_actors.spans import Span, SpanStatus
from flujo_actors.storage import RunRecord, SQLiteBackend

backend = SQLiteBackend(sys.argv[1])
for run_id in "killed", "ended":
    backend.record_run_start(RunRecord(run_id, SpanStatus.RUNNING, "orders", 100.0))
    backend.record_spans(run_id, [
        Span("02", "01", "double", 102.0, 103.0, SpanStatus.COMPLETED, {"path": "grow[1]/double", "iteration": 1}),
        Span("03", "01", "double", 104.0, None, SpanStatus.RUNNING, {"path": "grow[2]/double", "iteration": 2}),
        Span("04", "00", "fetch", 100.5, 101.0, SpanStatus.COMPLETED, {"path": "fetch"}),
    ])
backend.record_run_end(RunRecord("ended", SpanStatus.COMPLETED, "orders", 100.0, 110.0))
print("recorded", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process in the middle of a run that it has recorded in `runs.db`."""
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "runs.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"recorded\n"
        yield process
        process.kill()


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[SQLiteBackend]:
    with SQLiteBackend(tmp_path / "runs.db") as backend:
        yield backend


def outline(node: dict[str, Any]) -> Any:
    """A trace as far as these tests look at it."""
    return node["name"], node["status"], [outline(child) for child in node["children"]]


def test_a_run_reads_as_running_while_its_process_lives(
    process: subprocess.Popen[bytes], backend: SQLiteBackend
) -> None:
    assert process.poll() is None
    assert [run.run_id for run in backend.list_runs(status=SpanStatus.RUNNING)] == ["killed"]
    assert backend.list_runs(status=SpanStatus.INTERRUPTED) == []
    trace = backend.get_trace("killed")
    assert trace is not None
    assert trace["status"] == "running"


def test_a_run_reads_as_interrupted_once_its_process_was_killed(
    process: subprocess.Popen[bytes], backend: SQLiteBackend
) -> None:
    process.kill()
    process.wait()
    killed = RunRecord("killed", SpanStatus.INTERRUPTED, "orders", 100.0)
    assert backend.get_run("killed") == killed
    assert backend.find_runs("k") == [killed]
    backend.record_run_start(alive := RunRecord("alive", SpanStatus.RUNNING, "orders", 200.0))
    assert backend.list_runs(status=SpanStatus.INTERRUPTED, limit=1) == [killed]
    assert backend.list_runs(status=SpanStatus.RUNNING) == [alive]
    assert [str(span.status) for span in backend.get_spans("killed")] == ["completed", "completed", "interrupted"]
    assert backend.get_span_statistics("killed").by_status == {SpanStatus.COMPLETED: 2, SpanStatus.INTERRUPTED: 1}


def test_a_killed_process_counts_as_dead_before_its_parent_has_reaped_it(
    process: subprocess.Popen[bytes], backend: SQLiteBackend
) -> None:
    if not Path("/proc/self/stat").exists():
        pytest.skip("only /proc tells a process that waits to be reaped from one that runs")
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    run = backend.get_run("killed")
    assert run is not None
    assert run.status is SpanStatus.INTERRUPTED


def test_the_trace_of_a_killed_run_has_the_ancestors_that_were_not_written(
    process: subprocess.Popen[bytes], backend: SQLiteBackend
) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    trace = backend.get_trace("killed")
    assert trace is not None
    doubles: list[Any] = [("double", "completed", []), ("double", "interrupted", [])]
    assert outline(trace) == (
        "pipeline_run",
        "interrupted",
        [("fetch", "completed", []), ("grow", "interrupted", doubles)],
    )
    grow = trace["children"][1]
    assert (trace["span_id"], grow["span_id"], grow["parent_span_id"]) == ("00", "01", "00")
    assert (grow["start_time"], grow["end_time"], grow["attributes"]) == (102.0, None, {"path": "grow"})


def test_a_run_that_had_ended_is_not_interrupted_by_the_death_of_its_process(
    process: subprocess.Popen[bytes], backend: SQLiteBackend
) -> None:
    process.kill()
    process.wait()
    assert backend.get_run("ended") == RunRecord("ended", SpanStatus.COMPLETED, "orders", 100.0, 110.0)


def test_an_interrupted_run_has_spent_what_its_recorded_spans_have(
    process: subprocess.Popen[bytes], backend: SQLiteBackend
) -> None:
    spent = {"cost_usd": 0.25, "prompt_tokens": 10, "completion_tokens": 5, "other_tokens": 1}
    spans = [
        Span("05", "01", "first", 102.0, 103.0, SpanStatus.COMPLETED, spent),
        Span("06", "00", "second", 102.0, 103.0, SpanStatus.COMPLETED, {**spent, "cost_usd": 1.0}),
        Span("07", "06", "inside the second", 102.0, 103.0, SpanStatus.COMPLETED, {"cost_usd": 0.5}),
        Span("08", "00", "third", 102.0, 103.0, SpanStatus.FAILED, {"prompt_tokens": 100}),
    ]
    backend.record_spans("killed", [attrs.evolve(spans[0], attributes={"cost_usd": 99.0})])
    backend.record_spans("killed", spans)
    running = backend.get_run("killed")
    assert running is not None
    assert (running.total_cost_usd, running.total_tokens) == (0.0, 0)
    process.kill()
    process.wait()
    for run in backend.get_run("killed"), backend.find_runs("k")[0], backend.list_runs(pipeline="orders")[1]:
        assert run is not None
        assert (run.run_id, run.status) == ("killed", SpanStatus.INTERRUPTED)
        assert (run.total_cost_usd, run.total_tokens) == (1.25, 132)


def test_an_interrupted_run_is_pruned_by_the_end_of_its_last_span(
    process: subprocess.Popen[bytes], backend: SQLiteBackend
) -> None:
    assert backend.prune(older_than=0.0, now=1000.0) == ["ended"]
    process.kill()
    process.wait()
    assert backend.prune(older_than=10.0, now=114.0) == []
    assert backend.prune(older_than=10.0, now=114.1) == ["killed"]


class TestOwner:
    def test_this_process_lives(self) -> None:
        assert not has_died(current_owner())

    def test_an_owner_reads_as_it_was_written(self) -> None:
        assert Owner.from_json(current_owner().to_json()) == current_owner()

    def test_a_process_that_got_the_id_of_the_owner_is_not_the_owner(self) -> None:
        if current_owner().started is None:
            pytest.skip("the kernel does not say when a process started")
        assert has_died(attrs.evolve(current_owner(), started="1"))

    def test_processes_do_not_outlive_a_reboot(self) -> None:
        if current_owner().boot is None:
            pytest.skip("the kernel does not say when it was started")
        assert has_died(attrs.evolve(current_owner(), boot="earlier"))

    def test_nothing_is_concluded_about_a_process_of_another_machine(self) -> None:
        assert not has_died(attrs.evolve(current_owner(), machine="another", boot="another", started="1"))

    def test_nothing_is_concluded_about_a_process_of_another_container(self) -> None:
        assert not has_died(attrs.evolve(current_owner(), namespace="another", started="1"))


class TestMissingAncestors:
    """Which ancestors a reader makes of the spans that were written before the process died."""

    RUN = RunRecord("run", SpanStatus.INTERRUPTED, "orders", started_at=100.0)

    def trace(self, *spans: tuple[str, str]) -> Any:
        """The outline of a trace of leaves, each given as the id of its parent and its path."""
        leaves = [
            Span(
                f"leaf {place}",
                parent,
                path.rpartition("/")[2],
                101.0 + place,
                102.0 + place,
                SpanStatus.COMPLETED,
                {"path": path},
            )
            for place, (parent, path) in enumerate(spans)
        ]
        trace = trace_of(self.RUN, leaves)
        assert trace["start_time"] == 100.0
        return outline(trace)

    @staticmethod
    def leaf(name: str) -> Any:
        return name, "completed", []

    def test_each_level_that_a_span_names_is_there(self) -> None:
        assert self.trace(("B", "a/b/x"), ("A", "a/y"), ("B", "a/b/z")) == (
            "pipeline_run",
            "interrupted",
            [("a", "interrupted", [("b", "interrupted", [self.leaf("x"), self.leaf("z")]), self.leaf("y")])],
        )

    def test_a_level_that_no_span_names_is_left_out(self) -> None:
        assert self.trace(("C", "a/b/c/x"), ("A", "a/y")) == (
            "pipeline_run",
            "interrupted",
            [("a", "interrupted", [("c", "interrupted", [self.leaf("x")]), self.leaf("y")])],
        )

    def test_rounds_of_a_loop_stand_in_their_loop(self) -> None:
        assert self.trace(("R1", "grow[1]/x"), ("R2", "grow[2]/x"), ("G", "grow[0]")) == (
            "pipeline_run",
            "interrupted",
            [
                (
                    "grow",
                    "interrupted",
                    [
                        ("grow[1]", "interrupted", [self.leaf("x")]),
                        ("grow[2]", "interrupted", [self.leaf("x")]),
                        self.leaf("grow[0]"),
                    ],
                )
            ],
        )

    def test_spans_without_a_path_hang_under_the_root(self) -> None:
        assert self.trace(("P", ""), ("Q", "")) == ("pipeline_run", "interrupted", [self.leaf(""), self.leaf("")])
