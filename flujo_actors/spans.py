"""Spans: what each actor of a run did, when, and with what outcome.

A span is made once, when its actor has ended, and never changes. It travels flat, with the id of its parent;
`build_trace` puts the spans of a run together as one tree of plain dicts, `flatten_trace` takes a tree apart.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Protocol

import attrs

from flujo_actors.failures import Failure
from flujo_actors.frozen import frozen
from flujo_actors.usage import Usage

ROOT_SPAN_NAME: Final = "pipeline_run"
"""The name of every run's root span."""


FAILURE_CHARACTERS: Final = 8192
"""Characters that a span, or a run's record, keeps of one text of a failure: an exception may quote a whole answer, and
its text stands in the spans of all steps around it."""


class SpanStatus(enum.StrEnum):
    """How far an actor, or a whole run, has come."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    """It was running when its process died. Nobody lives to write this: it is what a reader concludes."""


@frozen
class Span:
    """What one actor did, flat."""

    span_id: str
    """16 hexadecimal digits, unique in its run."""
    parent_span_id: str | None
    """The span of the supervisor; `None` for the root."""
    name: str
    """The step's name among its siblings; `pipeline_run` for the root."""
    start_time: float
    """Wall clock, seconds since the epoch."""
    end_time: float | None
    """Wall clock, seconds since the epoch; `None` while the actor is running."""
    status: SpanStatus
    attributes: Mapping[str, Any]
    """What else is known, JSON values only.

    Always `path` (below the root) and `kind` (the class of the step). When they are not zero: `cost_usd`,
    `prompt_tokens`, `completion_tokens`, `other_tokens`, everything inside included. For a step that failed:
    `failure`, its texts abridged. For a step that was tried more than once: `attempts`, a timed entry for each try.
    What the kind of step has to say: `metadata`. In a run that is stored: `input` and `output`, shortened and redacted,
    and `writes`, the paths of the context at which an agent wrote.
    """

    def to_dict(self) -> dict[str, Any]:
        """The span as a node of a trace, without children."""
        return {
            "span_id": self.span_id,
            "parent_span_id": self.parent_span_id,
            "name": self.name,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "status": str(self.status),
            "attributes": dict(self.attributes),
            "children": [],
        }


@attrs.frozen
class Attempt:
    """One try of a step."""

    number: int
    """From 1."""
    start_time: float
    """Wall clock, seconds since the epoch."""
    end_time: float
    """Wall clock, seconds since the epoch."""
    status: SpanStatus
    usage: Usage
    """What this try spent."""
    failure: Failure | None

    def to_dict(self) -> dict[str, Any]:
        """The attempt as an entry of a span's attributes."""
        entry: dict[str, Any] = {
            "number": self.number,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "status": str(self.status),
            **usage_attributes(self.usage),
        }
        if self.failure is not None:
            entry["failure"] = failure_attributes(self.failure)
        return entry


class SpanSink(Protocol):
    """Where ended spans go. The storage actor is one; a run without storage has none."""

    def record_nowait(self, run_id: str, span: Span) -> None:
        """Take a span at once.

        Raises:
            trio.WouldBlock: there is no room.
        """
        ...

    async def record(self, run_id: str, span: Span) -> None:
        """Take a span, waiting for room. Cancelled while waiting, it has not taken the span."""
        ...

    def record_reserved(self, run_id: str, span: Span) -> None:
        """Take the span of an actor that was cancelled, beyond the room there is.

        Each actor alive may need this once, so what exceeds the room is bounded by the actors alive.
        """
        ...


def usage_attributes(usage: Usage) -> dict[str, Any]:
    """What was spent, without the zeros."""
    attributes: dict[str, Any] = {}
    if usage.cost_usd:
        attributes["cost_usd"] = float(usage.cost_usd)
    if usage.prompt_tokens:
        attributes["prompt_tokens"] = usage.prompt_tokens
    if usage.completion_tokens:
        attributes["completion_tokens"] = usage.completion_tokens
    if usage.other_tokens:
        attributes["other_tokens"] = usage.other_tokens
    return attributes


def failure_attributes(failure: Failure) -> dict[str, Any]:
    """A failure as JSON values, with its chain of causes; its texts abridged."""
    attributes: dict[str, Any] = {
        "domain": str(failure.domain),
        "message": abridged(failure.message),
        "feedback": abridged(failure.feedback),
        "step": failure.step,
        "attempt": failure.attempt,
    }
    if failure.exception_type is not None:
        attributes["exception_type"] = failure.exception_type
    if failure.exception is not None:
        attributes["traceback"] = abridged(failure.traceback or "")
    if failure.phase is not None:
        attributes["phase"] = failure.phase
    if failure.running:
        attributes["running"] = list(failure.running)
    if failure.cause is not None:
        attributes["cause"] = failure_attributes(failure.cause)
    if failure.others:
        attributes["others"] = [failure_attributes(other) for other in failure.others]
    return attributes


def abridged(text: str) -> str:
    """A text of a failure, without its middle when it is long: what matters stands at the beginning or at the end."""
    left_out = len(text) - FAILURE_CHARACTERS
    if left_out <= 0:
        return text
    kept = FAILURE_CHARACTERS // 2
    return f"{text[:kept]}… ({left_out:,} characters left out) …{text[-kept:]}"


def build_trace(spans: Iterable[Span], root_id: str | None = None) -> dict[str, Any] | None:
    """Put the spans of one run together as a tree, in time linear in their number but for sorting.

    Args:
        spans: the spans of one run, in any order. Those whose parent is missing (it had not ended when the
            process died) hang under the root.
        root_id: which span is the root; by default the one that has no parent.

    Returns:
        The root as nested dicts, children in the order of their start, or `None` when there is no root.
    """
    nodes = {span.span_id: span.to_dict() for span in sorted(spans, key=_in_order_of_start)}
    if root_id is None:
        root_id = next((span_id for span_id, node in nodes.items() if node["parent_span_id"] is None), None)
    root = nodes.get(root_id or "")
    if root is None:
        return None
    for node in nodes.values():
        if node is not root:
            nodes.get(node["parent_span_id"], root)["children"].append(node)
    return root


def flatten_trace(trace: Mapping[str, Any]) -> Iterator[Span]:
    """The spans of a tree as `build_trace` makes it, parents before children.

    Raises:
        KeyError: a node lacks one of the fields.
        ValueError: a node has an unknown status.
    """
    waiting: list[Mapping[str, Any]] = [trace]
    while waiting:
        node = waiting.pop()
        yield Span(
            span_id=node["span_id"],
            parent_span_id=node["parent_span_id"],
            name=node["name"],
            start_time=node["start_time"],
            end_time=node["end_time"],
            status=SpanStatus(node["status"]),
            attributes=dict(node["attributes"]),
        )
        waiting.extend(reversed(node["children"]))


def _in_order_of_start(span: Span) -> tuple[float, str]:
    """Spans that started in one tick of the clock keep the order of their ids, which rise within a run."""
    return span.start_time, span.span_id
