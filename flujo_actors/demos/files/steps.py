"""For steps that work on files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

import trio

from flujo_actors import RetryPolicy

ArgumentsT = TypeVarTuple("ArgumentsT")
ResultT = TypeVar("ResultT")

ONCE: Final = RetryPolicy(max_attempts=1)
"""A file that is missing or broken is just that a moment later."""


async def in_thread(function: Callable[[*ArgumentsT], ResultT], *arguments: *ArgumentsT) -> ResultT:
    """Call a function that changes nothing. Cancelled, it is left to end by itself, its result unused."""
    return await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)
