"""Failures as data: what went wrong, in which domain, at which step and attempt.

An exception of user code becomes a `Failure` once, at the step that ran it. From there on only the failure
travels: through messages, results, spans and storage. The texts stand here and nowhere else.
"""

from __future__ import annotations

import enum
import traceback
from collections.abc import Iterable
from functools import cached_property
from typing import cast

import attrs

from flujo_actors.errors import MergeConflictError
from flujo_actors.frozen import frozen


class FailureDomain(enum.StrEnum):
    """Where a failure came from. It decides whether a step is retried and what the feedback says."""

    AGENT = "agent"
    """The agent raised."""
    TIMEOUT = "timeout"
    """The step's time ran out."""
    PROCESSOR = "processor"
    """A prompt or output processor raised."""
    PLUGIN = "plugin"
    """A plugin said no, or raised."""
    VALIDATOR = "validator"
    """A validator said no, or raised."""
    CONTEXT = "context"
    """What the step left in the context cannot be kept there."""
    MERGE = "merge"
    """Branches changed the same thing, or could not be merged."""
    MAPPER = "mapper"
    """A function that maps inputs or outputs raised."""
    CONDITION = "condition"
    """A function that decides raised."""
    USAGE_LIMIT = "usage_limit"
    """More was spent than a limit allows."""
    RESOURCE = "resource"
    """A resource of the run could not be opened, and nothing ran."""
    STORAGE = "storage"
    """The run could not be stored, and was to fail then."""
    CANCELLED = "cancelled"
    """The step was stopped from outside."""


@frozen
class Failure:
    """One failure. Plain data but for `exception`, which stays in the process where it was raised."""

    domain: FailureDomain
    """Where it came from."""
    message: str
    """What the cause itself said: the text of the exception (its class's name when it has none), the reason of a
    cancellation."""
    feedback: str
    """The failure as one sentence, the text of `StepResult.feedback`."""
    step: str
    """The path of the step that failed."""
    attempt: int = 1
    """Which attempt of the step it was, from 1."""
    phase: str | None = None
    """What of the step it was besides the agent: `plugin 'Tone'`, `output processor 'strip'`."""
    exception_type: str | None = None
    """The name of the exception's class, when there was an exception."""
    cause: Failure | None = None
    """The failure that led to this one, when there was one. Of a step that was tried again: at the end of the chain,
    how attempts before the last one failed, as far as they failed in other domains."""
    others: tuple[Failure, ...] = ()
    """What led to it besides `cause`: the failures of the other branches; of a step whose fallback failed too, that of
    the fallback."""
    running: tuple[str, ...] = ()
    """For a timeout or a cancellation: the paths of the steps that were stopped in the middle of their work."""
    exception: BaseException | None = attrs.field(default=None, eq=False, repr=False)
    """The exception itself, with its traceback; `None` for a failure that was read back from storage."""

    def __str__(self) -> str:
        where = f"{self.step or 'the pipeline'}: {self.feedback}"
        stopped = [path for path in self.running if path != self.step]
        if stopped:
            where += f" (while running {', '.join(stopped)})"
        if self.phase is not None:
            where += f" ({self.phase})"
        if self.attempt > 1:
            where += f" (attempt {self.attempt})"
        return where if self.cause is None else f"{where}, {self._link_to(self.cause)} {self.cause}"

    def _link_to(self, cause: Failure) -> str:
        """An attempt before this one did not cause it."""
        is_earlier = cause.step == self.step and cause.attempt < self.attempt
        return "after" if is_earlier else "caused by"

    @cached_property
    def traceback(self) -> str | None:
        """The exception's traceback as text, `None` without an exception."""
        return None if self.exception is None else "".join(traceback.format_exception(self.exception))


def agent_failure(error: BaseException, *, step: str, attempt: int) -> Failure:
    """The agent of a step raised `error`."""
    return _from_exception(FailureDomain.AGENT, "Agent execution failed with", error, step=step, attempt=attempt)


def phase_failure(
    domain: FailureDomain, feedback: str, problem: BaseException | str, *, phase: str, step: str, attempt: int
) -> Failure:
    """A processor, plugin or validator raised, or said no; `feedback` is what to say before its reason."""
    if isinstance(problem, str):
        return Failure(
            domain, message=problem, feedback=f"{feedback}: {problem}", step=step, attempt=attempt, phase=phase
        )
    failure = _from_exception(domain, "", problem, step=step, attempt=attempt)
    return attrs.evolve(failure, feedback=f"{feedback}: {failure.message}", phase=phase)


