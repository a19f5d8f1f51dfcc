"""`flujo lens export`: a trace in a format that another program shows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click

from flujo_actors.cli.database import database_option, open_to_read
from flujo_actors.cli.errors import BadInputError
from flujo_actors.cli.lens.finding import find_trace, run_argument
from flujo_actors.exports import ExportedRun, export_html, export_otlp_json, export_perfetto
from flujo_actors.lens import TraceTree

FORMATS: Final[Mapping[str, Callable[[TraceTree, ExportedRun], str]]] = {
    "html": export_html,
    "perfetto": export_perfetto,
    "otlp-json": export_otlp_json,
}


@click.command()
@run_argument
@database_option
@click.option(
    "--format",
    "name",
    type=click.Choice(list(FORMATS)),
    required=True,
    help="html: a page for any browser; perfetto: for ui.perfetto.dev; otlp-json: for OpenTelemetry collectors.",
)
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), help="The file to write. Default: standard output."
)
def export(*, run_id: str, database: Path | None, name: str, output: Path | None) -> None:
    """Give the trace of a run in the format of another program."""
    if output is None and sys.stdout.isatty():
        raise BadInputError("that would fill the terminal; name a file with --output, or redirect the output")
    with open_to_read(database) as backend:
        run, trace = find_trace(backend, run_id)
    head = ExportedRun(run.run_id, run.pipeline, run.status, run.total_cost_usd, run.total_tokens)
    text = FORMATS[name](trace, head)
    if output is None:
        click.echo(text.encode())  # UTF-8 as the formats want it, whatever the locale says
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"{output} cannot be written: {error.strerror}") from error
    click.echo(f"wrote {output}", err=True)
