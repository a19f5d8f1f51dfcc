from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flujo_actors.storage import SQLiteBackend
from tests.cli.conftest import Flujo
from tests.cli.lens.conftest import steady
from tests.stored_runs import START, SpanMaker, store


def test_the_list_has_the_latest_run_first(flujo: Flujo, article: list[str]) -> None:
    assert steady(flujo("lens", "list").out) == (
        "run           pipeline  status     started              duration               spent  error\n"
        "RUN-ID        article   failed     DATE AND TIME    3.00 s  $0.024, 180 tokens"
        "  review: branch 'facts' failed: Agent execution failed with ValueError: the moon…\n"
        "RUN-ID        article   completed  DATE AND TIME    2.60 s  $0.024, 178 tokens\n"
    )


def test_the_list_as_json_has_the_records(flujo: Flujo, article: list[str]) -> None:
    failed, completed = json.loads(flujo("lens", "list", "--json").out)
    assert (failed["run_id"], failed["status"], failed["total_tokens"]) == (article[1], "failed", 180)
    assert (completed["run_id"], completed["error"]) == (article[0], None)


def test_the_list_can_be_narrowed(flujo: Flujo, article: list[str]) -> None:
    (run,) = json.loads(flujo("lens", "list", "--status", "failed", "--json").out)
    assert run["run_id"] == article[1]
    assert flujo("lens", "list", "--pipeline", "other").out == "no runs\n"
    assert len(json.loads(flujo("lens", "list", "--limit", "1", "--json").out)) == 1


def hours_ago(count: int) -> datetime:
    return datetime.now(UTC) - timedelta(hours=count)


@pytest.fixture
def old_runs(folder: Path) -> None:
    """Runs that started 1, 5 and 50 hours ago, named so."""
    maker = SpanMaker()
    maker.add("", 0.0, 1.0)
    with SQLiteBackend(folder / "runs.db") as backend:
        for hours in (1, 5, 50):
            store(backend, f"{hours}h", maker.spans, started_at=hours_ago(hours).timestamp())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--since", "2h"], ["1h"]),
        (["--since", "1d"], ["1h", "5h"]),
        (["--until", "2h"], ["5h", "50h"]),
        (["--since", "2d12h", "--until", "270m"], ["5h", "50h"]),
        (["--since", "1w"], ["1h", "5h", "50h"]),
        (["--since", hours_ago(6).isoformat()], ["1h", "5h"]),
        (["--until", hours_ago(6).astimezone().replace(tzinfo=None).isoformat()], ["50h"]),
        (["--since", f"{hours_ago(6):%Y-%m-%dT%H:%MZ}"], ["1h", "5h"]),
    ],
)
def test_runs_are_chosen_by_when_they_started(
    flujo: Flujo, old_runs: None, options: list[str], expected: list[str]
) -> None:
    runs = json.loads(flujo("lens", "list", *options, "--json").out)
    assert [run["run_id"] for run in runs] == expected


@pytest.mark.parametrize("time", ["yesterday", "2 h", "h", "-2h", "2026-13-01", ""])
def test_what_is_no_time_is_refused(flujo: Flujo, article: list[str], time: str) -> None:
    outcome = flujo("lens", "list", "--since", time)
    assert outcome.code == 2
    assert "is neither a time such as 2026-05-31T14:30 nor an age such as 2h or 3d" in outcome.error_line


def test_names_and_errors_of_any_text_stay_on_their_line(flujo: Flujo, folder: Path) -> None:
    maker = SpanMaker()
    maker.add("", 0.0, 1.0)
    hostile = "a\nb\x1b[31m\x07\u202e\ud800" + "long" * 100
    with SQLiteBackend(folder / "runs.db") as backend:
        store(backend, "hostile", maker.spans, pipeline=hostile, error=hostile, ended_at=START + 1)
    outcome = flujo("lens", "list")
    heading, run = outcome.out.splitlines()
    assert len(heading) < len(run) < 200
    assert "a b\\x1b[31m\\x07\\u202e\\ud800" in run
