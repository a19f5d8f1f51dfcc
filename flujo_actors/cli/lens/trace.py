"""`flujo lens trace`: what a run did, as a tree."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from flujo_actors.cli.database import database_option, open_to_read
from flujo_actors.cli.lens.finding import find_trace, headline, run_argument
from flujo_actors.cli.lens.follow import follow
from flujo_actors.cli.run import json_option
from flujo_actors.cli.tables import print_lines
from flujo_actors.cli.text import new_console
from flujo_actors.cli.traces import TraceDisplay, trace_lines
from flujo_actors.lens import SpanNode


@click.command()
@run_argument
@database_option
@click.option("--depth", type=click.IntRange(min=0), help="Only so many levels below the root.")
@click.option("--failed", "only_failed", is_flag=True, help="Only what failed or was stopped, and what is around it.")
@click.option("--bars/--no-bars", default=None, help="Draw when each step ran. Default: on a wide terminal.")
@click.option("--follow", "following", is_flag=True, help="Go on showing a run that goes on, until it has ended.")
@json_option
def trace(
    *,
    run_id: str,
    database: Path | None,
    depth: int | None,
    only_failed: bool,
    bars: bool | None,
    following: bool,
    as_json: bool,
) -> None:
    """Show the trace of a run as a tree.

    With --follow a terminal shows the tree as it grows; a file or pipe gets a line for each step when it has ended,
    with --json each span as a JSON object on a line of its own, and the run's record at the end.
    """
    display = TraceDisplay(depth=depth, only_failed=only_failed, bars=bars)
    if following:
        follow(run_id, database, display, as_json=as_json)
        return
    with open_to_read(database) as backend:
        run, tree = find_trace(backend, run_id)
    if as_json:
        for line in json_lines(display.nodes(tree)):
            click.echo(line)
        return
    console = new_console()
    console.print(headline(run), soft_wrap=True)
    if only_failed and not tree.unsuccessful():
        click.echo("nothing failed")
    print_lines(trace_lines(tree, display, console), console)


def json_lines(nodes: Sequence[SpanNode]) -> Iterator[str]:
    """The tree of nodes as JSON, a line for each span: however deep it is, nothing recurses.

    Args:
        nodes: parents before children, each with its parent but for the first. `null` when there are none.
    """
    if not nodes:
        yield "null"
    for node, following in zip(nodes, [*nodes[1:], None], strict=True):
        entry = node.span.to_dict()
        del entry["children"]
        opened = f'{json.dumps(entry)[:-1]}, "children": ['
        if following is not None and following.depth > node.depth:
            yield opened
        else:
            next_depth = 0 if following is None else following.depth
            yield opened + "]}" * (node.depth - next_depth + 1) + ("" if following is None else ",")
