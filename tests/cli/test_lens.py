from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.conftest import Flujo


@pytest.fixture
def runs(flujo: Flujo) -> list[str]:
    """The ids of a run that completed and of one that failed, in that order."""
    completed = json.loads(flujo("run", "flow.py", "--input", "3", "--json").out)
    failed = json.loads(flujo("run", "flow.py:broken", "--input", "3", "--json").out)
    return [completed["run_id"], failed["run_id"]]


def test_the_list_has_the_latest_run_first(flujo: Flujo, runs: list[str]) -> None:
    heading, failed, completed = flujo("lens", "list").out.splitlines()
    assert heading.split() == ["run", "pipeline", "status", "started", "duration", "error"]
    assert failed.startswith(runs[1][:12])
    assert "explode: Agent execution failed" in failed
    assert completed.startswith(runs[0][:12])


def test_the_list_can_be_narrowed_and_given_as_json(flujo: Flujo, runs: list[str]) -> None:
    (run,) = json.loads(flujo("lens", "list", "--status", "failed", "--json").out)
    assert (run["run_id"], run["status"]) == (runs[1], "failed")
    assert flujo("lens", "list", "--pipeline", "other").out == "no runs\n"
    assert len(json.loads(flujo("lens", "list", "--limit", "1", "--json").out)) == 1


def test_a_trace_is_a_tree_of_the_steps_with_what_went_wrong(flujo: Flujo, runs: list[str]) -> None:
    head, root, double, explode = flujo("lens", "trace", runs[1]).out.splitlines()
    assert head.startswith(f"run {runs[1]}  pipeline  ")
    assert head.endswith("failed")
    assert root.startswith("✗ pipeline_run")
    assert double.startswith("├── ✓ double  ")
    assert explode.startswith("└── ✗ explode  ")
    assert "2 attempts  agent: Agent execution failed with ValueError: boom" in explode


def test_a_run_is_found_by_any_beginning_of_its_id_that_only_it_has(flujo: Flujo, runs: list[str]) -> None:
    length = next(length for length in range(1, 33) if runs[0][:length] != runs[1][:length])
    assert json.loads(flujo("lens", "trace", runs[0][:length], "--json").out)["name"] == "pipeline_run"


def test_a_beginning_that_several_runs_have_is_refused(flujo: Flujo, folder: Path, runs: list[str]) -> None:
    with sqlite3.connect(folder / "runs.db") as connection:
        for number, run_id in enumerate(runs):
            connection.execute("UPDATE runs SET run_id = ? WHERE run_id = ?", (f"abcd{number}{'0' * 27}", run_id))
    connection.close()
    outcome = flujo("lens", "trace", "abcd")
    assert outcome.code == 2
    assert outcome.error_line == "flujo: several runs begin with 'abcd': abcd10000000, abcd00000000"


@pytest.mark.parametrize("run_id", ["ffff", "", "%", "' OR 1=1 --"])
def test_an_unknown_run_gives_one_line(flujo: Flujo, runs: list[str], run_id: str) -> None:
    outcome = flujo("lens", "trace", run_id)
    assert outcome.code == 2
    assert outcome.error_line == f"flujo: there is no run {run_id!r}; `flujo lens list` shows the runs"


def test_looking_for_runs_does_not_make_a_database(flujo: Flujo, folder: Path) -> None:
    outcome = flujo("lens", "list")
    assert outcome.code == 2
    assert outcome.error_line.startswith(f"flujo: there is no database {folder / 'runs.db'} yet")
    assert not (folder / "runs.db").exists()


def test_a_database_of_a_newer_version_is_refused_and_left_alone(flujo: Flujo, folder: Path, runs: list[str]) -> None:
    with sqlite3.connect(folder / "runs.db") as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    for command in (["lens", "list"], ["run", "flow.py", "--input", "3"]):
        outcome = flujo(*command)
        assert outcome.code == 2
        assert "a newer flujo_actors wrote it" in outcome.error_line
    with sqlite3.connect(folder / "runs.db") as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (2,)
    connection.close()
