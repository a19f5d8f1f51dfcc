"""What a run tells its watchers while it goes on."""

from __future__ import annotations

from typing import TypeAlias

import attrs

from flujo_actors.failures import Failure
from flujo_actors.results import StepResult
from flujo_actors.spans import SpanStatus


@attrs.frozen
class StepStarted:
    """A step's first attempt begins."""

    path: str
    """The step's path, empty for the pipeline itself."""
    span_id: str
    parent_span_id: str | None
    """The span of the step around it, `None` for the pipeline itself."""
    kind: str
    """The class of the step."""


@attrs.frozen
class AttemptFailed:
    """An attempt failed and the step is tried again."""

    path: str
    span_id: str
    attempt: int
    """The number of the attempt that failed, from 1."""
    failure: Failure
    retry_in: float
    """Seconds until the next attempt begins."""


@attrs.frozen
class StepEnded:
    """A step has ended for good, one way or another."""

    path: str
    span_id: str
    status: SpanStatus
    result: StepResult


@attrs.frozen
class EventsMissed:
    """The watcher was too slow, and this many events before the next one were dropped for it."""

    count: int


RunEvent: TypeAlias = StepStarted | AttemptFailed | StepEnded | EventsMissed
