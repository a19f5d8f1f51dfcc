"""Calling what a user gave a composite step to decide or to map with."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from flujo_actors.failures import Failure


class Answer(NamedTuple):
    """What a user's function said: a value, or how it failed."""

    value: Any = None
    failure: Failure | None = None


async def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that may be `async`. A checkpoint when it is."""
    returned: Any = function(*arguments)
    return await returned if is_awaitable(returned) else returned


def is_awaitable(value: object) -> bool:
    """Whether there is something to wait for. A plain `bool`, so that an `Any` stays one for type checkers."""
    return isinstance(value, Awaitable)
