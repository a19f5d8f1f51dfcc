"""`flujo lens show`: one run at a glance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import click
from rich.console import Console
from rich.text import Text

from flujo_actors.cli.database import database_option, open_to_read
from flujo_actors.cli.lens.failures import failure_as_json, failure_lines
from flujo_actors.cli.lens.finding import find_trace, length, run_argument
from flujo_actors.cli.run import json_option
from flujo_actors.cli.tables import Cell, Column, print_lines, show_table
from flujo_actors.cli.text import STATUS_STYLES, amount, duration, moment, new_console, one_line, print_json
from flujo_actors.cli.traces import span_duration, status_mark
from flujo_actors.lens import SpanNode, TraceTree, failures_of
from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord

STEPS_SHOWN: Final = 5
"""How many of the slowest and of the costliest steps are shown."""

FAILURES_SHOWN: Final = 20
"""How many failures are shown; `flujo lens blame` shows all."""


@click.command()
@run_argument
@database_option
@json_option
def show(*, run_id: str, database: Path | None, as_json: bool) -> None:
    """Show one run at a glance.

    Shown are its record, its slowest and costliest steps, its failures. Steps are ranked by what they took and
    spent themselves, without the steps inside them.
    """
    with open_to_read(database) as backend:
        run, trace = find_trace(backend, run_id)
    if as_json:
        print_json(_as_json(run, trace))
    else:
        _show(run, trace, new_console())


def _show(run: RunRecord, trace: TraceTree, console: Console) -> None:
    for line in _facts(run, trace):
        console.print(line, soft_wrap=True)
    _show_steps("slowest steps", _slowest(trace), trace, console)
    _show_steps("costliest steps", _costliest(trace), trace, console)
    failures = failures_of(trace)
    if failures:
        title = "failure" if run.status is SpanStatus.FAILED else "failures that the run got over"
        print_lines([Text(), Text(title, style="bold")], console)
        for line in failure_lines(failures[:FAILURES_SHOWN], tracebacks=False):
            console.print(line, soft_wrap=True)
        if len(failures) > FAILURES_SHOWN:
            print_lines([Text(f"… {len(failures) - FAILURES_SHOWN} more", style="dim")], console)


def _facts(run: RunRecord, trace: TraceTree) -> Iterator[Text]:
    counts = Counter(node.span.status for node in trace.nodes)
    spans = ", ".join(f"{counts[status]} {status}" for status in SpanStatus if counts[status])
    facts: list[tuple[str, Cell]] = [
        ("run", one_line(run.run_id)),
        ("pipeline", one_line(run.pipeline)),
        ("status", Text(str(run.status), style=STATUS_STYLES[run.status])),
        ("started", moment(run.started_at)),
        ("ended", "" if run.ended_at is None else moment(run.ended_at)),
        ("duration", length(run) or span_duration(trace.root, trace)),
        ("spent", amount(run.total_cost_usd, run.total_tokens)),
        ("spans", f"{len(trace.nodes)}: {spans}"),
        ("error", "" if trace.root.failure else one_line(run.error or "")),
    ]
    return (Text.assemble((name.ljust(10), "dim"), value) for name, value in facts if str(value))


def _show_steps(title: str, nodes: list[SpanNode], trace: TraceTree, console: Console) -> None:
    if not nodes:
        return
    columns = [
        Column(title, shrinks=True),
        Column("own time", right=True),
        Column("of the run", right=True),
        Column("in all", right=True),
        Column("own spending", right=True),
    ]
    print_lines([Text()], console)
    show_table(columns, (_step_cells(node, trace) for node in nodes), console)


def _step_cells(node: SpanNode, trace: TraceTree) -> list[Cell]:
    own = node.own_seconds() or 0.0
    share = own / trace.seconds if trace.seconds else 0.0
    return [
        Text.assemble(status_mark(node.span.status), " ", one_line(node.title)),
        duration(own),
        f"{share:.0%}",
        span_duration(node, trace),
        amount(node.own_cost_usd, node.own_tokens),
    ]


def _slowest(trace: TraceTree) -> list[SpanNode]:
    # Differences below a microsecond are those of rounding: steps that took as long stay in the order of the trace.
    return sorted(trace.nodes, key=lambda node: -round(node.own_seconds() or 0.0, 6))[:STEPS_SHOWN]


def _costliest(trace: TraceTree) -> list[SpanNode]:
    spending = [node for node in trace.nodes if node.own_cost_usd or node.own_tokens]
    return sorted(spending, key=lambda node: (-node.own_cost_usd, -node.own_tokens))[:STEPS_SHOWN]


def _as_json(run: RunRecord, trace: TraceTree) -> dict[str, Any]:
    return {
        **attrs.asdict(run),
        "seconds": trace.root.seconds,
        "spans": Counter(str(node.span.status) for node in trace.nodes),
        "slowest": [_step_as_json(node) for node in _slowest(trace)],
        "costliest": [_step_as_json(node) for node in _costliest(trace)],
        "failures": [failure_as_json(blamed) for blamed in failures_of(trace)],
    }


def _step_as_json(node: SpanNode) -> dict[str, Any]:
    return {
        "span_id": node.span.span_id,
        "path": node.path,
        "status": str(node.span.status),
        "seconds": node.seconds,
        "own_seconds": node.own_seconds(),
        "own_cost_usd": node.own_cost_usd,
        "own_tokens": node.own_tokens,
    }
