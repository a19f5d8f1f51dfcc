"""A trace as nodes that know their parent and their children, however deep it is.

Nothing here recurses, and everything takes time linear in the number of spans. What stands in a span's attributes
is taken as it comes: an attribute that is missing, or is not what this version writes there, reads as absent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final, Self, cast

import attrs

from flujo_actors.spans import Span, SpanStatus, flatten_trace

TOKEN_KEYS: Final = ("prompt_tokens", "completion_tokens", "other_tokens")

UNSUCCESSFUL: Final = frozenset({SpanStatus.FAILED, SpanStatus.CANCELLED, SpanStatus.INTERRUPTED})
"""What a span reads as that did not do what it was started for."""


@attrs.define(eq=False)
class SpanNode:
    """One span of a trace, and its place in it."""

    span: Span
    parent: SpanNode | None = attrs.field(repr=False)
    depth: int
    """0 for the root."""
    children: list[SpanNode] = attrs.field(factory=list["SpanNode"], repr=False)
    """In the order of their start."""

    @property
    def path(self) -> str:
        """The step's path below the root; empty for the root."""
        return str(self.span.attributes.get("path", ""))

    @property
    def title(self) -> str:
        """The path, or the name where there is no path: what to call the span where it stands alone."""
        return self.path or self.span.name

    @property
    def kind(self) -> str:
        """The class of the step; empty when it is not known."""
        return str(self.span.attributes.get("kind", ""))

    @property
    def succeeded(self) -> bool:
        """Whether the span neither failed nor was stopped. True also for one that is running."""
        return self.span.status not in UNSUCCESSFUL

    @property
    def failure(self) -> Mapping[str, Any] | None:
        """The failure as `failure_attributes` writes it; `None` without one."""
        return as_mapping(self.span.attributes.get("failure"))

    @property
    def attempts(self) -> list[Mapping[str, Any]]:
        """The tries of a step that was tried more than once, in order; empty for one that needed one."""
        return mappings_in(self.span.attributes.get("attempts"))

    @property
    def cost_usd(self) -> float:
        """US dollars spent by the step and everything in it."""
        return cost_of(self.span.attributes)

    @property
    def tokens(self) -> int:
        """Tokens spent by the step and everything in it."""
        return tokens_of(self.span.attributes)

    @property
    def seconds(self) -> float | None:
        """How long it took; `None` when it has no end."""
        return None if self.span.end_time is None else max(0.0, self.span.end_time - self.span.start_time)

    @property
    def own_cost_usd(self) -> float:
        """US dollars spent by the step itself, without what its children spent."""
        own = exact(self.cost_usd) - sum((exact(child.cost_usd) for child in self.children), Decimal(0))
        return max(0.0, float(own))

    @property
    def own_tokens(self) -> int:
        """Tokens spent by the step itself, without what its children spent."""
        return max(0, self.tokens - sum(child.tokens for child in self.children))

    def own_seconds(self) -> float | None:
        """How long the step ran while none of its children did; `None` when it has no end."""
        ended = self.span.end_time
        if ended is None:
            return None
        busy, reached = 0.0, self.span.start_time
        for child in self.children:
            end = ended if child.span.end_time is None else min(child.span.end_time, ended)
            busy += max(0.0, end - max(reached, child.span.start_time))
            reached = max(reached, end)
        return max(0.0, ended - self.span.start_time - busy)


@attrs.frozen(eq=False)
class TraceTree:
    """A whole trace."""

    nodes: list[SpanNode]
    """Every span, parents before children, children in the order of their start. The root is the first."""
    latest: float
    """The last moment that the trace knows of; wall clock, seconds since the epoch."""

    @classmethod
    def from_trace(cls, trace: Mapping[str, Any], *, now: float | None = None) -> Self:
        """The tree of a trace.

        Args:
            trace: the root as nested dicts, as `StateBackend.get_trace` gives it.
            now: for a run that goes on, the moment it is looked at; wall clock, seconds since the epoch.

        Raises:
            KeyError: a node lacks one of the fields.
            ValueError: a node has an unknown status.
        """
        nodes: dict[str, SpanNode] = {}
        for span in flatten_trace(trace):
            parent = None if span.parent_span_id is None else nodes.get(span.parent_span_id)
            if parent is None and nodes:  # an orphan hangs under the root
                parent = next(iter(nodes.values()))
            node = SpanNode(span, parent, 0 if parent is None else parent.depth + 1)
            if parent is not None:
                parent.children.append(node)
            nodes[span.span_id] = node
        moments = [*_moments(node.span for node in nodes.values()), *(() if now is None else (now,))]
        return cls(list(nodes.values()), max(moments))

    @property
    def root(self) -> SpanNode:
        """The span of the run."""
        return self.nodes[0]

    @property
    def start(self) -> float:
        """When the run started; wall clock, seconds since the epoch."""
        return self.root.span.start_time

    @property
    def seconds(self) -> float:
        """From the run's start to the last moment that is known of it."""
        return max(0.0, self.latest - self.start)

    def by_path(self) -> dict[str, list[SpanNode]]:
        """The spans of each path, in order of their start.

        A path has several spans where a composite step was tried again: each try runs its children anew.
        """
        found: dict[str, list[SpanNode]] = {}
        for node in self.nodes:
            found.setdefault(node.path, []).append(node)
        return found

    def unsuccessful(self) -> set[SpanNode]:
        """The spans that failed or were stopped, and all spans around them."""
        found: set[SpanNode] = set()
        for node in reversed(self.nodes):  # children before parents
            if not node.succeeded or any(child in found for child in node.children):
                found.add(node)
        return found

    def end_of(self, node: SpanNode) -> float:
        """When a span ended or, of one that has no end, the last moment that is known of the run."""
        return self.latest if node.span.end_time is None else node.span.end_time


def as_mapping(value: object) -> Mapping[str, Any] | None:
    """The value if it is a mapping."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else None


def mappings_in(value: object) -> list[Mapping[str, Any]]:
    """The mappings in a list; none when it is no list."""
    if not isinstance(value, list):
        return []
    entries = cast("list[object]", value)
    return [entry for each in entries if (entry := as_mapping(each)) is not None]


def tokens_of(attributes: Mapping[str, Any]) -> int:
    """All tokens that the attributes of a span or of an attempt tell of."""
    return sum(int(_number(attributes.get(key))) for key in TOKEN_KEYS)


def cost_of(attributes: Mapping[str, Any]) -> float:
    """The US dollars that the attributes of a span or of an attempt tell of."""
    return float(_number(attributes.get("cost_usd")))


def exact(cost_usd: float) -> Decimal:
    """A cost as the decimal number that it was written as."""
    return Decimal(repr(cost_usd))


def _number(value: object) -> int | float:
    return value if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)) else 0


def _moments(spans: Iterable[Span]) -> Iterator[float]:
    for span in spans:
        yield span.start_time
        if span.end_time is not None:
            yield span.end_time
