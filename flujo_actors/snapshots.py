"""The actors of a run at one moment."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from typing import Any

import attrs


class ActorState(enum.StrEnum):
    """What an actor is doing."""

    WAITING = "waiting"
    """It backs off before a further attempt, or waits for its turn."""
    RUNNING = "running"
    CANCELLING = "cancelling"
    """It was cancelled, and cleans up."""
    ENDED = "ended"
    """It has reported; its fallback runs, or its supervisor has not come to read the report."""


@attrs.frozen
class ActorSnapshot:
    """One actor and those below it, at one moment. Plain data: what the run does later does not show in it."""

    path: str
    """The step's path, empty for the pipeline itself."""
    span_id: str
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
    """Seconds until the nearest time limit stops it, its own or one above it in the run; `None` without any."""
    mailbox_length: int
    """Messages that wait in its mailbox."""
    attributes: Mapping[str, Any]
    """Its `iteration`, `branch` or `item`, where it is one of several."""
    children: tuple[ActorSnapshot, ...]
    """The actors below it, in the order in which they were spawned."""

    def walk(self) -> Iterator[ActorSnapshot]:
        """This actor and all below it, parents before children."""
        yield self
        for child in self.children:
            yield from child.walk()
