"""`flujo run`: a pipeline from a user's file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from flujo_actors.cli.database import database_option, database_to_write
from flujo_actors.cli.execution import Execution
from flujo_actors.cli.inputs import as_pipeline_input, new_context, read_input
from flujo_actors.cli.loading import load_pipeline
from flujo_actors.cli.text import as_text, printable


def _finite(context: click.Context, parameter: click.Parameter, seconds: float | None) -> float | None:
    if seconds is not None and math.isnan(seconds):
        raise click.BadParameter("it is not a number", context, parameter)
    return seconds


timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=1e9),
    callback=_finite,
    metavar="SECONDS",
    help="Stop the run after so many seconds.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, for machines.")
trace_option = click.option("--trace", "with_trace", is_flag=True, help="Show the trace after the run.")


@click.command()
@click.argument("target", metavar="FILE.py[:NAME]")
@click.option("--input", "given", metavar="TEXT|@FILE", help="The input: a text, or @ and a file that holds it.")
@click.option("--context", "context_name", metavar="NAME", help="What in FILE.py makes the context of the run.")
@database_option
@timeout_option
@json_option
@trace_option
def run(
    *,
    target: str,
    given: str | None,
    context_name: str | None,
    database: Path | None,
    timeout: float | None,
    as_json: bool,
    with_trace: bool,
) -> int:
    """Run a pipeline that stands in a Python file.

    NAME is the pipeline's name in the file, `pipeline` when it is left out. The output goes to standard output,
    everything else to standard error. A first step that takes something else than text gets the input from JSON.
    """
    text = read_input(given)
    pipeline, module = load_pipeline(target)
    return Execution(
        pipeline=pipeline,
        data=as_pipeline_input(text, pipeline),
        context=new_context(context_name, pipeline, module),
        database=database_to_write(database),
        show_output=_show_output,
        timeout=timeout,
        as_json=as_json,
        with_trace=with_trace,
    ).run()


def _show_output(output: Any, console: Console) -> None:
    text = as_text(output)
    # A file or a pipe gets the text as it is; a terminal must not be controlled by it.
    shown = printable(text) if console.is_terminal else text
    click.echo(shown.encode("utf-8", "backslashreplace").decode())
