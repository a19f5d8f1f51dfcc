"""Where a system's supervisors report their decisions: to a log, and to whoever watches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

import trio

from flujo_actors.actors.events import ActorEvent, ChildFailed, GivingUp, Restarting
from flujo_actors.events import EventsMissed
from flujo_actors.watching import EVENT_BUFFER, Watchers

LOGGER: Final = logging.getLogger("flujo_actors.actors")

LEVELS: Final[Mapping[type[ActorEvent], int]] = {
    ChildFailed: logging.ERROR,
    GivingUp: logging.ERROR,
    Restarting: logging.WARNING,
}
"""How much an event is worth in the log; the others are `DEBUG`."""


class Reporter:
    """Takes the events of all supervisors of one system. Never waits, never raises."""

    def __init__(self) -> None:
        self._listeners: list[Callable[[ActorEvent], None]] = []
        self._watchers = Watchers(self._listeners)

    def report(self, event: ActorEvent) -> None:
        """Log an event and tell it to every reader."""
        error = event.error if isinstance(event, ChildFailed) else None
        LOGGER.log(LEVELS.get(type(event), logging.DEBUG), "%s", event, exc_info=error)
        for tell in tuple(self._listeners):
            tell(event)

    def watch(self) -> trio.MemoryReceiveChannel[ActorEvent | EventsMissed]:
        """The events from now on; a reader that lags more than `EVENT_BUFFER` behind misses those in between."""
        return self._watchers.watch(EVENT_BUFFER)

    def close(self) -> None:
        """End the streams."""
        self._watchers.close()
