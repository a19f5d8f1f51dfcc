"""What all actors of one system share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from contextvars import Context

import attrs
import trio

from flujo_actors.actors.deadlines import Deadlines
from flujo_actors.actors.reporting import Reporter
from flujo_actors.nurseries import open_inner_nursery


@attrs.frozen
class Environment:
    """The surroundings of every actor of a system."""

    reporter: Reporter
    """Where events go."""
    deadlines: Deadlines
    """Of the questions."""
    new_context: Callable[[], Context]
    """Makes the context variables of a child that is being spawned."""


@asynccontextmanager
async def open_environment(new_context: Callable[[], Context]) -> AsyncGenerator[Environment, None]:
    """The surroundings for the actors that live in a block.

    Deadlines are watched until its end also when it is cancelled: an actor that cleans up may ask another one.

    Args:
        new_context: makes the context variables of a child, in the task that spawns it.
    """
    with closing(Reporter()) as reporter:
        async with open_inner_nursery() as nursery:
            environment = Environment(reporter, Deadlines(), new_context)
            shield = trio.CancelScope(shield=True)
            nursery.start_soon(_watch, environment.deadlines, shield, name="the deadlines of questions")
            try:
                yield environment
            finally:
                shield.cancel()


async def _watch(deadlines: Deadlines, shield: trio.CancelScope) -> None:
    with shield:
        await deadlines.watch()
