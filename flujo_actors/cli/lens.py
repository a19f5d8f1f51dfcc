"""`flujo lens`: reading the runs of the past."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import click
from rich.table import Table
from rich.text import Text

from flujo_actors.cli.database import database_option, open_to_read
from flujo_actors.cli.errors import BadInputError
from flujo_actors.cli.run import json_option
from flujo_actors.cli.text import STATUS_STYLES, amount, duration, moment, new_console, print_json, shortened
from flujo_actors.cli.traces import show_trace
from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord, StateBackend

ID_LENGTH = 12
"""Characters of a run's id in the list; any unique beginning of an id names the run."""


@click.group()
def lens() -> None:
    """Read the runs of the past and their traces."""


@lens.command("list")
@database_option
@click.option("--status", type=click.Choice([str(status) for status in SpanStatus]), help="Only runs of this status.")
@click.option("--pipeline", help="Only runs of the pipeline of this name.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@json_option
def list_runs(*, database: Path | None, status: str | None, pipeline: str | None, limit: int, as_json: bool) -> None:
    """List the runs, the latest first."""
    with open_to_read(database) as backend:
        runs = backend.list_runs(status=None if status is None else SpanStatus(status), pipeline=pipeline, limit=limit)
    if as_json:
        print_json([attrs.asdict(run) for run in runs])
    elif runs:
        new_console().print(_table(runs))
    else:
        click.echo("no runs")


@lens.command()
@click.argument("run_id", metavar="RUN_ID")
@database_option
@json_option
def trace(*, run_id: str, database: Path | None, as_json: bool) -> None:
    """Show the trace of a run as a tree. RUN_ID may be any beginning of the id that only this run has."""
    with open_to_read(database) as backend:
        run = find_run(backend, run_id)
        tree = backend.get_trace(run.run_id)
    if tree is None:
        raise BadInputError(f"run {run.run_id} was deleted meanwhile")
    if as_json:
        print_json(tree)
        return
    console = new_console()
    console.print(_headline(run), soft_wrap=True)
    show_trace(tree, console)


def find_run(backend: StateBackend, prefix: str) -> RunRecord:
    """The run whose id begins with `prefix`.

    Raises:
        BadInputError: there is none, or more than one.
    """
    runs = backend.find_runs(prefix, limit=6) if prefix else []
    if not runs:
        raise BadInputError(f"there is no run {prefix!r}; `flujo lens list` shows the runs")
    if len(runs) > 1:
        some = ", ".join(run.run_id[: max(ID_LENGTH, len(prefix) + 4)] for run in runs[:5])
        raise BadInputError(f"several runs begin with {prefix!r}: {some}{' …' if len(runs) > 5 else ''}")
    return runs[0]


def _headline(run: RunRecord) -> Text:
    spent = amount(run.total_cost_usd, run.total_tokens)
    parts = [f"run {run.run_id}", shortened(run.pipeline, 40), moment(run.started_at), _length(run), spent]
    return Text.assemble("  ".join(part for part in parts if part), "  ", (str(run.status), STATUS_STYLES[run.status]))


def _table(runs: list[RunRecord]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "pipeline", "status", "started", "duration", "spent", "error"):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=len(heading))
    for run in runs:
        table.add_row(*_cells(run))
    return table


def _cells(run: RunRecord) -> list[Any]:
    return [
        run.run_id[:ID_LENGTH],
        Text(shortened(run.pipeline, 30)),
        Text(str(run.status), style=STATUS_STYLES[run.status]),
        moment(run.started_at),
        _length(run),
        amount(run.total_cost_usd, run.total_tokens),
        Text(shortened(run.error or "", 80)),
    ]


def _length(run: RunRecord) -> str:
    return "" if run.ended_at is None else duration(run.ended_at - run.started_at)
