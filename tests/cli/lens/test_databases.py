"""Databases that are missing, empty, damaged or not ours: one line and an exit code, whatever the command."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord, SQLiteBackend
from tests.cli.conftest import Flujo

COMMANDS = [
    ["list"],
    ["show", "latest"],
    ["trace", "latest"],
    ["trace", "latest", "--follow"],
    ["spans", "latest"],
    ["stats"],
    ["blame", "latest"],
    ["blame", "latest", "notes"],
    ["diff", "latest", "latest~1"],
    ["export", "latest", "--format", "html"],
    ["prune", "--keep", "1", "--yes"],
]

every_command = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


@every_command
def test_looking_for_runs_does_not_make_a_database(flujo: Flujo, folder: Path, command: list[str]) -> None:
    outcome = flujo("lens", *command)
    assert outcome.code == 2
    assert outcome.error_line.startswith(f"flujo: there is no database {folder / 'runs.db'} yet")
    assert not (folder / "runs.db").exists()


@every_command
def test_a_database_without_runs_is_said_to_have_none(flujo: Flujo, folder: Path, command: list[str]) -> None:
    with SQLiteBackend(folder / "runs.db"):
        pass
    outcome = flujo("lens", *command)
    if command[0] in {"list", "stats"}:
        assert (outcome.code, outcome.out) == (0, "no runs\n")
    elif command[0] == "prune":
        assert (outcome.code, outcome.out) == (0, "deleted no run\n")
    else:
        assert outcome.code == 2
        assert outcome.error_line == "flujo: there is no run that far back; the database holds no run"


@every_command
def test_a_file_that_is_no_database_is_refused_and_left_alone(flujo: Flujo, folder: Path, command: list[str]) -> None:
    (folder / "runs.db").write_bytes(b"a letter to a friend\n" * 100)
    outcome = flujo("lens", *command)
    assert outcome.code == 2
    assert "it is not an SQLite database" in outcome.error_line
    assert (folder / "runs.db").read_bytes() == b"a letter to a friend\n" * 100


@every_command
def test_a_damaged_database_gives_one_line(flujo: Flujo, folder: Path, article: list[str], command: list[str]) -> None:
    file = folder / "runs.db"
    content = file.read_bytes()
    # The head stays, so that the file is taken for ours; every page after the first is destroyed.
    file.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))
    outcome = flujo("lens", *command)
    assert outcome.code == 2
    assert "malformed" in outcome.error_line


@every_command
def test_a_database_of_a_newer_version_is_refused(
    flujo: Flujo, folder: Path, article: list[str], command: list[str]
) -> None:
    with closing(sqlite3.connect(folder / "runs.db")) as connection, connection:
        connection.execute("PRAGMA user_version = 999")
    outcome = flujo("lens", *command)
    assert outcome.code == 2
    assert "a newer flujo_actors wrote it" in outcome.error_line


def test_a_run_is_not_put_into_a_database_of_a_newer_version(flujo: Flujo, folder: Path, article: list[str]) -> None:
    with closing(sqlite3.connect(folder / "runs.db")) as connection, connection:
        connection.execute("PRAGMA user_version = 999")
    outcome = flujo("run", "flow.py", "--input", "3")
    assert outcome.code == 2
    with closing(sqlite3.connect(folder / "runs.db")) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (2,)


@every_command
def test_an_empty_file_is_said_to_be_empty(flujo: Flujo, folder: Path, command: list[str]) -> None:
    (folder / "runs.db").touch()
    outcome = flujo("lens", *command)
    assert outcome.code == 2
    assert outcome.error_line == f"flujo: Database {folder / 'runs.db'}: it is empty; nothing was stored in it yet"


@every_command
def test_a_database_of_an_older_version_says_how_to_bring_it_up_to_date(
    flujo: Flujo, folder: Path, article: list[str], command: list[str]
) -> None:
    with closing(sqlite3.connect(folder / "runs.db")) as connection, connection:
        connection.execute("PRAGMA user_version = 1")
    outcome = flujo("lens", *command)
    assert outcome.code == 2
    assert outcome.error_line.endswith(
        "its format 1 is older than 2; it is brought up to date when it is opened to be written, as `flujo run` does"
    )


def test_ids_and_times_that_flujo_did_not_make_are_shown_without_doing_anything_to_the_terminal(
    flujo: Flujo, folder: Path
) -> None:
    with SQLiteBackend(folder / "runs.db") as backend:
        for run_id, time in (("\x1b[31mred", 1e15), ("\x1b[32mgreen", -1e15)):
            backend.record_run_start(RunRecord(run_id, SpanStatus.RUNNING, "p", time))
            backend.record_run_end(RunRecord(run_id, SpanStatus.COMPLETED, "p", time, float("inf")))
    commands = ("list", "show latest", "trace latest", "blame latest", "stats", "prune --keep 0 --dry-run")
    for command in commands:
        outcome = flujo("lens", *command.split())
        assert outcome.code == 0, outcome.err
        assert "\\x1b[31mr" in outcome.out or command == "stats"
        assert "\x1b" not in outcome.out + outcome.err


def test_a_limit_beyond_all_measure_is_refused(flujo: Flujo, article: list[str]) -> None:
    outcome = flujo("lens", "list", "--limit", "1" + "0" * 30)
    assert outcome.code == 2
    assert "is not in the range 1<=x<=1000000000" in outcome.error_line
