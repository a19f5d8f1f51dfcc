"""Showing a trace as a tree, on a terminal with each step's place in the run's time beside it."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from flujo_actors.cli.tables import print_lines
from flujo_actors.cli.text import STATUS_MARKS, STATUS_STYLES, amount, counted, duration, one_line
from flujo_actors.lens import SpanNode, TraceTree
from flujo_actors.spans import SpanStatus

LEVELS_DRAWN: Final = 100
"""Levels of which the guides are drawn; of a deeper step only those nearest to it. A level takes four columns."""

LEAST_WIDTH_FOR_BARS: Final = 70
"""Columns that a terminal needs for bars beside the tree."""

_TIME_WIDTH: Final = 9
_FULL, _LEFT_HALF, _RIGHT_HALF = "━", "╸", "╺"


@attrs.frozen
class TraceDisplay:
    """How much of a trace is shown."""

    depth: int | None = None
    """Only so many levels below the root."""
    only_failed: bool = False
    """Only steps that failed or were stopped, and what is around them."""
    bars: bool | None = None
    """Whether each step's place in the run's time is drawn; by default on a terminal that is wide enough."""

    def nodes(self, trace: TraceTree) -> list[SpanNode]:
        """The spans that are shown, in the order of the trace."""
        kept = trace.unsuccessful() if self.only_failed else None
        return [
            node
            for node in trace.nodes
            if (self.depth is None or node.depth <= self.depth) and (kept is None or node in kept)
        ]


def show_trace(trace: Mapping[str, Any], console: Console) -> None:
    """Print a trace as `StateBackend.get_trace` gives it."""
    print_lines(trace_lines(TraceTree.from_trace(trace), TraceDisplay(), console), console)


def trace_lines(trace: TraceTree, display: TraceDisplay, console: Console) -> Iterator[Text]:
    """A line for each span that is shown: status, name, duration, what was spent, what went wrong."""
    nodes = display.nodes(trace)
    shown = set(nodes)
    # Guides take half of a terminal at most: the names of deep steps shall stay readable.
    levels = max(2, console.width // 8) if console.is_terminal else LEVELS_DRAWN
    guided = list(_guided(nodes, levels))
    wide = console.is_terminal and console.width >= LEAST_WIDTH_FOR_BARS
    layout = _BarLayout.for_labels(guided, console.width) if (wide if display.bars is None else display.bars) else None
    for node, guide in guided:
        label = Text.assemble((guide, "dim"), _name(node))
        details = _details(node, trace, shown_below=all(child in shown for child in node.children))
        if layout is not None:
            yield layout.line(label, node, details, trace)
        else:
            yield _joined([label, Text(span_duration(node, trace), style="dim"), details])


def status_mark(status: SpanStatus) -> Text:
    """The sign of a status, in its colour."""
    return Text(STATUS_MARKS[status], style=STATUS_STYLES[status])


def span_line(node: SpanNode, trace: TraceTree) -> Text:
    """A span on a line of its own, by its path."""
    time = Text(span_duration(node, trace), style="dim")
    details = _details(node, trace, shown_below=True)
    return _joined([Text.assemble(status_mark(node.span.status), " ", (one_line(node.title), "bold")), time, details])


def span_duration(node: SpanNode, trace: TraceTree) -> str:
    """How long a span took, or has taken so far; empty when that is not known."""
    if node.seconds is not None:
        return duration(node.seconds)
    return duration(trace.latest - node.span.start_time) if node.span.status is SpanStatus.RUNNING else ""


def failure_text(failure: Mapping[str, Any]) -> Text:
    """A failure on one line: its domain and what it says."""
    domain, feedback = (one_line(str(failure.get(key, ""))) for key in ("domain", "feedback"))
    return Text(": ".join(part for part in (domain, feedback) if part), style="red")


def _name(node: SpanNode) -> Text:
    return Text.assemble(status_mark(node.span.status), " ", (one_line(node.span.name), "bold"))


def _guided(nodes: list[SpanNode], levels: int) -> Iterator[tuple[SpanNode, str]]:
    """Each node with what stands before it: the lines of the tree, of the last `levels` levels."""
    last_shown: dict[SpanNode | None, SpanNode] = {node.parent: node for node in nodes}
    pieces: list[str] = []
    """What the levels above the node draw on the lines of their descendants."""
    for node in nodes:
        del pieces[max(0, node.depth - 1) :]
        is_last = last_shown[node.parent] is node
        before = pieces[-levels:] if len(pieces) > levels else pieces
        cut = "⋯ " if len(pieces) > levels else ""
        yield node, "" if node.depth == 0 else cut + "".join(before) + ("└── " if is_last else "├── ")
        if node.depth:
            pieces.append("    " if is_last else "│   ")


def _details(node: SpanNode, trace: TraceTree, *, shown_below: bool) -> Text:
    attributes = node.span.attributes
    notes = [f"{key} {one_line(str(attributes[key]))}" for key in ("iteration", "item") if key in attributes]
    branch = one_line(str(attributes.get("branch", node.span.name)))
    notes += [f"branch {branch}"] if branch != one_line(node.span.name) else []
    notes += [counted(len(node.attempts), "attempt")] if node.attempts else []
    notes += [spent] if (spent := amount(node.cost_usd, node.tokens)) else []
    notes += [] if shown_below else [f"{counted(len(node.children), 'step')} inside"]
    parts = [Text(note, style="dim") for note in notes]
    return _joined([*parts, *([] if node.failure is None else [failure_text(node.failure)])])


def _joined(parts: Iterable[Text]) -> Text:
    return Text("  ").join(part for part in parts if part.plain)


@attrs.frozen
class _BarLayout:
    """Where on a line the tree ends and the bars begin, and how wide these are."""

    label_width: int
    bar_width: int

    @classmethod
    def for_labels(cls, guided: Iterable[tuple[SpanNode, str]], width: int) -> _BarLayout:
        longest = max((len(guide) + 2 + cell_len(one_line(node.span.name)) for node, guide in guided), default=0)
        return cls(label_width=min(longest, width * 2 // 5), bar_width=width // 4)

    def line(self, label: Text, node: SpanNode, details: Text, trace: TraceTree) -> Text:
        label.truncate(self.label_width, overflow="ellipsis", pad=True)
        time = Text(span_duration(node, trace).rjust(_TIME_WIDTH), style="dim")
        return Text.assemble(label, "  ", _bar(node, trace, self.bar_width), " ", time, "  ", details)


def _bar(node: SpanNode, trace: TraceTree, width: int) -> Text:
    """A span's place in the time of the run, each try in the colour of its outcome."""
    cells = [(" ", "")] * width
    for start, end, status in _pieces(node, trace):
        halves = [round(2 * width * (moment - trace.start) / (trace.seconds or 1.0)) for moment in (start, end)]
        first = min(max(0, halves[0]), 2 * width - 1)
        last = min(max(first + 1, halves[1]), 2 * width)
        for cell in range(first // 2, (last + 1) // 2):
            cells[cell] = (_glyph(cell, first, last), STATUS_STYLES[status])
    pieces = itertools.groupby(cells, key=lambda cell: cell[1])
    return Text.assemble(*(("".join(glyph for glyph, _ in group), style) for style, group in pieces))


def _glyph(cell: int, first: int, last: int) -> str:
    """A cell of a bar that reaches from one half of a cell to another."""
    if 2 * cell < first:
        return _RIGHT_HALF
    return _LEFT_HALF if 2 * cell + 1 >= last else _FULL


def _pieces(node: SpanNode, trace: TraceTree) -> Iterator[tuple[float, float, SpanStatus]]:
    yield node.span.start_time, trace.end_of(node), node.span.status
    for attempt in node.attempts:
        start, end, status = (attempt.get(key) for key in ("start_time", "end_time", "status"))
        if isinstance(start, float) and isinstance(end, float) and status in STATUS_STYLES:
            yield start, end, SpanStatus(status)
