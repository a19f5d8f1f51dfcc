"""Which run is meant."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flujo_actors.storage import SQLiteBackend
from tests.cli.conftest import Flujo
from tests.stored_runs import SpanMaker, store


def headline_of(flujo: Flujo, name: str) -> str:
    return flujo("lens", "trace", name).out.splitlines()[0]


def test_a_run_is_found_by_any_beginning_of_its_id_that_only_it_has(flujo: Flujo, article: list[str]) -> None:
    length = next(length for length in range(1, 33) if article[0][:length] != article[1][:length])
    assert headline_of(flujo, article[0][:length]).startswith(f"run {article[0]}  article  ")


def test_the_latest_runs_are_found_by_their_number(flujo: Flujo, article: list[str]) -> None:
    assert headline_of(flujo, "latest").startswith(f"run {article[1]}")
    assert headline_of(flujo, "latest~0").startswith(f"run {article[1]}")
    assert headline_of(flujo, "latest~1").startswith(f"run {article[0]}")


def test_going_back_too_far_gives_one_line(flujo: Flujo, article: list[str]) -> None:
    outcome = flujo("lens", "show", "latest~2")
    assert outcome.code == 2
    assert outcome.error_line == "flujo: there is no run that far back; the database holds 2 runs"


def test_an_id_that_another_one_begins_with_names_its_run(flujo: Flujo, folder: Path) -> None:
    maker = SpanMaker()
    maker.add("", 0.0, 1.0)
    with SQLiteBackend(folder / "runs.db") as backend:
        store(backend, "abc", maker.spans)
        store(backend, "abcd", maker.spans)
    assert headline_of(flujo, "abc").startswith("run abc ")


def test_a_beginning_that_several_runs_have_is_refused(flujo: Flujo, folder: Path, article: list[str]) -> None:
    with closing(sqlite3.connect(folder / "runs.db")) as connection, connection:
        for number, run_id in enumerate(article):
            connection.execute("UPDATE runs SET run_id = ? WHERE run_id = ?", (f"abcd{number}{'0' * 27}", run_id))
    outcome = flujo("lens", "trace", "abcd")
    assert outcome.code == 2
    assert outcome.error_line == "flujo: several runs begin with 'abcd': abcd10000000, abcd00000000"


@pytest.mark.parametrize("command", ["show", "trace", "spans", "stats", "blame"])
@pytest.mark.parametrize("run_id", ["ffff", "", "%", "' OR 1=1 --", "latest~", "\x1b[31m"])
def test_an_unknown_run_gives_one_line(flujo: Flujo, article: list[str], command: str, run_id: str) -> None:
    outcome = flujo("lens", command, run_id)
    assert outcome.code == 2
    assert outcome.error_line == f"flujo: there is no run {run_id!r}; `flujo lens list` shows the runs"
