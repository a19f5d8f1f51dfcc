"""From stored spans to the trace that a reader sees, and back.

What is stored is what was known when it was written. A reader knows more: the run has ended, or its process has
died. `settled_spans` and `trace_of` put both together; they write nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from flujo_actors.spans import ROOT_SPAN_NAME, Span, SpanStatus, build_trace, flatten_trace
from flujo_actors.storage.records import RunRecord

UNKNOWN_SPAN_ID: Final = "0" * 16
"""The id of a root that was not written and that no span names."""

_NUMBER: Final = re.compile(r"\[\d+\]$")


def spans_of(trace: Mapping[str, Any]) -> list[Span]:
    """The spans of a tree of nested dicts, checked to be one tree.

    Raises:
        KeyError: a node lacks a field.
        ValueError: a node has an unknown status or an id that another has, or names another parent than one above it.
    """
    spans = list(flatten_trace(trace))
    known: set[str | None] = {None}
    for span in spans:
        if span.span_id in known:
            raise ValueError(f"The trace has two spans of the id {span.span_id!r}")
        if span.parent_span_id not in known or (span.parent_span_id is None) is not (span is spans[0]):
            raise ValueError(f"The parent of span {span.span_id!r} is not above it: {span.parent_span_id!r}")
        known.add(span.span_id)
    return spans


def settled_spans(run: RunRecord, spans: Iterable[Span]) -> list[Span]:
    """The spans as they have to be seen now: in a run that is over, none is running."""
    if run.status is SpanStatus.RUNNING:
        return list(spans)
    return [_settled(run, span) if span.status is SpanStatus.RUNNING else span for span in spans]


def trace_of(run: RunRecord, spans: Sequence[Span]) -> dict[str, Any]:
    """The trace of a run whose settled spans are `spans`, completed where the root was not written."""
    trace = build_trace(spans)
    if trace is None:
        trace = build_trace([*spans, *_missing_ancestors(run, spans)])
    assert trace is not None, "the root is there or was just made"  # noqa: S101 - an invariant
    return trace


def _settled(run: RunRecord, span: Span) -> Span:
    if span.parent_span_id is None:
        return attrs.evolve(span, status=run.status, end_time=run.ended_at if span.end_time is None else span.end_time)
    return attrs.evolve(span, status=SpanStatus.INTERRUPTED)


def _missing_ancestors(run: RunRecord, spans: Sequence[Span]) -> list[Span]:
    """The root and the other ancestors of `spans` that were not written.

    An ancestor's id stands in its children, its place in the tree follows from their paths. One that has no
    written child is left out, since its id is nowhere.
    """
    children = _children_of_missing(spans)
    paths = {span_id: _path_above(orphans) for span_id, orphans in children.items()}
    starts = {span_id: min(orphan.start_time for orphan in orphans) for span_id, orphans in children.items()}
    root_id = _root_id(paths)
    id_at = {path: span_id for span_id, path in paths.items()} | {"": root_id}
    ancestors = [Span(root_id, None, ROOT_SPAN_NAME, run.started_at, run.ended_at, run.status, {})]
    status = SpanStatus.RUNNING if run.status is SpanStatus.RUNNING else SpanStatus.INTERRUPTED
    # The longest path first: an ancestor starts no later than those below it, which are then known.
    for span_id in sorted(filter(paths.get, paths), key=lambda each: len(paths[each]), reverse=True):
        path, start = paths[span_id], starts[span_id]
        above = next(id_at[place] for place in _places_above(path) if place in id_at)
        starts[above] = min(start, starts.get(above, start))
        name = path.rpartition("/")[2]
        ancestors.append(Span(span_id, above, name, start, None, status, {"path": path}))
    return ancestors


def _children_of_missing(spans: Sequence[Span]) -> dict[str, list[Span]]:
    """The spans whose parent was not written, by its id. No span of these is a root."""
    written = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    for span in spans:
        if span.parent_span_id is not None and span.parent_span_id not in written:
            children.setdefault(span.parent_span_id, []).append(span)
    return children


def _root_id(paths: Mapping[str, str]) -> str:
    """The one missing parent of first-level spans. When there are several, their spans are orphans of the root."""
    candidates = [span_id for span_id, path in paths.items() if not path]
    return candidates[0] if len(candidates) == 1 else UNKNOWN_SPAN_ID


def _path_above(orphans: Sequence[Span]) -> str:
    """The path of the parent that these spans have in common, empty for the root."""
    above = {_parent_path(orphan) for orphan in orphans}
    if len(above) > 1:  # the rounds of one loop, the items of one map
        above = {_NUMBER.sub("", path) for path in above}
    return min(above, key=len)


def _parent_path(span: Span) -> str:
    path = str(span.attributes.get("path", ""))
    if _NUMBER.search(path):  # a round as a whole: its parent is the loop
        return _NUMBER.sub("", path)
    above = path.rpartition("/")[0]
    # A span that is its round's only one carries the number itself: no span of the round stands between.
    return _NUMBER.sub("", above) if {"iteration", "item"} & span.attributes.keys() else above


def _places_above(path: str) -> Iterable[str]:
    """The paths of all possible ancestors, the nearest first, the root's last: `a[2]/b` is in `a[2]`, in `a`, in ``."""
    while path:
        whole = _NUMBER.sub("", path)
        path = whole if whole != path else path.rpartition("/")[0]
        yield path
