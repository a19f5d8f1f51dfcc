"""Points in time and spans of time as they are written on the command line: callbacks of options."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Final

import click

_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def as_age(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """A span of time, such as `90s`, `2h`, `1d12h` or `3w`, in seconds.

    Raises:
        click.BadParameter: it is none.
    """
    if text is None:
        return None
    seconds = _seconds_of(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} is not a time such as 90s, 15m, 2h, 3d or 1w", context, parameter)
    return seconds


def as_moment(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """A point in time: ISO 8601, local where it names no zone, or how long ago. Wall clock, seconds since the epoch.

    Raises:
        click.BadParameter: it is none.
    """
    if text is None:
        return None
    ago = _seconds_of(text)
    if ago is not None:
        return time.time() - ago
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        problem = f"{text!r} is neither a time such as 2026-05-31T14:30 nor an age such as 2h or 3d"
        raise click.BadParameter(problem, context, parameter) from error


def _seconds_of(text: str) -> float | None:
    parts = _PART.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
