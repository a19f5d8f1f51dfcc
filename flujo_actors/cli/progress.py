"""Showing a run while it goes on: a live tree on a terminal, a line for each step otherwise."""

from __future__ import annotations

from typing import Protocol

import attrs
import trio
from rich.console import Console
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from flujo_actors.cli.text import STATUS_MARKS, STATUS_STYLES, as_text, duration, one_line, shortened
from flujo_actors.clock import RunClock
from flujo_actors.events import ChunkProduced, RunEvent, StepEnded, StepRetried, StepStarted
from flujo_actors.nurseries import open_inner_nursery
from flujo_actors.spans import SpanStatus

REFRESH_INTERVAL = 0.1
"""Seconds between two pictures of the live tree."""

CHILDREN_SHOWN = 20
"""Children of one step in the live tree; of more, the latest are shown."""


class Progress(Protocol):
    """Something that shows the events of a run."""

    async def show(self, events: trio.abc.ReceiveChannel[RunEvent]) -> None:
        """Show the events until they end. A checkpoint."""
        ...


class NoProgress:
    """Shows nothing."""

    async def show(self, events: trio.abc.ReceiveChannel[RunEvent]) -> None:
        """Close the channel at once."""
        await events.aclose()


@attrs.frozen
class ProgressLines:
    """A line when a step has ended, and when it is tried again."""

    console: Console
    with_chunks: bool = False
    """Whether there is one for each chunk of a streaming agent, too."""

    async def show(self, events: trio.abc.ReceiveChannel[RunEvent]) -> None:
        """Print until the events end."""
        async for event in events:
            if line := self._chunk_line(event) or _line(event):
                self.console.print(Text(line), soft_wrap=True)

    def _chunk_line(self, event: RunEvent) -> str:
        if not self.with_chunks or not isinstance(event, ChunkProduced):
            return ""
        return f"{event.path}: chunk {event.number}: {one_line(as_text(event.chunk))}"


@attrs.define(eq=False)
class _Node:
    """A step in the live tree."""

    name: str
    started_at: float
    """Wall clock, seconds since the epoch."""
    status: SpanStatus = SpanStatus.RUNNING
    note: str = ""
    children: list[_Node] = attrs.Factory(list["_Node"])
    left_out: int = 0
    """Earlier children that have ended and are shown no more."""

    def add(self, child: _Node) -> None:
        self.children.append(child)
        if len(self.children) > CHILDREN_SHOWN and self.children[0].status is not SpanStatus.RUNNING:
            del self.children[0]
            self.left_out += 1

    def label(self, now: float) -> Text:
        time_so_far = duration(max(now - self.started_at, 0.0)) if self.status is SpanStatus.RUNNING else ""
        mark, style = STATUS_MARKS[self.status], STATUS_STYLES[self.status]
        return Text.assemble((f"{mark} ", style), self.name, (f"  {time_so_far}{self.note}", "dim"))

    def draw(self, now: float) -> Tree:
        tree = Tree(self.label(now), guide_style="dim")
        if self.left_out:
            tree.add(Text(f"… {self.left_out} earlier", style="dim"))
        for child in self.children:
            tree.children.append(child.draw(now))
        return tree


class ProgressTree:
    """The tree of steps, drawn anew a few times a second until the run has ended."""

    def __init__(self, console: Console, title: str, *, with_chunks: bool = False) -> None:
        self._console = console
        self._title = title
        self._with_chunks = with_chunks
        self._clock = RunClock()
        self._root: _Node | None = None
        self._nodes: dict[str, _Node] = {}

    async def show(self, events: trio.abc.ReceiveChannel[RunEvent]) -> None:
        """Draw until the events end, then once more, and leave that picture standing."""
        with Live(console=self._console, auto_refresh=False, vertical_overflow="ellipsis") as live:
            async with open_inner_nursery() as nursery:
                nursery.start_soon(self._keep_drawing, live)
                async for event in events:
                    self._apply(event)
                nursery.cancel_scope.cancel("the run has ended")
            # While it runs, a tree taller than the window is cut; what stays on the screen is whole.
            live.vertical_overflow = "visible"
            self._draw(live)

    async def _keep_drawing(self, live: Live) -> None:
        while True:
            self._draw(live)
            await trio.sleep(REFRESH_INTERVAL)

    def _draw(self, live: Live) -> None:
        if self._root is not None:
            live.update(self._root.draw(self._clock.wall(self._clock.now())), refresh=True)

    def _apply(self, event: RunEvent) -> None:
        match event:
            case StepStarted(path, span_id, parent_span_id):
                self._add(_Node(self._name_of(path), event.time), span_id, parent_span_id)
            case ChunkProduced(_, span_id, _, number, chunk) if self._with_chunks:
                if node := self._nodes.get(span_id):
                    node.note = f"  chunk {number}: {shortened(as_text(chunk), 80)}"
            case StepRetried(_, span_id, attempt, _, failure):
                if node := self._nodes.get(span_id):
                    node.note = f"  attempt {attempt - 1} failed: {shortened(failure.feedback, 80)}"
            case StepEnded(_, span_id, status, result):
                if node := self._nodes.pop(span_id, None):
                    why = "" if result.failure is None else f"  {shortened(result.failure.feedback, 100)}"
                    node.status, node.note = status, f"{duration(result.latency_s)}{why}"
            case _:
                """The rest would only flicker by. Steps whose end was missed go on being shown as running."""

    def _name_of(self, path: str) -> str:
        return one_line(path.rpartition("/")[2] or self._title)

    def _add(self, node: _Node, span_id: str, parent_span_id: str | None) -> None:
        self._nodes[span_id] = node
        parent = self._nodes.get(parent_span_id or "")
        if parent is not None:
            parent.add(node)
        elif self._root is None:
            self._root = node


def _line(event: RunEvent) -> str:
    match event:
        case StepRetried(path, _, attempt, delay, failure):
            wait = f" in {duration(delay)}" if delay else ""
            return f"{path}: attempt {attempt - 1} failed, trying again{wait}: {one_line(failure.feedback)}"
        case StepEnded(path, _, status, result) if path:
            why = "" if result.failure is None else f": {one_line(result.failure.feedback)}"
            return f"{path}: {status} in {duration(result.latency_s)}{why}"
        case _:
            return ""
