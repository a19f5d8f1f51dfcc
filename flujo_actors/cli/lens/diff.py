"""`flujo lens diff`: how two runs differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import click
from rich.console import Console
from rich.text import Text

from flujo_actors.cli.database import database_option, open_to_read
from flujo_actors.cli.lens.finding import find_trace, headline
from flujo_actors.cli.run import json_option
from flujo_actors.cli.tables import Cell, Column, print_lines, show_table
from flujo_actors.cli.text import (
    STATUS_STYLES,
    dollars,
    duration,
    new_console,
    one_line,
    print_json,
    shortened,
)
from flujo_actors.lens import Comparison, Difference, SpanNode, compare
from flujo_actors.spans import SpanStatus

_COLUMNS = (
    Column("step", shrinks=True),
    Column("status"),
    Column("duration", right=True),
    Column("change", right=True),
    Column("cost", right=True),
    Column("tokens", right=True),
    Column("attempts", right=True),
    Column("differs"),
)


@click.command()
@click.argument("first", metavar="RUN_A")
@click.argument("second", metavar="RUN_B")
@database_option
@click.option(
    "--threshold",
    type=click.FloatRange(min=0),
    default=1,
    show_default=True,
    metavar="PERCENT",
    help="Leave out steps of which only the time differs, by less than this share of the longer run.",
)
@click.option("--values", "with_values", is_flag=True, help="Show inputs and outputs that differ.")
@json_option
def diff(*, first: str, second: str, database: Path | None, threshold: float, with_values: bool, as_json: bool) -> None:
    """Compare two runs, step by step.

    Shown is what only one has, what ended another way, what took longer, cost more or gave something else. Steps
    are matched by their paths. Those that ended another way come first, then those whose difference makes up most
    of the run. The exit code is 0 also where the runs differ.
    """
    with open_to_read(database) as backend:
        run_a, trace_a = find_trace(backend, first)
        run_b, trace_b = find_trace(backend, second)
    comparison = compare(trace_a, trace_b, threshold=threshold / 100)
    if as_json:
        print_json(_as_json(run_a.run_id, run_b.run_id, comparison))
        return
    console = new_console()
    for letter, run in (("A", run_a), ("B", run_b)):
        console.print(Text.assemble(f"{letter}  ", headline(run)), soft_wrap=True)
    _show(comparison, console, with_values=with_values)


def _show(comparison: Comparison, console: Console, *, with_values: bool) -> None:
    print_lines([*_alone("A", comparison.only_in_first), *_alone("B", comparison.only_in_second)], console)
    if comparison.differences:
        show_table(_COLUMNS, map(_cells, comparison.differences), console)
        print_lines(_value_lines(comparison.differences) if with_values else (), console)
    elif not comparison.only_in_first and not comparison.only_in_second:
        click.echo("no differences")


def _alone(letter: str, nodes: Sequence[SpanNode]) -> Iterator[Text]:
    for node in nodes:
        inside = " and what is inside it" if node.children else ""
        yield Text.assemble(f"only in {letter}  ", (one_line(node.title), "bold"), (inside, "dim"))


def _cells(each: Difference) -> list[Cell]:
    return [
        one_line(_title(each)),
        _statuses(each),
        _pair([None if seconds is None else duration(seconds) for seconds in each.seconds]),
        _change(each),
        _pair([dollars(cost) if cost else "$0" for cost in each.cost_usd]) if any(each.cost_usd) else "",
        _pair([str(tokens) for tokens in each.tokens]) if any(each.tokens) else "",
        _pair([str(attempts) for attempts in each.attempts]) if max(each.attempts) > 1 else "",
        ", ".join(each.values),
    ]


def _title(each: Difference) -> str:
    again = f" ({each.occurrence})" if each.occurrence > 1 else ""
    return (each.path or each.name) + again


def _statuses(each: Difference) -> Cell:
    if not each.status_changed:
        return ""
    was, now = each.status
    return Text.assemble((str(was), STATUS_STYLES[was]), " → ", (str(now), STATUS_STYLES[now]))


def _pair(values: Sequence[str | None]) -> str:
    was, now = ("?" if value is None else value for value in values)
    return was if was == now else f"{was} → {now}"


def _change(each: Difference) -> Cell:
    was, now = each.seconds
    if was is None or now is None or abs(now - was) < 1e-6:  # less is the rounding of clocks
        return ""
    sign, style = ("+", "red") if now >= was else ("-", "green")
    share = f" ({each.seconds_changed_by:+.0%})" if was else ""
    return Text(f"{sign}{duration(abs(now - was))}{share}", style=style)


def _value_lines(differences: Sequence[Difference]) -> Iterator[Text]:
    for each in differences:
        for name, values in each.values.items():
            yield Text.assemble((one_line(_title(each)), "bold"), f" {name}")
            for letter, value in zip("AB", values, strict=True):
                yield Text(f"  {letter}  {shortened(json.dumps(value, ensure_ascii=False), 200)}")


def _as_json(first: str, second: str, comparison: Comparison) -> dict[str, Any]:
    return {
        "runs": [first, second],
        "only_in_a": [{"path": node.path, "span_id": node.span.span_id} for node in comparison.only_in_first],
        "only_in_b": [{"path": node.path, "span_id": node.span.span_id} for node in comparison.only_in_second],
        "differences": [attrs.asdict(each, value_serializer=_plain) for each in comparison.differences],
    }


def _plain(instance: object, field: Any, value: Any) -> Any:
    del instance, field
    return str(value) if isinstance(value, SpanStatus) else value
