"""What a supervisor and a child say to each other.

All of it is frozen data. A supervisor sends one `Start`; the child answers with exactly one report. Times are
remaining seconds, never deadlines of one machine's clock; a failure travels as data.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import attrs

from flujo_actors.context import ContextBranch
from flujo_actors.results import StepResult


@attrs.frozen
class Start:
    """Down: begin to work."""

    data: Any
    """The step's input."""
    branch: ContextBranch
    """The child's own branch of the context."""
    attempt: int = 1
    """Which attempt this is, from 1."""
    delay: float = 0.0
    """Seconds to wait first, the back-off of a retry."""
    timeout: float | None = None
    """Seconds the work may take once it has begun."""
    limit: float | None = None
    """The limit behind `timeout` as the user stated it, in seconds, for the text of the failure."""


@attrs.frozen
class Completed:
    """Up: the work is done."""

    child: str
    """The child's span id."""
    result: StepResult


@attrs.frozen
class Failed:
    """Up: the work failed, in the domain that `result.failure` names."""

    child: str
    """The child's span id."""
    result: StepResult


@attrs.frozen
class Cancelled:
    """Up: the child was stopped from outside; what it spent is in the result."""

    child: str
    """The child's span id."""
    result: StepResult


Report: TypeAlias = Completed | Failed | Cancelled
"""How a child ends: each child sends exactly one."""
