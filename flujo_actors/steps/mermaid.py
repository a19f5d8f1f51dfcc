"""Drawing a step as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count, pairwise
from typing import Protocol

import attrs


class Drawable(Protocol):
    """What a drawing needs of a step."""

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def children(self) -> Sequence[tuple[str, Drawable]]:
        """The steps inside, in order, each with its name among its siblings."""
        ...


@attrs.frozen
class _Part:
    """Part of a chart: its lines, and the nodes where arrows come in and go out."""

    lines: tuple[str, ...]
    entry: str
    exit: str


def draw(root: Drawable) -> str:
    """The flowchart of a step: a box for a leaf, a frame for a composite, arrows in the order of running."""
    nodes = (f"s{number}" for number in count())
    return "\n".join(["flowchart TD", *(f"    {line}" for line in _draw(root.name, root, nodes).lines), ""])


def _draw(name: str, step: Drawable, nodes: Iterator[str]) -> _Part:
    node = next(nodes)
    if not step.children:
        return _Part((f'{node}["{_escaped(name)}"]',), node, node)
    parts = [_draw(child_name, child, nodes) for child_name, child in step.children]
    arrows = [f"{before.exit} --> {after.entry}" for before, after in pairwise(parts)]
    inside = [line for part in parts for line in part.lines] + arrows
    frame = (f'subgraph {node}["{_escaped(name)}"]', *(f"    {line}" for line in inside), "end")
    return _Part(frame, parts[0].entry, parts[-1].exit)


def _escaped(text: str) -> str:
    """Text for between quotes. What could end it or mean something to Mermaid is written as an entity."""
    return "".join(mark if mark.isalnum() or mark in " _-.,:()" else f"#{ord(mark)};" for mark in text)
