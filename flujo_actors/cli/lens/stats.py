"""`flujo lens stats`: what the spans of each name add up to."""

from __future__ import annotations

from pathlib import Path

import attrs
import click

from flujo_actors.cli.database import database_option, open_to_read
from flujo_actors.cli.errors import BadInputError
from flujo_actors.cli.lens.finding import RunFilter, filter_options, find_run, read_trace
from flujo_actors.cli.run import json_option
from flujo_actors.cli.tables import Cell, Column, show_table
from flujo_actors.cli.text import counted, dollars, duration, new_console, print_json, shortened
from flujo_actors.lens import Figures, NameFigures
from flujo_actors.spans import SpanStatus

_COLUMNS = (
    Column("name", shrinks=True),
    Column("count", right=True),
    Column("failed", right=True),
    Column("stopped", right=True),
    Column("total", right=True),
    Column("mean", right=True),
    Column("p50", right=True),
    Column("p95", right=True),
    Column("cost", right=True),
    Column("tokens", right=True),
)


@click.command()
@click.argument("run_id", metavar="[RUN]", required=False)
@database_option
@filter_options
@json_option
def stats(
    *,
    run_id: str | None,
    database: Path | None,
    status: SpanStatus | None,
    pipeline: str | None,
    since: float | None,
    until: float | None,
    as_json: bool,
) -> None:
    """Add up the spans of each name, in one run or in all that fit.

    Times, cost and tokens of a step are those of everything in it, so a step and the steps in it do not add up.
    Percentiles are durations that were measured (nearest rank).
    """
    wanted = RunFilter(status, pipeline, since, until)
    if run_id is not None and wanted != RunFilter(None, None, None, None):
        raise BadInputError("name a run, or say which runs by options, not both")
    figures = Figures()
    with open_to_read(database) as backend:
        for run in wanted.runs(backend) if run_id is None else [find_run(backend, run_id)]:
            if (trace := read_trace(backend, run)) is not None:
                figures.add(trace)
    if as_json:
        print_json({"runs": figures.runs, "names": [attrs.asdict(each) for each in figures.by_name()]})
    elif figures.runs:
        click.echo(counted(figures.runs, "run"))
        show_table(_COLUMNS, map(_cells, figures.by_name()), new_console())
    else:
        click.echo("no runs")


def _cells(figures: NameFigures) -> list[Cell]:
    times = (figures.total_seconds, figures.mean_seconds, figures.p50_seconds, figures.p95_seconds)
    return [
        shortened(figures.name, 60),
        str(figures.count),
        str(figures.failed) if figures.failed else "",
        str(figures.stopped) if figures.stopped else "",
        *("" if seconds is None else duration(seconds) for seconds in times),
        dollars(figures.cost_usd) if figures.cost_usd else "",
        str(figures.tokens) if figures.tokens else "",
    ]
