"""What a supervisor and a child say to each other.

All of it is frozen data. A supervisor sends one `Start`; the child answers with exactly one report. Times are
remaining seconds, never deadlines of one machine's clock; a failure travels as data.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

import attrs

from flujo_actors.context import ContextBranch
from flujo_actors.frozen import frozen
from flujo_actors.results import StepResult
from flujo_actors.spans import SpanStatus


@attrs.frozen
class TimeLimit:
    """How long an attempt may take."""

    seconds: float
    """What is left of the limit."""
    stated: float
    """The limit as the user stated it, for the text of the failure."""


@frozen
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
    limit: TimeLimit | None = None
    """How long the work may take once it has begun."""
    tried: int = 0
    """What the attempts before count as in `StepResult.attempts`: one each, for a loop its iterations."""
    feedback: str | None = None
    """What a plugin said of the output of an attempt before, the last time that one did."""


@frozen
class Completed:
    """Up: the work is done."""

    child: str
    """The child's span id."""
    result: StepResult

    status: ClassVar[SpanStatus] = SpanStatus.COMPLETED


@frozen
class Failed:
    """Up: the work failed, in the domain that `result.failure` names."""

    child: str
    """The child's span id."""
    result: StepResult

    status: ClassVar[SpanStatus] = SpanStatus.FAILED


@frozen
class Cancelled:
    """Up: the child was stopped from outside; what it spent is in the result."""

    child: str
    """The child's span id."""
    result: StepResult

    status: ClassVar[SpanStatus] = SpanStatus.CANCELLED


Report: TypeAlias = Completed | Failed | Cancelled
"""How a child ends: each child sends exactly one."""
