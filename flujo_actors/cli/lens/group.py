"""`flujo lens`: the commands put together."""

from __future__ import annotations

import click

from flujo_actors.cli.lens.blame import blame
from flujo_actors.cli.lens.diff import diff
from flujo_actors.cli.lens.export import export
from flujo_actors.cli.lens.listing import list_runs
from flujo_actors.cli.lens.prune import prune
from flujo_actors.cli.lens.show import show
from flujo_actors.cli.lens.spans import spans
from flujo_actors.cli.lens.stats import stats
from flujo_actors.cli.lens.trace import trace


@click.group()
def lens() -> None:
    """Read the runs of the past and their traces.

    RUN is any beginning of a run's id that only this run has, or `latest` for the run that started last, `latest~1`
    for the one before it, and so on.
    """


for command in (list_runs, show, trace, spans, stats, blame, diff, export, prune):
    lens.add_command(command)
