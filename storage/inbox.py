"""What a system's runs send to its storage actor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import attrs
import trio

from flujo_actors.spans import Span
from flujo_actors.storage.records import RunRecord


def ignore(reason: str) -> None:
    """What a run does that does not mind not to be stored."""


@attrs.frozen(eq=False)
class RunStarted:
    """A run begins."""

    run: RunRecord
    on_failure: Callable[[str], None] = ignore
    """Called with the reason, each time that something of the run cannot be stored."""


SpanEnded: TypeAlias = tuple[str, Span]
"""An actor has ended: the run, and the actor's span. Of all messages there is but this one for each span, and making
a class of it would take longer than everything else that the trio thread does with it."""


@attrs.define(eq=False)
class RunEnded:
    """A run has ended; all its spans were sent before this."""

    run: RunRecord
    root: Span | None = None
    """Its root span, where that takes the place of one that was sent before."""
    settled: trio.Event = attrs.Factory(trio.Event)
    """Set when this and everything before it is stored, or is known not to be."""
    missing: tuple[str, ...] = ()
    """What is not stored, and why, as sentences. Final once it is settled."""

    def settle(self, missing: Iterable[str] = ()) -> None:
        """Say what is missing, and let go of who waits."""
        self.missing = tuple(missing)
        self.settled.set()


@attrs.frozen
class Stop:
    """Nothing comes after this."""


StorageMessage: TypeAlias = RunStarted | SpanEnded | RunEnded | Stop
