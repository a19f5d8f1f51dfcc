"""How often is too often: the window of restarts, as in OTP's `supervisor.erl`. Pure functions."""

from __future__ import annotations


def with_restart(earlier: tuple[float, ...], now: float, period: float) -> tuple[float, ...]:
    """The times of the restarts that count from now on: those of the last `period` seconds, and this one.

    Args:
        earlier: the times of the restarts before, oldest first.
        now: the time of this one, on the same clock, in seconds.
        period: how long a restart counts, in seconds.
    """
    return (*(time for time in earlier if time >= now - period), now)


def too_many(counted: tuple[float, ...], intensity: int) -> bool:
    """Whether the restarts that count are more than a supervisor puts up with."""
    return len(counted) > intensity
