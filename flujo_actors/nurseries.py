"""Nurseries that a user of this library does not see, and so should not see in exceptions either."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import trio


@asynccontextmanager
async def open_inner_nursery() -> AsyncGenerator[trio.Nursery, None]:
    """A nursery that raises what was raised in it as it was, where it was just one thing.

    Trio wraps whatever leaves a nursery in an `ExceptionGroup`, and recommends to undo that where the nursery is an
    implementation detail (trio's documentation, "Designing for multiple errors"). Several errors stay a group.
    """
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except BaseExceptionGroup as group:
        error = sole_error(group)
        if error is group:
            raise
        # Raising sets the context, to the group; what the error had of its own is kept.
        context = error.__context__
        try:
            raise error
        finally:
            error.__context__ = context
            del error, context


def sole_error(error: BaseException) -> BaseException:
    """What is inside of groups of one, however deep; a group of several is what it is."""
    inside = exceptions_in(error)
    return error if len(inside) != 1 else sole_error(inside[0])


def exceptions_in(error: BaseException) -> tuple[BaseException, ...]:
    """The members of a group; none for an exception that is no group."""
    if not isinstance(error, BaseExceptionGroup):
        return ()
    return cast("BaseExceptionGroup[BaseException]", error).exceptions
