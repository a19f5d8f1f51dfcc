"""`flujo ps`: the runs that are going on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import click
import trio
from rich.table import Table
from rich.text import Text

from flujo_actors.cli.database import database_option, database_to_write, is_missing
from flujo_actors.cli.run import json_option
from flujo_actors.cli.text import amount, duration, new_console, one_line, print_json, shortened
from flujo_actors.control.client import ControlledRun, find_runs
from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord, SQLiteBackend

ID_LENGTH = 12
"""Characters of a run's id that are shown; any beginning of an id that only one run has names it."""


@attrs.frozen
class GoingOn:
    """One run that is going on, as it is shown."""

    run_id: str
    pipeline: str
    status: str
    """`running` or `cancelling`."""
    started_at: float
    """Wall clock, seconds since the epoch."""
    age_s: float
    actors: int | None
    """How many are alive; this and what follows is `None` where nobody can be asked."""
    total_cost_usd: float | None
    total_tokens: int | None
    pid: int | None

    @property
    def controllable(self) -> bool:
        """Whether `flujo cancel` and `flujo watch` reach it."""
        return self.pid is not None


@click.command()
@database_option
@json_option
def ps(*, database: Path | None, as_json: bool) -> None:
    """List the runs that are going on, of all processes that use the database."""
    path = database_to_write(database)
    recorded = _recorded_as_running(path)  # before asking: what has ended meanwhile is asked for again
    survey = trio.run(find_runs, path)
    for problem in survey.problems:
        click.echo(f"warning: {one_line(problem)}", err=True)
    answered = {run.status.run_id for run in survey.runs}
    unanswered = _still_running(path, [run for run in recorded if run.run_id not in answered])
    now = time.time()
    runs = [*(_controlled(run, now) for run in survey.runs), *(_uncontrolled(run, now) for run in unanswered)]
    _show(sorted(runs, key=lambda run: run.started_at), as_json=as_json)


def _recorded_as_running(path: Path) -> list[RunRecord]:
    if is_missing(path):
        return []
    with SQLiteBackend(path, read_only=True) as backend:
        return backend.list_runs(status=SpanStatus.RUNNING)


def _still_running(path: Path, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Those that have not ended since they were read."""
    if not runs:
        return []
    with SQLiteBackend(path, read_only=True) as backend:
        read_again = [backend.get_run(run.run_id) for run in runs]
    return [run for run in read_again if run is not None and run.status is SpanStatus.RUNNING]


def _controlled(run: ControlledRun, now: float) -> GoingOn:
    status = run.status
    return GoingOn(
        run_id=status.run_id,
        pipeline=status.pipeline,
        status="cancelling" if status.cancelling else str(status.status),
        started_at=status.started_at,
        age_s=max(now - status.started_at, 0.0),
        actors=status.actors,
        total_cost_usd=status.total_cost_usd,
        total_tokens=status.total_tokens,
        pid=run.address.pid,
    )


def _uncontrolled(run: RunRecord, now: float) -> GoingOn:
    age = max(now - run.started_at, 0.0)
    return GoingOn(run.run_id, run.pipeline, str(run.status), run.started_at, age, None, None, None, None)


def _show(runs: Sequence[GoingOn], *, as_json: bool) -> None:
    if as_json:
        print_json([{**attrs.asdict(run), "controllable": run.controllable} for run in runs])
    elif runs:
        new_console().print(_table(runs))
    else:
        click.echo("no runs are going on")


def _table(runs: Sequence[GoingOn]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "pipeline", "status", "age", "actors", "spent", "pid"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=len(heading))
    for run in runs:
        table.add_row(*_cells(run))
    return table


def _cells(run: GoingOn) -> list[Any]:
    return [
        one_line(run.run_id[:ID_LENGTH]),
        Text(shortened(run.pipeline, 30)),
        Text(run.status, style="yellow" if run.status == "cancelling" else "cyan"),
        duration(run.age_s),
        "" if run.actors is None else str(run.actors),
        amount(run.total_cost_usd or 0.0, run.total_tokens or 0),
        str(run.pid) if run.controllable else Text("no control", style="dim"),
    ]
