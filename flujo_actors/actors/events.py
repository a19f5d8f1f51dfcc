"""What supervisors of actors tell their watchers: every decision before it is acted on, and what happened.

A child is named by its path: the names of its supervisors and its own, joined by `/`.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from flujo_actors.actors.endings import Ending


@attrs.frozen
class ChildStarted:
    """A child has started: its `started` has returned."""

    child: str
    """Its path."""
    incarnation: int
    """Which life of it this is, from 1."""

    def __str__(self) -> str:
        return f"started {self.child!r}, incarnation {self.incarnation}"


@attrs.frozen
class ChildFailed:
    """An exception ended a child, or kept it from starting. What is done about it comes next."""

    child: str
    """Its path."""
    incarnation: int
    """Which life of it this was."""
    error: Exception
    """The exception, with its traceback."""
    started: bool
    """Whether it had started."""

    def __str__(self) -> str:
        what = "crashed" if self.started else "could not be started"
        return f"{self.child!r} {what}, incarnation {self.incarnation}: {type(self.error).__name__}: {self.error}"


@attrs.frozen
class Restarting:
    """Decided: children are started again, because one of them has ended."""

    supervisor: str
    """Its path; empty for the system's own."""
    failed: str
    """The path of the child that has ended."""
    ending: Ending
    """How it has."""
    stop: tuple[str, ...]
    """The paths of the children that are stopped first, in this order."""
    start: tuple[str, ...]
    """The paths of the children that are started then, in this order."""
    restarts: int
    """How many restarts of the supervisor count now, this one included."""

    def __str__(self) -> str:
        stop = f" after stopping {', '.join(self.stop)}" if self.stop else ""
        return f"restarting {', '.join(self.start)}{stop}, because of {self.failed!r}: {self.ending}"


@attrs.frozen
class GivingUp:
    """Decided: there were too many restarts. The supervisor stops its children and fails upward."""

    supervisor: str
    """Its path; empty for the system's own."""
    failed: str
    """The path of the child that has ended once too often."""
    ending: Ending
    """How it has."""
    intensity: int
    """The restarts that the supervisor puts up with …"""
    period: float
    """… in this many seconds."""

    def __str__(self) -> str:
        who = repr(self.supervisor) if self.supervisor else "the system's supervisor"
        return f"{who} gives up because of {self.failed!r}: {self.ending}"


@attrs.frozen
class ChildStopping:
    """Decided: a child is stopped."""

    child: str
    """Its path."""
    reason: str

    def __str__(self) -> str:
        return f"stopping {self.child!r}: {self.reason}"


@attrs.frozen
class ChildStopped:
    """A child has ended for good."""

    child: str
    """Its path."""
    ending: Ending
    """How its last incarnation ended."""
    unread: int
    """Messages that were in its mailbox and that nobody will read."""

    def __str__(self) -> str:
        messages = "1 message" if self.unread == 1 else f"{self.unread} messages"
        unread = f", {messages} unread" if self.unread else ""
        return f"{self.child!r} has stopped{unread}: {self.ending}"


ActorEvent: TypeAlias = ChildStarted | ChildFailed | Restarting | GivingUp | ChildStopping | ChildStopped
"""What happens in the tree of a system's actors."""
