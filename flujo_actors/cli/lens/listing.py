"""`flujo lens list`: which runs there are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import click
from rich.console import Console
from rich.text import Text

from flujo_actors.cli.database import database_option, open_to_read
from flujo_actors.cli.lens.finding import ID_LENGTH, RunFilter, filter_options, length
from flujo_actors.cli.run import json_option
from flujo_actors.cli.tables import Cell, Column, show_table
from flujo_actors.cli.text import STATUS_STYLES, amount, moment, new_console, one_line, print_json, shortened
from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord

_COLUMNS = (
    Column("run"),
    Column("pipeline", shrinks=True),
    Column("status"),
    Column("started"),
    Column("duration", right=True),
    Column("spent", right=True),
    Column("error", shrinks=True),
)


@click.command("list")
@database_option
@filter_options
@click.option("--limit", type=click.IntRange(1, 1_000_000_000), default=20, show_default=True, help="At most so many.")
@json_option
def list_runs(
    *,
    database: Path | None,
    status: SpanStatus | None,
    pipeline: str | None,
    since: float | None,
    until: float | None,
    limit: int,
    as_json: bool,
) -> None:
    """List the runs, the latest first."""
    with open_to_read(database) as backend:
        runs = RunFilter(status, pipeline, since, until).runs(backend, limit)
    if as_json:
        print_json([attrs.asdict(run) for run in runs])
    else:
        show_runs(runs, new_console())


def show_runs(runs: Sequence[RunRecord], console: Console) -> None:
    """Print runs, one on a line; or that there are none."""
    if runs:
        show_table(_COLUMNS, map(_cells, runs), console)
    else:
        click.echo("no runs")


def _cells(run: RunRecord) -> list[Cell]:
    return [
        one_line(run.run_id[:ID_LENGTH]),
        shortened(run.pipeline, 30),
        Text(str(run.status), style=STATUS_STYLES[run.status]),
        moment(run.started_at),
        length(run),
        amount(run.total_cost_usd, run.total_tokens),
        shortened(run.error or "", 80),
    ]
