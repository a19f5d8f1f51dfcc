"""Starting actors and supervisors: what a system, a supervisor and an actor have in common."""

from __future__ import annotations

import abc
import functools
import math
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple, Unpack

import attrs

from flujo_actors.actors.children import ActorState
from flujo_actors.actors.receiving import ActorChild, Hooks
from flujo_actors.actors.references import ActorRef, Reference
from flujo_actors.actors.specifications import (
    DEFAULT_CAPACITY,
    DEFAULT_SHUTDOWN,
    OTP_DEFAULTS,
    ActorSpecification,
    Restart,
    Supervision,
    SupervisorSpecification,
)
from flujo_actors.actors.supervising import SupervisorChild
from flujo_actors.errors import ActorDefinitionError

MessageT = TypeVar("MessageT")
Args = TypeVarTuple("Args")


class Spawner(abc.ABC):
    """Starts actors and supervisors as the last children of a supervisor."""

    __slots__ = ()

    @abc.abstractmethod
    def _supervisor(self) -> SupervisorChild:
        """Whose children they become."""

    async def spawn(
        self,
        behaviour: Callable[[Unpack[Args]], Hooks[MessageT]],
        *args: *Args,
        name: str | None = None,
        restart: Restart = Restart.PERMANENT,
        shutdown: float = DEFAULT_SHUTDOWN,
        capacity: int = DEFAULT_CAPACITY,
    ) -> ActorRef[MessageT]:
        """Start an actor, and wait until its `started` has returned.

        A checkpoint. Cancelled, the actor is cancelled, and has ended when this raises.

        Args:
            behaviour: what makes the actor's behaviour, mostly its class; called in the actor's own task, and again
                each time the actor is started again.
            *args: what it is called with.
            name: its name among its siblings, by default that of the class. Equal ones are told apart: `Counter`,
                `Counter#2`.
            restart: whether the actor is started again when it has ended.
            shutdown: seconds that it has to stop in an orderly way before it is cancelled. 0 cancels it at once,
                `math.inf` waits as long as it takes.
            capacity: messages that wait in its mailbox before `tell` waits, at least 1.

        Raises:
            ActorStartError: making the behaviour or its `started` raised; that is the cause. It is not tried again.
            ActorDefinitionError: an option is none. Nothing has happened.
            ActorStoppedError: the supervisor has stopped, or is stopping.
        """
        if not callable(behaviour):
            raise ActorDefinitionError(
                name or type(behaviour).__name__,
                f"`spawn` takes a class and its arguments, to make each incarnation anew; got {behaviour!r}",
            )
        specification = ActorSpecification(
            name=_name_of(behaviour) if name is None else name,
            restart=restart,
            shutdown=shutdown,
            make=functools.partial(behaviour, *args),
            capacity=capacity,
        )
        return ActorRef(await self._supervisor().spawn(ActorChild, specification))

    async def spawn_supervisor(
        self,
        name: str,
        supervision: Supervision = OTP_DEFAULTS,
        *,
        restart: Restart = Restart.PERMANENT,
        shutdown: float = math.inf,
    ) -> SupervisorRef:
        """Start a supervisor that has no children yet.

        Started again after it has given up, it starts the children that it had.

        A checkpoint. Cancelled, there is no such supervisor.

        Args:
            name: its name among its siblings.
            supervision: its strategy, and how many restarts it puts up with.
            restart: whether it is started again when it has given up.
            shutdown: seconds that it has to stop its children before they are cancelled.

        Raises:
            ActorDefinitionError: an option is none. Nothing has happened.
            ActorStoppedError: the supervisor above has stopped, or is stopping.
        """
        specification = SupervisorSpecification(name=name, restart=restart, shutdown=shutdown, supervision=supervision)
        return SupervisorRef(await self._supervisor().spawn(SupervisorChild, specification))


@attrs.frozen
class SupervisorStatistics:
    """What a supervisor is doing."""

    state: ActorState
    incarnation: int
    """Which life of it this is, from 1."""
    children: tuple[str, ...]
    """The paths of its children, in the order in which they were started."""


class SupervisorRef(Reference[SupervisorChild], Spawner):
    """The address of a supervisor: start children in it, and stop it with all below it."""

    __slots__ = ()

    def statistics(self) -> SupervisorStatistics:
        """What the supervisor is doing now."""
        child = self._child
        return SupervisorStatistics(child.state, child.incarnations, tuple(each.path for each in child.children))

    def _supervisor(self) -> SupervisorChild:
        return self._child


def _name_of(function: Callable[..., Any]) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(function, "__name__", type(function).__name__)
