"""Databases that are missing, empty, damaged or not ours: one line and an exit code, whatever the command."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flujo_actors.storage import SQLiteBackend
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
