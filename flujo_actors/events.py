"""What a run tells its watchers while it goes on.

Each event says of which step it tells (`path`, `span_id`) and when it happened (`time`, wall clock, seconds since the
epoch). What a supervisor decides, it tells before it acts.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

from flujo_actors.failures import Failure
from flujo_actors.results import StepResult
from flujo_actors.spans import SpanStatus
from flujo_actors.usage import Usage

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


@attrs.frozen
class StepEvent:
    """Something happened to a step."""

    path: str
    """The step's path, empty for the pipeline itself."""
    span_id: str
    time: float = attrs.field(kw_only=True)
    """Wall clock, seconds since the epoch."""


@attrs.frozen
class StepStarted(StepEvent):
    """A step's first attempt begins."""

    parent_span_id: str | None
    """The span of the step around it, `None` for the pipeline itself."""
    kind: str
    """The class of the step."""
    name: str
    """What the step itself is called. Among its siblings it may be another: see the end of `path`."""
    attributes: Mapping[str, Any] = _NOTHING
    """Its `iteration`, `branch` or `item`, where it is one of several."""


@attrs.frozen
class IterationStarted(StepEvent):
    """A loop or a refinement begins a further round."""

    iteration: int
    """From 1."""


@attrs.frozen
class ChunkProduced(StepEvent):
    """A streaming agent has made a part of its output."""

    attempt: int
    """The number of the attempt that made it: what earlier attempts made counts no more."""
    number: int
    """The number of the chunk in its attempt, from 1."""
    chunk: Any


@attrs.frozen
class UsageCharged(StepEvent):
    """An agent has spent something."""

    usage: Usage
    """What this charge was."""
    total: Usage
    """What the step has spent with it, all attempts included."""


@attrs.frozen
class AttemptFailed(StepEvent):
    """An attempt failed, the last one or not."""

    attempt: int
    """The number of the attempt, from 1."""
    failure: Failure


@attrs.frozen
class StepRetried(StepEvent):
    """A step whose attempt failed is tried again."""

    attempt: int
    """The number of the attempt that comes."""
    delay: float
    """Seconds until it begins."""
    failure: Failure
    """How the one before failed."""


@attrs.frozen
class StepFellBack(StepEvent):
    """A step has failed for good, and its fallback runs in its stead."""

    fallback: str
    """The path of the fallback."""
    failure: Failure


@attrs.frozen
class BranchesMerged(StepEvent):
    """What branches or items wrote side by side was merged into the context."""

    branches: tuple[str, ...]
    """Those that succeeded, in the order in which they were merged."""


@attrs.frozen
class MergeConflictFound(StepEvent):
    """What branches wrote cannot be merged, and nothing of it was."""

    failure: Failure
    """The step's failure, which names every conflict."""


@attrs.frozen
class StepEnded(StepEvent):
    """A step has ended for good, one way or another."""

    status: SpanStatus
    result: StepResult
    usage: Usage
    """What the step has spent, all attempts and all that is inside it included."""


@attrs.frozen
class EventsMissed:
    """The watcher was too slow, and this many events before the next one were dropped for it."""

    count: int


RunEvent: TypeAlias = (
    StepStarted
    | IterationStarted
    | ChunkProduced
    | UsageCharged
    | AttemptFailed
    | StepRetried
    | StepFellBack
    | BranchesMerged
    | MergeConflictFound
    | StepEnded
    | EventsMissed
)
