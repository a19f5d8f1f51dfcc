"""Failures as data: what went wrong, in which domain, at which step and attempt.

An exception of user code becomes a `Failure` once, at the step that ran it. From there on only the failure
travels: through messages, results, spans and storage. The texts stand here and nowhere else.
"""

from __future__ import annotations

import enum
import traceback
from typing import cast

import attrs


class FailureDomain(enum.StrEnum):
    """Where a failure came from. It decides whether a step is retried and what the feedback says."""

    AGENT = "agent"
    """The agent raised."""
    TIMEOUT = "timeout"
    """The step's time ran out."""
    CONTEXT = "context"
    """What the step left in the context cannot be kept there."""
    CANCELLED = "cancelled"
    """The step was stopped from outside."""


@attrs.frozen
class Failure:
    """One failure. Plain data but for `exception`, which stays in the process where it was raised."""

    domain: FailureDomain
    """Where it came from."""
    message: str
    """What the cause itself said: the text of the exception, the reason of a cancellation."""
    feedback: str
    """The failure as one sentence, the text of `StepResult.feedback`."""
    step: str
    """The path of the step that failed."""
    attempt: int = 1
    """Which attempt of the step it was, from 1."""
    exception_type: str | None = None
    """The name of the exception's class, when there was an exception."""
    cause: Failure | None = None
    """The failure that led to this one, when there was one."""
    running: tuple[str, ...] = ()
    """For a timeout or a cancellation: the paths of the steps that were stopped in the middle of their work."""
    exception: BaseException | None = attrs.field(default=None, eq=False, repr=False)
    """The exception itself, with its traceback; `None` for a failure that was read back from storage."""

    def __str__(self) -> str:
        where = f"{self.step or 'the pipeline'}: {self.feedback}"
        stopped = [path for path in self.running if path != self.step]
        if stopped:
            where += f" (while running {', '.join(stopped)})"
        if self.attempt > 1:
            where += f" (attempt {self.attempt})"
        return f"{where}, caused by {self.cause}" if self.cause is not None else where

    @property
    def traceback(self) -> str | None:
        """The exception's traceback as text, `None` without an exception."""
        return None if self.exception is None else "".join(traceback.format_exception(self.exception))


def agent_failure(error: BaseException, *, step: str, attempt: int) -> Failure:
    """The agent of a step raised `error`."""
    return _from_exception(FailureDomain.AGENT, "Agent execution failed with", error, step=step, attempt=attempt)


def context_failure(error: BaseException, *, step: str, attempt: int) -> Failure:
    """The step's writes cannot be kept in the context."""
    return attrs.evolve(
        _from_exception(FailureDomain.CONTEXT, "", error, step=step, attempt=attempt),
        feedback=f"Context validation failed: {_text_of(error)}",
    )


def timeout_failure(
    seconds: float, *, step: str, attempt: int, running: tuple[str, ...], cause: Failure | None = None
) -> Failure:
    """The step did not end within `seconds`."""
    return Failure(
        FailureDomain.TIMEOUT,
        message=f"the limit was {seconds} s",
        feedback=f"Timed out after {seconds} s",
        step=step,
        attempt=attempt,
        running=running,
        cause=cause,
    )


def cancelled_failure(
    reason: str, *, step: str, attempt: int, running: tuple[str, ...], cause: Failure | None = None
) -> Failure:
    """The step was cancelled from outside, for `reason`."""
    return Failure(
        FailureDomain.CANCELLED,
        message=reason,
        feedback=f"Cancelled: {reason}",
        step=step,
        attempt=attempt,
        running=running,
        cause=cause,
    )


def _from_exception(domain: FailureDomain, prefix: str, error: BaseException, *, step: str, attempt: int) -> Failure:
    name = type(error).__name__
    message = _text_of(error)
    return Failure(
        domain,
        message=message,
        feedback=f"{prefix} {name}: {message}" if message else f"{prefix} {name}",
        step=step,
        attempt=attempt,
        exception_type=name,
        exception=error,
    )


def _text_of(error: BaseException) -> str:
    """The exception's own text; a user's `__str__` that raises must not hide the failure it belongs to."""
    if isinstance(error, BaseExceptionGroup):
        inside = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return "; ".join(f"{type(each).__name__}: {_text_of(each)}" for each in inside)
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - whatever a user's __str__ does
        return f"(no text: its __str__ raised {type(broken).__name__})"
