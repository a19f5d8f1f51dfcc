"""The deadlines of all questions of a system, watched by one task.

A cancel scope around each `ask` would cost nearly as much as the asking. Questions that are given equal times run out
in the order in which they were asked, so a queue for each length of time is sorted by itself, and the one task waits
for the earliest of their heads.
"""

from __future__ import annotations

import math
from typing import Protocol

import trio


class Expiring(Protocol):
    """What a deadline is set for."""

    def expire(self) -> None:
        """The deadline has passed."""
        ...


class Deadlines:
    """Sets deadlines, and makes them known when they pass. `watch` has to be running."""

    def __init__(self) -> None:
        self._queues: dict[float, dict[Expiring, float]] = {}
        """For each length of time, what it was given to, oldest first, and when it runs out."""
        self._next = math.inf
        """When the watching task looks again, at the latest."""
        self._scope = trio.CancelScope()

    def set(self, what: Expiring, seconds: float) -> None:
        """Have `what.expire()` called so many seconds from now, unless it is dropped before."""
        deadline = trio.current_time() + seconds
        self._queues.setdefault(seconds, {})[what] = deadline
        if deadline < self._next:
            self._next = self._scope.deadline = deadline

    def drop(self, what: Expiring, seconds: float) -> None:
        """Forget a deadline that was set, if it has not passed."""
        queue = self._queues.get(seconds)
        if queue is not None and queue.pop(what, None) is not None and not queue:
            del self._queues[seconds]

    async def watch(self) -> None:
        """Watch the deadlines until cancelled."""
        while True:
            with trio.CancelScope(deadline=self._next) as self._scope:
                await trio.sleep_forever()
            self._next = min(map(self._expire, tuple(self._queues)), default=math.inf)

    def _expire(self, seconds: float) -> float:
        """Let go of what has run out of this much time, and say when the next one will."""
        queue = self._queues[seconds]
        while queue:
            what, deadline = next(iter(queue.items()))
            if deadline > trio.current_time():
                return deadline
            self.drop(what, seconds)
            what.expire()
        return math.inf
