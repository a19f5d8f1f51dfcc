"""`flujo demo`: the pipelines that come with the library."""

from __future__ import annotations

from pathlib import Path

import click

from flujo_actors.cli.database import database_option, database_to_write
from flujo_actors.cli.errors import BadInputError
from flujo_actors.cli.execution import Execution
from flujo_actors.cli.run import json_option, timeout_option, trace_option
from flujo_actors.demos import DEMOS


@click.command()
@click.argument("name", metavar="list|NAME")
@click.argument("data", metavar="[INPUT]", required=False)
@database_option
@timeout_option
@json_option
@trace_option
def demo(
    *,
    name: str,
    data: str | None,
    database: Path | None,
    timeout: float | None,
    as_json: bool,
    with_trace: bool,
) -> int | None:
    """Run a demo on something of yours, or list the demos."""
    if name == "list":
        for entry in DEMOS.values():
            click.echo(f"{entry.name}  {entry.summary} (default input: {entry.default_input})")
        return None
    chosen = DEMOS.get(name)
    if chosen is None:
        raise BadInputError(f"there is no demo {name!r}; there are: {', '.join(DEMOS)}")
    return Execution(
        pipeline=chosen.pipeline,
        data=chosen.default_input if data is None else data,
        context=chosen.new_context(),
        database=database_to_write(database),
        conclude=chosen.conclude,
        show_output=chosen.render,
        output_to_json=chosen.to_json,
        timeout=timeout,
        as_json=as_json,
        with_trace=with_trace,
    ).run()
