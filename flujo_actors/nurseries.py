"""Nurseries that a user of this library does not see, and so should not see in exceptions either."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import NoReturn, cast

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
        raise_sole(group)


def raise_sole(group: BaseExceptionGroup[BaseException]) -> NoReturn:
    """Raise the one error in a nursery's group, which may be a group of the user's own, or the group of several."""
    error = group.exceptions[0] if len(group.exceptions) == 1 else group
    # Raising sets the context, to the group; what the error had of its own is kept.
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context
        del error, context, group  # this frame is in the error's traceback: it must not lead back to the error


def split_cancelled(
    group: BaseExceptionGroup[BaseException],
) -> tuple[ExceptionGroup[Exception] | None, BaseException]:
    """What of a group is a failure of user code, and what has to go on, from code with a nursery of its own.

    When that nursery is cancelled and errors are raised in it too, only the cancellation goes on: the code is
    being stopped anyway. A group that holds anything else, `KeyboardInterrupt` for instance, goes on whole.
    """
    cancelled, errors = group.split(trio.Cancelled)
    if cancelled is None or not isinstance(errors, ExceptionGroup):
        return None, group
    return cast("ExceptionGroup[Exception]", errors), cancelled


def tasks_upward() -> Iterator[trio.lowlevel.Task]:
    """The current task, the task in whose nursery it runs, and so on up to trio's own first one."""
    task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
    while task is not None:
        yield task
        task = None if task.parent_nursery is None else task.parent_nursery.parent_task


def exceptions_in(error: BaseException) -> tuple[BaseException, ...]:
    """The members of a group; none for an exception that is no group."""
    if not isinstance(error, BaseExceptionGroup):
        return ()
    return cast("BaseExceptionGroup[BaseException]", error).exceptions


def is_only(error: BaseException, types: tuple[type[BaseException], ...]) -> bool:
    """Whether an exception, or every one in a group, is of these types."""
    inside = exceptions_in(error)
    return all(is_only(each, types) for each in inside) if inside else isinstance(error, types)
