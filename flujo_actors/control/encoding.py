"""Events and snapshots as JSON values, no larger than stated, and back.

A run may put anything into its events, a failure with ten thousand branches for one. What is told of it to another
process is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, get_args

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, override

from flujo_actors.capture import USUAL, Capture
from flujo_actors.events import RunEvent
from flujo_actors.failures import Failure
from flujo_actors.results import StepResult
from flujo_actors.snapshots import ActorSnapshot, ActorState
from flujo_actors.usage import Usage

FAILURES_LIMIT: Final = 20
"""Failures that are told of one failure with all its causes."""

ACTORS_LIMIT: Final = 1_000
"""Actors that are told of a snapshot, those at the top first."""

_EVENTS: Final[Mapping[str, type[RunEvent]]] = {kind.__name__: kind for kind in get_args(RunEvent)}


@attrs.frozen
class ActorEntry:
    """One actor of a snapshot, flat."""

    path: str
    """The step's path, empty for the pipeline itself."""
    span_id: str
    parent_span_id: str | None
    """The actor above; `None` for that of the pipeline."""
    kind: str
    """The class of the step."""
    name: str
    """What the step itself is called."""
    state: ActorState
    attempt: int
    """Which attempt it is, from 1."""
    running_s: float
    """Seconds since the step's first attempt was spawned."""
    time_left_s: float | None
    """Seconds until a time limit stops it; `None` without any."""
    mailbox_length: int
    """Messages that wait in its mailbox."""
    attributes: Mapping[str, Any]
    """Its `iteration`, `branch` or `item`, where it is one of several."""


def event_to_json(event: RunEvent, capture: Capture = USUAL) -> dict[str, Any]:
    """An event: its class under `event`, its fields beside it.

    Args:
        event: the event.
        capture: shows the values in it that are the user's.
    """
    fields = {field.name: _encoded(getattr(event, field.name), capture) for field in attrs.fields(type(event))}
    return {"event": type(event).__name__, **fields}


def event_from_json(value: Mapping[str, Any]) -> RunEvent:
    """The event that `event_to_json` made `value` of, as far as it is told.

    Raises:
        Exception: it is none, with what cattrs says of it.
    """
    return CONVERTER.structure(value, _EVENTS[value["event"]])


def entries_of(snapshot: ActorSnapshot | None) -> tuple[ActorEntry, ...]:
    """The first `ACTORS_LIMIT` actors of a snapshot, level by level from the top."""
    entries: list[ActorEntry] = []
    waiting: deque[tuple[ActorSnapshot, str | None]] = deque([] if snapshot is None else [(snapshot, None)])
    while waiting and len(entries) < ACTORS_LIMIT:
        actor, parent = waiting.popleft()
        entries.append(_entry(actor, parent))
        waiting.extend((child, actor.span_id) for child in actor.children)
    return tuple(entries)


def _entry(actor: ActorSnapshot, parent_span_id: str | None) -> ActorEntry:
    return ActorEntry(
        path=USUAL.show(actor.path),
        span_id=actor.span_id,
        parent_span_id=parent_span_id,
        kind=USUAL.show(actor.kind),
        name=USUAL.show(actor.name),
        state=actor.state,
        attempt=actor.attempt,
        running_s=actor.running_s,
        time_left_s=actor.time_left_s,
        mailbox_length=actor.mailbox_length,
        attributes=USUAL.show(actor.attributes),
    )


def _encoded(value: object, capture: Capture) -> Any:
    match value:
        case Failure():
            return _Failures().encode(value)
        case StepResult():
            return _result(value)
        case Usage():
            return {**attrs.asdict(value), "cost_usd": float(value.cost_usd)}
        case _:
            return capture.show(value)


def _result(result: StepResult) -> dict[str, Any]:
    """Without the output, the branch of the context and the results of the children."""
    return {
        "name": USUAL.show(result.name),
        "success": result.success,
        "attempts": result.attempts,
        "latency_s": result.latency_s,
        "cost_usd": result.cost_usd,
        "token_counts": result.token_counts,
        "feedback": USUAL.show(result.feedback),
        "failure": None if result.failure is None else _Failures().encode(result.failure),
    }


@attrs.define
class _Failures:
    """Encodes a failure with its causes, as many of them as are told."""

    left: int = FAILURES_LIMIT

    def encode(self, failure: Failure) -> dict[str, Any]:
        self.left -= 1
        fields = ("domain", "message", "feedback", "step", "attempt", "phase", "exception_type", "running")
        return {
            **{name: USUAL.show(getattr(failure, name)) for name in fields},
            "cause": self.encode(failure.cause) if failure.cause is not None and self.left > 0 else None,
            "others": [self.encode(other) for other in failure.others if self.left > 0],
        }


def _new_converter() -> cattrs.Converter:
    converter = cattrs.Converter()
    converter.register_structure_hook(Decimal, lambda value, _: Decimal(str(value)))
    untold = override(omit=True)
    converter.register_structure_hook(Failure, make_dict_structure_fn(Failure, converter, exception=untold))
    of_result = make_dict_structure_fn(
        StepResult, converter, output=untold, step_history=untold, metadata=untold, branch=untold
    )
    converter.register_structure_hook(StepResult, of_result)
    return converter


CONVERTER: Final = _new_converter()
"""From JSON values to what they were told of."""
