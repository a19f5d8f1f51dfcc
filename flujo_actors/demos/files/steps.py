"""For steps that work on files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

import trio

from flujo_actors import Failure, RetryPolicy
from flujo_actors.demos.files.reading import ReadingError

ArgumentsT = TypeVarTuple("ArgumentsT")
ResultT = TypeVar("ResultT")

ONCE: Final = RetryPolicy(max_attempts=1)
"""A file that is missing or broken is just that a moment later."""


def problem_of(failure: Failure) -> str:
    """What was wrong with a file, of a step that failed because of it."""
    while failure.cause is not None:
        failure = failure.cause
    error = failure.exception
    return error.problem if isinstance(error, ReadingError) else failure.feedback


async def in_thread(function: Callable[[*ArgumentsT], ResultT], *arguments: *ArgumentsT) -> ResultT:
    """Call a function that changes nothing. Cancelled, it is left to end by itself, its result unused."""
    return await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)
