"""`flujo lens spans`: the spans of a run as a flat list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.text import Text

from flujo_actors.cli.database import database_option, open_to_read
from flujo_actors.cli.lens.finding import find_trace, run_argument
from flujo_actors.cli.run import json_option
from flujo_actors.cli.tables import Cell, Column, show_table
from flujo_actors.cli.text import STATUS_STYLES, dollars, duration, new_console, one_line, print_json, shortened
from flujo_actors.cli.traces import failure_text, span_duration
from flujo_actors.lens import Order, Selection, SpanNode, TraceTree
from flujo_actors.spans import SpanStatus

_COLUMNS = (
    Column("step", shrinks=True),
    Column("status"),
    Column("start", right=True),
    Column("duration", right=True),
    Column("attempts", right=True),
    Column("cost", right=True),
    Column("tokens", right=True),
    Column("failure", shrinks=True),
)


@click.command()
@run_argument
@database_option
@click.option(
    "--status",
    "statuses",
    type=click.Choice([str(status) for status in SpanStatus]),
    multiple=True,
    help="Only spans of this status; may be given several times.",
)
@click.option("--name", metavar="PATTERN", help="Only spans whose name fits; * and ? as for files.")
@click.option("--path", metavar="PATTERN", help="Only spans whose path fits: 'grow[3]/*', '**/double'.")
@click.option(
    "--sort",
    type=click.Choice([str(order) for order in Order]),
    default=str(Order.START),
    show_default=True,
    help="The first to start, the longest or the costliest first.",
)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@json_option
def spans(
    *,
    run_id: str,
    database: Path | None,
    statuses: tuple[str, ...],
    name: str | None,
    path: str | None,
    sort: str,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the spans of a run. Cost and tokens are those of everything in a span."""
    selection = Selection(frozenset(map(SpanStatus, statuses)), name, path, Order(sort), limit)
    with open_to_read(database) as backend:
        _, trace = find_trace(backend, run_id)
    found = selection.of(trace)
    if as_json:
        print_json([_as_json(node) for node in found])
    elif found:
        show_table(_COLUMNS, (_cells(node, trace) for node in found), new_console())
    else:
        click.echo("no spans")


def _cells(node: SpanNode, trace: TraceTree) -> list[Cell]:
    return [
        one_line(node.title),
        Text(str(node.span.status), style=STATUS_STYLES[node.span.status]),
        f"+{duration(max(0.0, node.span.start_time - trace.start))}",
        span_duration(node, trace),
        str(len(node.attempts)) if node.attempts else "",
        dollars(node.cost_usd) if node.cost_usd else "",
        str(node.tokens) if node.tokens else "",
        Text() if node.failure is None else Text(shortened(failure_text(node.failure).plain, 120), style="red"),
    ]


def _as_json(node: SpanNode) -> dict[str, Any]:
    entry = node.span.to_dict()
    del entry["children"]
    return entry
