"""What all actors of one system share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing

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


@asynccontextmanager
async def open_environment() -> AsyncGenerator[Environment, None]:
    """The surroundings for the actors that live in a block.

    Deadlines are watched until its end also when it is cancelled: an actor that cleans up may ask another one.
    """
    with closing(Reporter()) as reporter:
        async with open_inner_nursery() as nursery:
            environment = Environment(reporter, Deadlines())
            shield = trio.CancelScope(shield=True)
            nursery.start_soon(_watch, environment.deadlines, shield, name="the deadlines of questions")
            try:
                yield environment
            finally:
                shield.cancel()


async def _watch(deadlines: Deadlines, shield: trio.CancelScope) -> None:
    with shield:
        await deadlines.watch()