def context_failure(error: BaseException, *, step: str, attempt: int) -> Failure:
    """The step's writes cannot be kept in the context."""
    return attrs.evolve(
        _from_exception(FailureDomain.CONTEXT, "", error, step=step, attempt=attempt),
        feedback=f"Context validation failed: {text_of(error)}",
    )


def user_function_failure(
    domain: FailureDomain, feedback: str, error: BaseException, *, step: str, attempt: int
) -> Failure:
    """A function that a step was given raised; `feedback` is what to say of it."""
    failure = _from_exception(domain, "", error, step=step, attempt=attempt)
    return attrs.evolve(failure, feedback=f"{feedback}: {failure.message}")


def wrapped_failure(cause: Failure, feedback: str, *, step: str, attempt: int) -> Failure:
    """A composite failed because a child did: in the child's domain, in the words of the composite."""
    return Failure(
        cause.domain,
        message=cause.message,
        feedback=feedback,
        step=step,
        attempt=attempt,
        cause=cause,
        running=cause.running,
    )


def after_attempts(failure: Failure, earlier: Iterable[Failure]) -> Failure:
    """The failure of a step's last attempt, with the attempts before at the end of its chain.

    Args:
        failure: how the last attempt failed.
        earlier: how those before it failed, in order. Of each other domain the last failure is kept.
    """
    by_domain = {each.domain: each for each in earlier if each.domain is not failure.domain}
    chained: Failure | None = None
    for each in sorted(by_domain.values(), key=lambda each: each.attempt):
        chained = with_last_cause(each, chained)
    return with_last_cause(failure, chained)


def with_last_cause(failure: Failure, last: Failure | None) -> Failure:
    """The failure with `last` at the end of its chain of causes."""
    if last is None:
        return failure
    return attrs.evolve(failure, cause=last if failure.cause is None else with_last_cause(failure.cause, last))


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


def merge_failure(error: BaseException, *, step: str, attempt: int) -> Failure:
    """What branches wrote cannot be merged."""
    failure = _from_exception(
        FailureDomain.MERGE, "Merging the branches failed with", error, step=step, attempt=attempt
    )
    if isinstance(error, MergeConflictError):
        failure = attrs.evolve(failure, feedback=failure.message)
    return failure


def usage_limit_failure(breach: str, *, running: tuple[str, ...]) -> Failure:
    """More was spent in the run than a limit allows."""
    return Failure(FailureDomain.USAGE_LIMIT, message=breach, feedback=breach, step="", running=running)


def resource_failure(error: BaseException) -> Failure:
    """A resource of the run could not be opened, or ended too early."""
    return attrs.evolve(_from_exception(FailureDomain.RESOURCE, "", error, step="", attempt=1), feedback=text_of(error))


def storage_failure(problem: str) -> Failure:
    """The run could not be stored, and was to fail then."""
    return Failure(FailureDomain.STORAGE, message=problem, feedback=f"Storage failed: {problem}", step="")


def _from_exception(domain: FailureDomain, prefix: str, error: BaseException, *, step: str, attempt: int) -> Failure:
    name, text = type(error).__name__, _own_text(error)
    return Failure(
        domain,
        message=text or name,
        feedback=f"{prefix} {name}: {text}" if text else f"{prefix} {name}",
        step=step,
        attempt=attempt,
        exception_type=name,
        exception=error,
    )


def text_of(error: BaseException) -> str:
    """What an exception says; the name of its class where it says nothing."""
    return _own_text(error) or type(error).__name__


def _own_text(error: BaseException) -> str:
    """The exception's own text; a user's `__str__` that raises must not hide the failure it belongs to."""
    if isinstance(error, BaseExceptionGroup):
        inside = cast("BaseExceptionGroup[BaseException]", error).exceptions
        return "; ".join(_named_text(each) for each in inside)
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - whatever a user's __str__ does
        return f"(no text: its __str__ raised {type(broken).__name__})"


def _named_text(error: BaseException) -> str:
    name, text = type(error).__name__, _own_text(error)
    return f"{name}: {text}" if text else name
