"""What a streaming agent yields, as it comes, and what it amounts to."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from flujo_actors.steps.leaf import StreamOutput


async def gather_chunks(
    generator: AsyncGenerator[Any, None], stream_output: StreamOutput, tell: Callable[[int, Any], None]
) -> Any:
    """Take all chunks of a generator, and close it, also when it is cancelled.

    A checkpoint as far as the generator is one.

    Args:
        generator: the agent's.
        stream_output: what the output is.
        tell: called with the number of each chunk, from 1, and the chunk, as it comes.

    Returns:
        The chunks joined (texts, bytes, or lists); or the last one, `None` when there was none.

    Raises:
        TypeError: the chunks cannot be joined.
    """
    chunks: list[Any] = []
    number = 0
    async with aclosing(generator):
        async for chunk in generator:
            number += 1
            tell(number, chunk)
            if stream_output == "last":
                chunks = [chunk]
            else:
                chunks.append(chunk)
    if stream_output == "last":
        return chunks[0] if chunks else None
    return joined(chunks)


def is_stream(value: object) -> bool:
    """Whether it yields chunks. A plain `bool`, so that an `Any` stays one for type checkers."""
    return inspect.isasyncgen(value)


def joined(chunks: list[Any]) -> Any:
    """The chunks as one text, bytes or list; an empty text when there are none."""
    kinds = {type(chunk) for chunk in chunks}
    if kinds <= {str}:
        return "".join(chunks)
    if kinds == {bytes}:
        return b"".join(chunks)
    if kinds == {list}:
        return [item for chunk in chunks for item in chunk]
    names = ", ".join(sorted(kind.__name__ for kind in kinds))
    raise TypeError(
        f"chunks of {names} cannot be joined; yield only texts, bytes or lists, or say stream_output='last'"
    )
