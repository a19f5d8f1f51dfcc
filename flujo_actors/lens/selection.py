"""Choosing spans by status, name and path, and putting them in order."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable

import attrs

from flujo_actors.lens.tree import SpanNode, TraceTree
from flujo_actors.spans import SpanStatus


class Order(enum.StrEnum):
    """What spans are sorted by."""

    START = "start"
    """The first to start first."""
    DURATION = "duration"
    """The longest first."""
    COST = "cost"
    """The costliest first; of those that cost the same the one that took more tokens."""


@attrs.frozen
class Selection:
    """Which spans are wanted, in which order, and how many of them."""

    statuses: frozenset[SpanStatus] = frozenset()
    """Any of these; all when empty."""
    name: str | None = None
    """A pattern for the name, see `matches_path`."""
    path: str | None = None
    """A pattern for the path, see `matches_path`."""
    order: Order = Order.START
    limit: int | None = None
    """At most so many, the first in the order."""

    def of(self, trace: TraceTree) -> list[SpanNode]:
        """The spans of the trace that fit."""
        found = sorted(filter(self._fits(), trace.nodes), key=_key(self.order, trace))
        return found[: self.limit]

    def _fits(self) -> Callable[[SpanNode], bool]:
        name = None if self.name is None else _compiled(self.name)
        path = None if self.path is None else _compiled(self.path)
        return lambda node: (
            (not self.statuses or node.span.status in self.statuses)
            and (name is None or name.fullmatch(node.span.name) is not None)
            and (path is None or path.fullmatch(node.path) is not None)
        )


def matches_path(pattern: str, path: str) -> bool:
    """Whether a path fits a pattern.

    Args:
        pattern: a path in which `?` stands for one character and `*` for any, both within one name, and `**` for
            anything, over several names too. Everything else stands for itself, brackets too: `grow[3]/*`.
        path: the path of a step.
    """
    return _compiled(pattern).fullmatch(path) is not None


def _compiled(pattern: str) -> re.Pattern[str]:
    # Neighbouring stars are one, so that no pattern makes the search try every way to share out the text.
    parts: Iterable[str] = re.findall(r"\*+|\?|[^*?]+", pattern)
    meaning = {"?": "[^/]", "*": "[^/]*"}
    return re.compile(
        "".join(".*" if part.startswith("**") else meaning.get(part) or re.escape(part) for part in parts), re.DOTALL
    )


def _key(order: Order, trace: TraceTree) -> Callable[[SpanNode], tuple[float, ...]]:
    match order:
        case Order.START:
            return lambda node: (node.span.start_time,)
        case Order.DURATION:
            return lambda node: (round(node.span.start_time - trace.end_of(node), 6),)
        case Order.COST:
            return lambda node: (-node.cost_usd, -node.tokens)
