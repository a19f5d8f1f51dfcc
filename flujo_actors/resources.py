"""Resources of a run that are opened with it, and closed with it."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any

import attrs

from flujo_actors.errors import ResourceError
from flujo_actors.failures import text_of


@asynccontextmanager
async def open_resources(given: Any, problems: list[str]) -> AsyncGenerator[Any, None]:
    """Open what of the resources can be opened, for the length of a block.

    A checkpoint as far as the resources are. They are closed in reverse order, also when the block is cancelled.

    Args:
        given: an async context manager; a mapping with some among its values; or anything else, which is left alone.
        problems: what could not be closed is added here, a sentence each: the work of the block is done by then.

    Yields:
        What the context manager gave; the mapping as a dict, with what they gave; or `given` itself.

    Raises:
        ResourceError: a resource could not be opened. Those before it have been closed.
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
        raise ResourceError(name, f"{type(error).__name__}: {text_of(error)}") from error
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
        """Close it. Nothing that passes through ends here: it is no business of a resource's."""
        try:
            await self.manager.__aexit__(kind, error, traceback)
        except Exception as problem:  # noqa: BLE001 - whatever closing a user's resource does
            self.problems.append(f"{self.name} could not be closed: {type(problem).__name__}: {text_of(problem)}")
        return False
