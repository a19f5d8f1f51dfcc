"""Points in time and spans of time as they are written on the command line."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any, Final

import click

_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


class Age(click.ParamType[float]):
    """A span of time, such as `90s`, `2h`, `1d12h` or `3w`; in seconds."""

    name = "age"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        if isinstance(value, float):
            return value
        seconds = _seconds_of(str(value))
        if seconds is None:
            self.fail(f"{value!r} is not a time such as 90s, 15m, 2h, 3d or 1w", param, ctx)
        return seconds


class Moment(click.ParamType[float]):
    """A point in time: ISO 8601, local where it names no zone, or how long ago, such as `2h`. Wall clock, seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        if isinstance(value, float):
            return value
        ago = _seconds_of(str(value))
        if ago is not None:
            return time.time() - ago
        try:
            return datetime.fromisoformat(str(value)).timestamp()
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is neither a time such as 2026-05-31T14:30 nor an age such as 2h or 3d", param, ctx)


def _seconds_of(text: str) -> float | None:
    parts = _PART.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
