"""What a step's helpers answer."""

from __future__ import annotations

import enum
from typing import Any, Final

import attrs


class Unchanged(enum.Enum):
    """The type of `UNCHANGED`."""

    UNCHANGED = "unchanged"


UNCHANGED: Final = Unchanged.UNCHANGED
"""No new solution: `None` may be one."""


def _as_bool(value: bool) -> bool:  # noqa: FBT001 - a converter
    """Decided here, so that a value that is neither true nor false is the failure of who gave it."""
    return bool(value)


def _as_text(text: str | None) -> str | None:
    """Given as something else by untyped code, a list for instance, it still is to be told."""
    return None if text is None else str(text)


@attrs.frozen
class PluginOutcome:
    """What a plugin says of an output."""

    success: bool = attrs.field(converter=_as_bool)
    feedback: str | None = attrs.field(default=None, converter=_as_text)
    """Why not, when it says no."""
    redirect_to: Any = None
    """An agent to run on the step's input instead; its output goes through the plugins again."""
    new_solution: Any = UNCHANGED
    """What takes the place of the output, whatever its type."""


@attrs.frozen
class ValidationResult:
    """What a validator says of an output."""

    is_valid: bool = attrs.field(converter=_as_bool)
    feedback: str | None = attrs.field(default=None, converter=_as_text)
    """Why not, when it says no."""


@attrs.frozen
class RefinementCheck:
    """What a critic says of a generator's output."""

    is_complete: bool = attrs.field(converter=_as_bool)
    """Whether the output is good as it is."""
    feedback: Any = None
    """What the generator gets to do better with, when it is not."""
