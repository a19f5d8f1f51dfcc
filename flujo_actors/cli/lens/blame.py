"""`flujo lens blame`: what made a run fail, and which step wrote a value of the context."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from flujo_actors.cli.database import database_option, open_to_read
from flujo_actors.cli.errors import BadInputError
from flujo_actors.cli.lens.failures import failure_as_json, failure_lines
from flujo_actors.cli.lens.finding import find_trace, headline, run_argument
from flujo_actors.cli.run import json_option
from flujo_actors.cli.tables import Cell, Column, show_table
from flujo_actors.cli.text import duration, new_console, one_line, print_json
from flujo_actors.cli.traces import status_mark
from flujo_actors.lens import Attribution, TraceTree, failures_of, writers_of
from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord


@click.command()
@run_argument
@click.argument("path", required=False)
@database_option
@json_option
def blame(*, run_id: str, path: str | None, database: Path | None, as_json: bool) -> None:
    """Say what made a run fail, or which steps wrote a value.

    Without PATH: the failures from the run's own down to the step and the attempt that caused it. With PATH: the
    steps that wrote this value of the context. PATH is written as in Python: `notes['k']`, `lines[3]`. The step
    that ended last stands first. A step counts that wrote the value, something in it, or something around it.
    """
    with open_to_read(database) as backend:
        run, trace = find_trace(backend, run_id)
    if path is not None:
        _show_writers(run, trace, path, as_json=as_json)
    elif as_json:
        print_json({"run_id": run.run_id, "status": run.status, "failures": _failures_as_json(trace)})
    else:
        _show_failures(run, trace, new_console())


def _show_failures(run: RunRecord, trace: TraceTree, console: Console) -> None:
    console.print(headline(run), soft_wrap=True)
    failures = failures_of(trace)
    for line in (_verdict(run, trace, any_failure=bool(failures)), *failure_lines(failures, tracebacks=True)):
        if line.plain:
            console.print(line, soft_wrap=True)


def _verdict(run: RunRecord, trace: TraceTree, *, any_failure: bool) -> Text:
    """What to say of the run besides its failures, empty when they say it all."""
    match run.status:
        case SpanStatus.INTERRUPTED:
            inner = [node for node in trace.nodes if node.span.status is SpanStatus.INTERRUPTED and not node.children]
            running = ", ".join(one_line(node.title) for node in inner if node.parent is not None)
            before = "; these failed before that:" if any_failure else ""
            return Text("its process died" + (f" while running {running}" if running else "") + before)
        case SpanStatus.FAILED | SpanStatus.CANCELLED:
            return Text() if any_failure else Text(one_line(run.error or "the trace holds no failure"))
        case _:
            told = "it goes on" if run.status is SpanStatus.RUNNING else f"it {run.status}"
            return Text(f"{told}; these failures it got over:" if any_failure else f"{told}, and nothing failed")


def _failures_as_json(trace: TraceTree) -> list[dict[str, Any]]:
    return [failure_as_json(blamed) for blamed in failures_of(trace)]


def _show_writers(run: RunRecord, trace: TraceTree, path: str, *, as_json: bool) -> None:
    try:
        writers = writers_of(path, trace)
    except ValueError as error:
        raise BadInputError(str(error)) from error
    if writers is None:
        raise BadInputError(f"the trace of run {run.run_id} does not hold what its steps wrote to the context")
    if as_json:
        print_json([_writer_as_json(each) for each in writers])
    elif writers:
        columns = (Column("step", shrinks=True), Column("ended", right=True), Column("wrote", shrinks=True), Column(""))
        show_table(columns, (_cells(each, trace) for each in writers), new_console())
    else:
        click.echo(f"no step wrote {one_line(path)}")


def _cells(writer: Attribution, trace: TraceTree) -> list[Cell]:
    node = writer.node
    return [
        Text.assemble(status_mark(node.span.status), " ", one_line(node.title)),
        f"+{duration(max(0.0, trace.end_of(node) - trace.start))}",
        ", ".join(one_line(each) or "the whole context" for each in writer.paths),
        ", ".join(_notes(writer)),
    ]


def _notes(writer: Attribution) -> Iterator[str]:
    if writer.paths == ("…",):
        yield "perhaps: it wrote more than the trace names"
    if writer.inside:
        yield "with the steps inside it"


def _writer_as_json(writer: Attribution) -> dict[str, Any]:
    span = writer.node.span
    return {
        "span_id": span.span_id,
        "path": writer.node.path,
        "end_time": span.end_time,
        "writes": list(writer.paths),
        "inside": writer.inside,
    }
