"""The one source of time and of identifiers in a run."""

from __future__ import annotations

import random
import time

import attrs
import trio


class RunClock:
    """Reads trio's clock, and states its readings as wall time.

    Wall time is taken once and carried on by trio's clock: durations in a trace stay right when the machine's
    clock is set in the middle of a run, and under `trio.testing.MockClock` they are mock seconds.
    """

    __slots__ = ("now", "wall_offset")

    def __init__(self) -> None:
        self.now = trio.lowlevel.current_clock().current_time
        """Seconds on trio's clock; differences count, not values."""
        self.wall_offset = time.time() - self.now()
        """What to add to a reading of `now` for the wall time, in seconds since the epoch."""

    def wall(self, now: float) -> float:
        """The wall time, in seconds since the epoch, of a reading of `now`."""
        return now + self.wall_offset


@attrs.define
class IdSource:
    """Makes the ids of runs and spans from one random source, which a simulation can seed."""

    random: random.Random

    def run_id(self) -> str:
        """32 hexadecimal digits, the form of a W3C trace id."""
        return f"{self.random.getrandbits(128):032x}"

    def first_span_number(self) -> int:
        """Where the span numbers of one run begin. They count up, so ids sort in the order of their making."""
        return self.random.getrandbits(62)
