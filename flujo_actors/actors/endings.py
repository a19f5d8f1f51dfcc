"""How an incarnation ends, and what is told apart by it."""

from __future__ import annotations

from typing import TypeAlias

import attrs


@attrs.frozen
class Finished:
    """It stopped itself. OTP: the exit reason `normal`."""

    reason: str
    """What it said."""

    def __str__(self) -> str:
        return f"it stopped itself: {self.reason}"


@attrs.frozen
class ShutDown:
    """It was asked to stop, and did in time. OTP: `shutdown`."""

    reason: str
    """Why it was asked to."""

    def __str__(self) -> str:
        return f"it was stopped: {self.reason}"


@attrs.frozen
class Crashed:
    """An exception ended it: of its own code, or because its own supervision gave up."""

    error: Exception
    """The exception, with its traceback; an `ExceptionGroup` when there were several at once."""

    def __str__(self) -> str:
        return f"it crashed: {type(self.error).__name__}: {self.error}"


@attrs.frozen
class Killed:
    """It was cancelled. OTP: `killed`."""

    reason: str
    """Why: it did not stop in time, or what is around it was cancelled."""

    def __str__(self) -> str:
        return f"it was cancelled: {self.reason}"


Ending: TypeAlias = Finished | ShutDown | Crashed | Killed
"""How one incarnation of a child ended."""
