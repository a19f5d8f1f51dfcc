"""Where a tree of actors is rooted: in a system, or in an actor that has children of its own.

The root is a supervisor without a supervisor: when it gives up, its error goes on in the nursery around it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio

from flujo_actors.actors.children import Incarnation
from flujo_actors.actors.endings import Crashed
from flujo_actors.actors.environment import Environment
from flujo_actors.actors.specifications import Restart, Supervision, SupervisorSpecification
from flujo_actors.actors.supervising import SupervisorChild
from flujo_actors.nurseries import open_inner_nursery, tasks_upward


class Root:
    """The supervisor at the root, there once it has a first child: most actors never do."""

    def __init__(self, nursery: trio.Nursery, path: str, supervision: Supervision, environment: Environment) -> None:
        self.nursery = nursery
        """Where the supervisor runs, and what else shall end with it."""
        self.environment = environment
        """What all actors of the system share."""
        specification = SupervisorSpecification(
            name="root", restart=Restart.TEMPORARY, shutdown=math.inf, supervision=supervision
        )
        self._place = SupervisorChild(specification, path, None, environment)
        self._incarnation: Incarnation | None = None

    def supervisor(self) -> SupervisorChild:
        """The supervisor, which is started when it is first asked for."""
        if self._incarnation is None and not self._place.stopped.is_set():
            self._incarnation = self._place.incarnate(self)
            name = f"the supervisor below {self._place.path}" if self._place.path else "the supervisor of actors"
            self.nursery.start_soon(self._run, self._incarnation, name=name)
        return self._place

    def is_around_this_task(self) -> bool:
        """Whether the current task is that of somebody below, or one that such a one has started."""
        return any(task.parent_nursery is self.nursery for task in tasks_upward())

    async def stop(self, reason: str) -> None:
        """Stop all below, in an orderly way, and take nobody new."""
        if self._incarnation is None:
            self._place.conclude()
        else:
            self._incarnation.request_stop(reason, final=True)
            await self._incarnation.ended.wait()

    def cancel(self, reason: str) -> None:
        """Cancel all below, the last one started first, and take nobody new."""
        if self._incarnation is None:
            self._place.conclude()
        else:
            self._incarnation.cancel(reason)

    def child_started(self, incarnation: Incarnation) -> None:
        """Nobody is above to be told."""

    def child_ended(self, incarnation: Incarnation) -> None:
        """Nobody is above to start it again."""
        self._place.conclude()

    async def _run(self, incarnation: Incarnation) -> None:
        await incarnation.run()
        if isinstance(incarnation.ending, Crashed):
            raise incarnation.ending.error


@asynccontextmanager
async def open_root(path: str, supervision: Supervision, environment: Environment) -> AsyncGenerator[Root, None]:
    """A root for the length of a block. At its end what is below is stopped; if the block raises, it is cancelled.

    Tasks that were started in the root's nursery are cancelled when all below has stopped.

    Raises:
        RestartIntensityError: the supervisor at the root gave up.
    """
    async with open_inner_nursery() as nursery:
        root = Root(nursery, path, supervision, environment)
        try:
            yield root
            await root.stop("what it belongs to has ended")
        except BaseException as error:
            root.cancel(f"what it belongs to was ended by {type(error).__name__}")
            raise
        nursery.cancel_scope.cancel()
