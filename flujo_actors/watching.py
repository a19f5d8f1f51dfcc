"""Watching what happens: a stream of events for any number of readers, none of which can slow it down.

One policy for slow readers: whoever lags too far behind misses events, and is told how many.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final, Generic, TypeVar

import trio

from flujo_actors.events import EventsMissed

EventT = TypeVar("EventT")

EVENT_BUFFER: Final = 1024
"""Events that wait for one reader before it misses some."""


class Watchers(Generic[EventT]):
    """The readers of one stream of events."""

    def __init__(self, listeners: list[Callable[[EventT], None]]) -> None:
        """Have no readers yet.

        Args:
            listeners: whoever makes events calls each of these with every one. Readers are added here and removed.
        """
        self._listeners = listeners
        self._watchers: list[Watcher[EventT]] = []
        self._closed = False

    def watch(self, buffer: int) -> trio.MemoryReceiveChannel[EventT | EventsMissed]:
        """The events from now on, for `async for`; it ends with the stream.

        Args:
            buffer: events that wait for this reader before it misses some.
        """
        # One place is kept for a last `EventsMissed`.
        send, receive = trio.open_memory_channel[EventT | EventsMissed](buffer + 1)
        if self._closed:
            send.close()
        else:
            watcher: Watcher[EventT] = Watcher(send, self._leave)
            self._watchers.append(watcher)
            self._listeners.append(watcher.tell)
        return receive

    def close(self) -> None:
        """End the stream for every reader."""
        self._closed = True
        for watcher in tuple(self._watchers):
            watcher.close()
            self._leave(watcher)

    def _leave(self, watcher: Watcher[EventT]) -> None:
        with suppress(ValueError):  # it was found out before
            self._watchers.remove(watcher)
            self._listeners.remove(watcher.tell)


class Watcher(Generic[EventT]):
    """Sends one reader the events that it has room for."""

    def __init__(
        self,
        send: trio.MemorySendChannel[EventT | EventsMissed],
        leave: Callable[[Watcher[EventT]], None],
    ) -> None:
        self._send = send
        self._leave = leave
        self._missed = 0

    def tell(self, event: EventT) -> None:
        """Send the event, or count it as missed."""
        buffer = self._send.statistics()
        room = buffer.max_buffer_size - 1 - buffer.current_buffer_used
        if room < (2 if self._missed else 1):
            self._missed += 1
            return
        self._tell_what_was_missed()
        self._send_if_read(event)

    def close(self) -> None:
        """Say that no more events come."""
        self._tell_what_was_missed()
        self._send.close()

    def _tell_what_was_missed(self) -> None:
        if self._missed:
            self._send_if_read(EventsMissed(self._missed))
            self._missed = 0

    def _send_if_read(self, event: EventT | EventsMissed) -> None:
        try:
            self._send.send_nowait(event)
        except trio.BrokenResourceError:  # the reader has gone
            self._leave(self)
