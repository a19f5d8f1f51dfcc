from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord, SQLiteBackend
from tests.cli.conftest import Flujo
from tests.cli.lens.terminal import on_terminal
from tests.stored_runs import SpanMaker, store

DAY = 86_400.0


@pytest.fixture
def runs(folder: Path) -> None:
    """Runs that ended 1, 5 and 50 days ago, named so, and one that goes on since 60 days."""
    maker = SpanMaker()
    maker.add("", 0.0, 1.0)
    with SQLiteBackend(folder / "runs.db") as backend:
        for days in (50, 5, 1):
            ended = time.time() - days * DAY
            store(backend, f"{days}d", maker.spans, started_at=ended - 1.0, ended_at=ended)
        backend.record_run_start(RunRecord("60d", SpanStatus.RUNNING, "long", time.time() - 60 * DAY))


def left(folder: Path) -> list[str]:
    with SQLiteBackend(folder / "runs.db") as backend:
        return [run.run_id for run in backend.list_runs()]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--older-than", "2d"], ["1d", "60d"]),
        (["--older-than", "1w"], ["1d", "5d", "60d"]),
        (["--keep", "1"], ["1d", "60d"]),
        (["--keep", "0"], ["60d"]),
        (["--keep", "1", "--older-than", "30d"], ["1d", "5d", "60d"]),
    ],
)
def test_runs_are_deleted_by_age_and_by_number_but_never_one_that_goes_on(
    flujo: Flujo, folder: Path, runs: None, options: list[str], expected: list[str]
) -> None:
    outcome = flujo("lens", "prune", *options, "--yes")
    count = 4 - len(expected)
    assert (outcome.code, outcome.out) == (0, f"deleted {'1 run' if count == 1 else f'{count} runs'}\n")
    assert left(folder) == expected


def test_a_dry_run_lists_what_would_be_deleted_and_deletes_nothing(flujo: Flujo, folder: Path, runs: None) -> None:
    lines = flujo("lens", "prune", "--keep", "1", "--dry-run").out.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["50d", "5d"]
    answer = json.loads(flujo("lens", "prune", "--keep", "1", "--dry-run", "--json").out)
    assert answer == {"deleted": [], "would_delete": ["50d", "5d"]}
    assert len(left(folder)) == 4


def test_what_was_deleted_as_json(flujo: Flujo, folder: Path, runs: None) -> None:
    answer = json.loads(flujo("lens", "prune", "--keep", "1", "--yes", "--json").out)
    assert answer == {"deleted": ["50d", "5d"], "would_delete": []}


def test_nothing_is_deleted_unasked(flujo: Flujo, folder: Path, runs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/null").open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        outcome = flujo("lens", "prune", "--keep", "1")
    assert outcome.code == 2
    assert outcome.error_line == "flujo: 2 runs would be deleted; say --yes to do it without being asked"
    assert len(left(folder)) == 4


@pytest.mark.parametrize(("answer", "code", "count"), [(b"y\n", 0, 2), (b"n\n", 130, 4), (b"\n", 130, 4)])
def test_a_person_is_asked(folder: Path, runs: None, answer: bytes, code: int, count: int) -> None:
    with on_terminal("lens", "prune", "--keep", "1", folder=folder) as terminal:
        terminal.read_until("Delete 2 runs? [y/N]: ")
        terminal.write(answer)
        assert terminal.read_to_end() == code
    assert len(left(folder)) == count


def test_it_has_to_be_said_which_runs(flujo: Flujo, folder: Path, runs: None) -> None:
    outcome = flujo("lens", "prune", "--yes")
    assert outcome.code == 2
    assert outcome.error_line == "flujo: say which runs: --older-than AGE, --keep N, or both"


@pytest.mark.parametrize("age", ["30", "month", "-3d", "d", "nan"])
def test_what_is_no_age_is_refused(flujo: Flujo, folder: Path, runs: None, age: str) -> None:
    outcome = flujo("lens", "prune", "--older-than", age, "--yes")
    assert outcome.code == 2
    assert f"{age!r} is not a time such as 90s, 15m, 2h, 3d or 1w" in outcome.error_line
    assert len(left(folder)) == 4
