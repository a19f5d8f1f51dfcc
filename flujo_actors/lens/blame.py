"""What made a run fail, and which step wrote a value of the context."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import attrs

from flujo_actors.context.paths import Field, Path, parse_path
from flujo_actors.lens.tree import SpanNode, TraceTree, as_mapping, mappings_in

_MORE: Final = "…"
"""Stands among the paths that a step wrote when there are more than its span names."""


@attrs.frozen
class Blamed:
    """One failure in the chain from what a run says of itself down to what caused it."""

    failure: Mapping[str, Any]
    """As `failure_attributes` writes it."""
    depth: int
    """0 for the failure that the chain begins with; one more for each failure that is further down."""
    node: SpanNode | None
    """The span of the step that failed; `None` when the trace does not have it."""

    @property
    def step(self) -> str:
        """The path of the step that failed; empty for the pipeline."""
        return str(self.failure.get("step", ""))

    @property
    def is_last(self) -> bool:
        """Whether nothing is known that led to this failure."""
        return not _causes(self.failure)


@attrs.frozen
class Attribution:
    """A step that wrote a value of the context, or something in it or around it."""

    node: SpanNode
    paths: tuple[str, ...]
    """The paths it wrote that fit the one asked for. `("…",)` for a step that wrote more than its span names, none of
    which fits: it may have written this one too."""
    inside: bool
    """Whether a span below this one is also among those that wrote: what this one wrote may be only that."""


def failures_of(trace: TraceTree) -> list[Blamed]:
    """The failures of a run, each before those that led to it.

    Of a run that failed: the chain of its own failure. Of any other: the chains of the failures that did not make the
    step around them fail, and those of tries after which the step was tried again or fell back: what the run got over,
    or what stands before its interruption.
    """
    by_path = trace.by_path()
    if trace.root.failure is not None:
        return list(_chain(trace.root.failure, by_path))
    tops = (_top_failure(node) for node in trace.nodes)
    return [blamed for top in tops if top is not None for blamed in _chain(top, by_path)]


def writers_of(path: str, trace: TraceTree) -> list[Attribution] | None:
    """The steps that wrote what a path of the context has, the one that ended last first.

    Args:
        path: as in Python, `notes['k']` or `lines[3]`. A step that wrote the value as a whole counts, one that wrote
            something in it too.
        trace: the trace of the run.

    Returns:
        The steps, or `None` when the trace does not hold what steps wrote, as that of a run whose spans show no values.

    Raises:
        ValueError: it is not such a path.
    """
    wanted = _plain(parse_path(path))
    if not any("writes" in node.span.attributes or "input" in node.span.attributes for node in trace.nodes):
        return None
    fits = functools.cache(functools.partial(_overlap, wanted))  # a path in a loop is written again and again
    found: dict[SpanNode, tuple[str, ...]] = {}
    around: set[SpanNode] = set()
    for node in reversed(trace.nodes):  # children before parents
        written = _writes(node)
        fitting = tuple(filter(fits, written)) or tuple({_MORE}.intersection(written))
        if fitting:
            found[node] = fitting
            around.update(_ancestors(node, around))
    newest_first = sorted(found, key=trace.end_of, reverse=True)
    return [Attribution(node, found[node], node in around) for node in newest_first]


def _top_failure(node: SpanNode) -> Mapping[str, Any] | None:
    if node.failure is not None:
        return None if node.parent is not None and node.parent.failure is not None else node.failure
    failed = [failure for attempt in node.attempts if (failure := as_mapping(attempt.get("failure"))) is not None]
    return failed[-1] if failed else None


def _chain(first: Mapping[str, Any], by_path: Mapping[str, list[SpanNode]]) -> Iterator[Blamed]:
    """A failure and those that led to it, depth first."""
    waiting: list[tuple[Mapping[str, Any], int]] = [(first, 0)]
    while waiting:
        failure, depth = waiting.pop()
        yield Blamed(failure, depth, _failed_span(by_path.get(str(failure.get("step", "")), [])))
        waiting.extend((cause, depth + 1) for cause in reversed(_causes(failure)))


def _failed_span(candidates: list[SpanNode]) -> SpanNode | None:
    """Of the spans of one path the last that failed: earlier ones belong to earlier tries of a step around them."""
    failed = [node for node in candidates if not node.succeeded] or candidates
    return failed[-1] if failed else None


def _causes(failure: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    cause = as_mapping(failure.get("cause"))
    return [*([] if cause is None else [cause]), *mappings_in(failure.get("others"))]


def _writes(node: SpanNode) -> list[str]:
    writes = node.span.attributes.get("writes")
    return [str(each) for each in cast("list[object]", writes)] if isinstance(writes, list) else []


def _overlap(wanted: tuple[object, ...], written: str) -> bool:
    """Whether one of two paths is the beginning of the other."""
    try:
        parts = _plain(parse_path(written))
    except ValueError:
        return False
    shorter = min(len(wanted), len(parts))
    return wanted[:shorter] == parts[:shorter]


def _plain(path: Path) -> tuple[object, ...]:
    """The names, keys and indexes of a path: `notes.k` and `notes['k']` are asked for alike."""
    return tuple(part.name if isinstance(part, Field) else part.value for part in path)


def _ancestors(node: SpanNode, known: set[SpanNode]) -> Iterator[SpanNode]:
    """The spans around one, up to the first whose own are known already."""
    above = node.parent
    while above is not None and above not in known:
        yield above
        above = above.parent
