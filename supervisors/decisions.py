"""What a supervisor does about a failed child. Pure functions: no clock, no randomness, no trio."""

from __future__ import annotations

import math
from typing import Final

from flujo_actors.failures import Failure
from flujo_actors.messages import TimeLimit
from flujo_actors.steps import RetryPolicy

SHORTEST_ATTEMPT: Final = 1e-6
"""Seconds that must be left to begin another attempt. What is less is a rounding error of the clock's readings."""


def retry_delay(policy: RetryPolicy, failure: Failure, *, attempts: int, elapsed: float, sample: float) -> float | None:
    """Whether a failed child is tried again, and when.

    Args:
        policy: the child's policy.
        failure: how its last attempt failed.
        attempts: how many attempts there were.
        elapsed: seconds since the first attempt began.
        sample: a random number from 0 to 1, for the jitter.

    Returns:
        Seconds to wait before the next attempt, or `None` to give up.

    Raises:
        Exception: whatever `policy.retry_if` raises.
    """
    if failure.domain not in policy.on or attempts >= policy.max_attempts:
        return None
    delay = backoff(policy, attempts, sample)
    if policy.total_timeout is not None and policy.total_timeout - (elapsed + delay) < SHORTEST_ATTEMPT:
        return None
    return delay if policy.retry_if is None or policy.retry_if(failure) else None


def backoff(policy: RetryPolicy, attempts: int, sample: float) -> float:
    """Seconds to wait after this many attempts: doubled each time, capped, then shortened by the jitter."""
    try:
        delay = math.ldexp(policy.backoff, attempts - 1)
    except OverflowError:
        delay = math.inf
    if policy.max_backoff is not None:
        delay = min(delay, policy.max_backoff)
    return delay * (1 - policy.jitter * sample)


def attempt_limit(policy: RetryPolicy, timeout: float | None, *, elapsed: float) -> TimeLimit | None:
    """How long the next attempt may take; `None` when nothing limits it.

    Args:
        policy: the child's policy.
        timeout: the step's own limit for one attempt, in seconds.
        elapsed: seconds from the first attempt's start to the next one's.
    """
    if policy.total_timeout is None:
        return None if timeout is None else TimeLimit(timeout, timeout)
    remaining = max(policy.total_timeout - elapsed, 0.0)
    if timeout is not None and timeout <= remaining:
        return TimeLimit(timeout, timeout)
    return TimeLimit(remaining, policy.total_timeout)
