"""Drawing a step as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from typing import ClassVar, Protocol

import attrs


class Drawable(Protocol):
    """What a drawing needs of a step."""

    runs_in_order: ClassVar[bool]
    """Whether the steps inside run one after another; otherwise side by side, or one of them."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def children(self) -> Sequence[tuple[str, Drawable]]:
        """The steps inside, in order, each with its name among its siblings."""
        ...

    @property
    def fallback(self) -> Drawable | None:
        """What runs when it fails."""
        ...


@attrs.frozen
class _Part:
    """Part of a chart: its lines, the nodes where arrows come in and go out, and the node that is all of it."""

    lines: tuple[str, ...]
    entry: str
    exit: str
    frame: str


def draw(root: Drawable) -> str:
    """The flowchart of a step: a box for a leaf, a frame for a composite, arrows in the order of running.

    Branches, of which all or one runs, stand in their frame without arrows; a dotted arrow leads to a fallback.
    """
    nodes = (f"s{number}" for number in count())
    return "\n".join(["flowchart TD", *(f"    {line}" for line in _draw(root.name, root, nodes).lines), ""])


def _draw(name: str, step: Drawable, nodes: Iterator[str]) -> _Part:
    part = _draw_alone(name, step, nodes)
    if step.fallback is None:
        return part
    fallback = _draw(step.fallback.name, step.fallback, nodes)
    arrow = f"{part.frame} -. fallback .-> {fallback.frame}"
    return attrs.evolve(part, lines=(*part.lines, *fallback.lines, arrow))


def _draw_alone(name: str, step: Drawable, nodes: Iterator[str]) -> _Part:
    node = next(nodes)
    if not step.children:
        return _Part((f'{node}["{_escaped(name)}"]',), node, node, node)
    parts = [_draw(child_name, child, nodes) for child_name, child in step.children]
    inside = [line for part in parts for line in part.lines]
    if step.runs_in_order:
        inside += [f"{before.exit} --> {after.entry}" for before, after in pairwise(parts)]
    frame = (f'subgraph {node}["{_escaped(name)}"]', *(f"    {line}" for line in inside), "end")
    if step.runs_in_order:
        return _Part(frame, parts[0].entry, parts[-1].exit, node)
    return _Part(frame, node, node, node)


def _escaped(text: str) -> str:
    """Text for between quotes. What could end it or mean something to Mermaid is written as an entity."""
    return "".join(mark if mark.isalnum() or mark in " _-.,:()" else f"#{ord(mark)};" for mark in text)
