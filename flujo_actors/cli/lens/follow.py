"""`flujo lens trace --follow`: a run while it goes on, read from the database again and again.

Each look opens the database, reads once and closes it: nothing is held that could be in the way of who writes.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final, Protocol

import attrs
import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from flujo_actors.cli.database import open_to_read
from flujo_actors.cli.lens.finding import find_run, find_trace, headline
from flujo_actors.cli.tables import print_lines
from flujo_actors.cli.terminal import cursor_given_back
from flujo_actors.cli.text import new_console
from flujo_actors.cli.traces import TraceDisplay, span_line, trace_lines
from flujo_actors.lens import SpanNode, TraceTree
from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord

INTERVAL: Final = 0.25
"""Seconds between two looks at the least."""

IDLE_SHARE: Final = 5
"""How many times as long as the last look took to wait before the next: a large trace takes no core of its own."""


def follow(name: str, database: Path | None, display: TraceDisplay, *, as_json: bool) -> None:
    """Show a run until it has ended, or its process has died.

    Args:
        name: the run as the user named it. Which one it is is found out once.
        database: the file, `None` for the default.
        display: how much of the trace is shown.
        as_json: whether spans and record are printed as JSON, one object on a line.
    """
    with open_to_read(database) as backend:
        run_id = find_run(backend, name).run_id
    console = new_console()
    if as_json:
        _watch(run_id, database, _JsonLines(display))
    elif not console.is_terminal:
        _watch(run_id, database, _Lines(display, console))
    else:
        _watch_live(run_id, database, display, console)


class _Picture(Protocol):
    """Something that shows a run as it is at one moment after the other."""

    def draw(self, run: RunRecord, trace: TraceTree) -> None: ...


def _watch(run_id: str, database: Path | None, picture: _Picture) -> None:
    while True:
        began = time.monotonic()
        with open_to_read(database) as backend:
            run, trace = find_trace(backend, run_id)
        picture.draw(run, trace)
        if run.status is not SpanStatus.RUNNING:
            return
        time.sleep(max(INTERVAL, IDLE_SHARE * (time.monotonic() - began)))


def _watch_live(run_id: str, database: Path | None, display: TraceDisplay, console: Console) -> None:
    # While the run goes on, what fits into the window is shown; the last picture stands whole in its place.
    with cursor_given_back(console), Live(console=console, auto_refresh=False, transient=True) as live:
        tree = _Tree(display, console, live)
        _watch(run_id, database, tree)
    print_lines(tree.lines, console)


@attrs.define(eq=False)
class _Tree:
    """The tree, drawn anew in its place."""

    display: TraceDisplay
    console: Console
    live: Live
    lines: list[Text] = attrs.Factory(list[Text])
    """The last picture, whole."""

    def draw(self, run: RunRecord, trace: TraceTree) -> None:
        self.lines = [headline(run), *trace_lines(trace, self.display, self.console)]
        self.live.update(Group(*map(_on_one_line, self._in_sight())), refresh=True)

    def _in_sight(self) -> list[Text]:
        """What fits into the window: the run, and the steps that began last."""
        room = max(4, self.console.height - 2)
        if len(self.lines) <= room:
            return self.lines
        hidden = len(self.lines) - room + 1
        return [*self.lines[:2], Text(f"… {hidden} earlier", style="dim"), *self.lines[hidden + 2 :]]


def _on_one_line(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "ellipsis"
    return line


@attrs.define(eq=False)
class _Lines:
    """A line for each span when it has ended."""

    display: TraceDisplay
    console: Console
    told: set[str] = attrs.Factory(set[str])

    def draw(self, run: RunRecord, trace: TraceTree) -> None:
        print_lines((span_line(node, trace) for node in _news(trace, self.display, self.told)), self.console)
        if run.status is not SpanStatus.RUNNING:
            print_lines([headline(run)], self.console)
        self.console.file.flush()


@attrs.define(eq=False)
class _JsonLines:
    """Each span when it has ended, and the run's record at the end, as objects on lines of their own."""

    display: TraceDisplay
    told: set[str] = attrs.Factory(set[str])

    def draw(self, run: RunRecord, trace: TraceTree) -> None:
        for node in _news(trace, self.display, self.told):
            entry = node.span.to_dict()
            del entry["children"]
            click.echo(json.dumps(entry))
        if run.status is not SpanStatus.RUNNING:
            click.echo(json.dumps(attrs.asdict(run)))


def _news(trace: TraceTree, display: TraceDisplay, told: set[str]) -> list[SpanNode]:
    """The spans that are no longer running and were not told of before, in the order of their end."""
    ended = [
        node
        for node in display.nodes(trace)
        if node.span.status is not SpanStatus.RUNNING and node.span.span_id not in told
    ]
    told.update(node.span.span_id for node in ended)
    return sorted(ended, key=trace.end_of)
