"""Resources of a run that are opened with it, and closed with it."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any

import attrs
import trio

from flujo_actors.errors import ResourceError
from flujo_actors.failures import text_of
from flujo_actors.nurseries import exceptions_in, is_only, split_cancelled


@asynccontextmanager
async def open_resources(given: Any, problems: list[str]) -> AsyncGenerator[Any, None]:
    """Open what of the resources can be opened, for the length of a block.

    A checkpoint as far as the resources are. They are closed in reverse order, also when the block is cancelled. A
    resource may cancel the block itself, one with a nursery of its own for instance, in which something has crashed.

    Args:
        given: an async context manager; a mapping with some among its values; or anything else, which is left alone.
        problems: what could not be closed is added here, a sentence each: the work of the block is done by then.

    Yields:
        What the context manager gave; the mapping as a dict, with what they gave; or `given` itself.

    Raises:
        ResourceError: a resource could not be opened, or has cancelled the block. The others have been closed.
    """
    async with AsyncExitStack() as stack:
        if isinstance(given, Mapping):
            opened: Any = {
                name: await _open(f"resource {name!r}", each, stack, problems) for name, each in given.items()
            }
        else:
            opened = await _open("the resource", given, stack, problems)
        yield opened


async def _open(name: str, value: Any, stack: AsyncExitStack, problems: list[str]) -> Any:
    if not isinstance(value, AbstractAsyncContextManager):
        return value
    try:
        opened = await value.__aenter__()
    except Exception as error:
        raise ResourceError(name, f"could not be opened: {_text_of(error)}") from error
    stack.push_async_exit(_Closing(name, value, problems).close)
    return opened


@attrs.frozen
class _Closing:
    name: str
    manager: AbstractAsyncContextManager[Any, Any]
    problems: list[str]

    async def close(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """Close it. Of what passes through, nothing ends here but a cancellation of the resource's own."""
        problem: Exception | None = None
        try:
            ends_it = bool(await self.manager.__aexit__(kind, error, traceback))
        except Exception as raised:  # noqa: BLE001 - whatever closing a user's resource does
            problem, ends_it = raised, True
        except BaseExceptionGroup as group:
            errors, rest = split_cancelled(group)
            self._note(errors)
            raise rest from None
        if ends_it and error is not None and is_only(error, (trio.Cancelled,)):
            await self._has_ended_the_block(problem)
        self._note(problem)
        return False

    async def _has_ended_the_block(self, problem: Exception | None) -> None:
        """Raise what it means that a cancellation went no further, unless there is another one from further out."""
        try:
            await trio.lowlevel.checkpoint_if_cancelled()
        except trio.Cancelled:
            self._note(problem)
            raise
        why = "" if problem is None else f": {_text_of(problem)}"
        raise ResourceError(self.name, f"ended while the run was using it{why}") from problem

    def _note(self, problem: Exception | None) -> None:
        if problem is not None:
            self.problems.append(f"{self.name} could not be closed: {_text_of(problem)}")


def _text_of(error: BaseException) -> str:
    """What was raised; of a nursery's group what is in it."""
    return text_of(error) if exceptions_in(error) else f"{type(error).__name__}: {text_of(error)}"
