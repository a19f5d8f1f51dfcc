"""A child, and its incarnations.

A *child* is a place under a supervisor: a specification, a path, a mailbox. It stays when what lives in it crashes,
so references to it stay good, and so do the messages in its mailbox. An *incarnation* is one life in that place: a
kernel actor, with a task and a cancel scope. A child has at most one at a time.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Iterable
from typing import Any, Protocol, TypeAlias

import attrs
import trio

from flujo_actors.actor import Actor
from flujo_actors.actors.endings import Crashed, Ending, Finished, Killed, ShutDown
from flujo_actors.actors.environment import Environment
from flujo_actors.actors.events import ChildStopped
from flujo_actors.actors.specifications import ChildSpecification, Restart
from flujo_actors.mailbox import Mailbox
from flujo_actors.nurseries import split_cancelled


class ActorState(enum.StrEnum):
    """What a child is doing."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    """Its last incarnation has ended, the next one has not started yet."""
    STOPPING = "stopping"
    STOPPED = "stopped"
    """For good."""


class Above(Protocol):
    """Who wants to know what becomes of an incarnation. Both are called in its task, and neither waits nor raises."""

    def child_started(self, incarnation: Incarnation) -> None:
        """Its `started` has returned."""
        ...

    def child_ended(self, incarnation: Incarnation) -> None:
        """It has ended; `incarnation.ending` says how."""
        ...


class Child(abc.ABC):
    """A place under a supervisor."""

    def __init__(
        self,
        specification: ChildSpecification,
        path: str,
        supervisor: Child | None,
        environment: Environment,
        capacity: int,
    ) -> None:
        """Make a place that nothing lives in yet.

        Args:
            specification: what it is to be.
            path: the names of its supervisors and its own, joined by `/`.
            supervisor: the child that supervises it; `None` for the root of a tree.
            environment: what all actors of the system share.
            capacity: messages that wait in the mailbox before writers do.
        """
        self.specification = specification
        self.path = path
        self.supervisor = supervisor
        self.environment = environment
        self.mailbox: Mailbox[Any] = Mailbox(path, capacity)
        self.incarnation: Incarnation | None = None
        """The current one; also one that has ended, until its supervisor has noticed."""
        self.incarnations = 0
        """How many there have been."""
        self.ending: Ending | None = None
        """How the current one ended, once it has. A later one lets go of what an error's traceback keeps alive."""
        self.stopped = trio.Event()
        """Set when it has ended for good."""
        # An incarnation sees the context variables of whoever spawned the child, whoever starts it again.
        self._context = environment.new_context()

    @property
    def restart(self) -> Restart:
        """Whether it is started again when it has ended."""
        return self.specification.restart

    @property
    def state(self) -> ActorState:
        """What it is doing now."""
        incarnation = self.incarnation
        if self.stopped.is_set():
            return ActorState.STOPPED
        if incarnation is None or incarnation.ended.is_set():
            return ActorState.RESTARTING
        if incarnation.leaving is not None or incarnation.cancel_reason is not None:
            return ActorState.STOPPING
        if incarnation.started:
            return ActorState.RUNNING
        return ActorState.STARTING if self.incarnations == 1 else ActorState.RESTARTING

    def begin(self, nursery: trio.Nursery, above: Above) -> Incarnation:
        """Start the next incarnation in a nursery. Its `ready` is set when it has started, or has ended before."""
        incarnation = self.incarnate(above)
        self._context.run(lambda: nursery.start_soon(incarnation.run, name=self.path))
        return incarnation

    def incarnate(self, above: Above) -> Incarnation:
        """Make the next incarnation."""
        self.incarnations += 1
        self.ending = None
        self.incarnation = self._incarnation(above)
        return self.incarnation

    @abc.abstractmethod
    def _incarnation(self, above: Above) -> Incarnation:
        """An incarnation of the right kind."""

    def request_stop(self, reason: str) -> None:
        """Have the supervisor stop it for good. Once it is stopped, `stopped` is set."""
        if self.supervisor is not None:
            # A supervisor that has stopped takes no messages, and needs none: its children have been stopped too.
            self.supervisor.mailbox.deliver(StopChild(self, reason))

    def conclude(self) -> None:
        """Its last incarnation has ended and there will be no other: close the mailbox, let go of who waits."""
        if self.stopped.is_set():
            return
        self.stopped.set()
        unread = self._discard(self.mailbox.close())
        if self.supervisor is not None and self.ending is not None:
            self.environment.reporter.report(ChildStopped(self.path, self.ending, unread))

    def _discard(self, messages: Iterable[Any]) -> int:
        """Let go of the messages that nobody will read, and say how many anybody will miss."""
        return 0


class Incarnation(Actor[Any]):
    """One life of a child. Whatever ends it ends here, and is told to its supervisor."""

    __slots__ = ("above", "child", "drains", "ended", "ending", "leaving", "number", "ready", "started", "task")

    def __init__(self, child: Child, above: Above) -> None:
        super().__init__(child.path, child.mailbox)
        # Whatever is cancelled around it, its supervisor decides when its turn has come, so that the order holds.
        self.cancel_scope.shield = True
        self.child = child
        self.above = above
        self.number = child.incarnations
        """Which life of the child this is, from 1."""
        self.started = False
        """Whether it has started well."""
        self.ready = trio.Event()
        """Set when it has started, or has ended before."""
        self.leaving: ShutDown | Finished | None = None
        """Why it is to stop, once it is."""
        self.drains = False
        """Whether it first handles the messages that are in its mailbox, when it is to stop."""
        self.ended = trio.Event()
        """Set when it has ended."""
        self.ending: Ending | None = None
        """How it has."""
        self.task: trio.lowlevel.Task | None = None
        """The task that it lives in; there once it has begun."""

    @abc.abstractmethod
    async def live(self) -> Ending:
        """Start, call `has_started`, live until `leaving` is set, and say how it ended. What it raises is a crash."""

    def has_started(self) -> None:
        """Called by `live` when it has started well."""
        self.started = True
        self.ready.set()
        self.above.child_started(self)

    def request_stop(self, reason: str, *, final: bool) -> None:
        """Ask it to stop in an orderly way.

        Args:
            reason: why.
            final: whether it is for good. It then takes no more messages, and handles those that it has; otherwise
                they wait for the next incarnation.
        """
        if self.leaving is None:
            self.leaving, self.drains = ShutDown(reason), final
        if final:
            self.mailbox.seal()
        self.mailbox.wake()

    def start(self) -> None:
        """Take down in which task it lives."""
        self.task = trio.lowlevel.current_task()

    async def work(self) -> None:
        """Live, and take down what ended it."""
        # A task that is started in a cancelled scope runs up to its first checkpoint. No user's code should.
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self.ending = await self.live()
        except Exception as error:  # noqa: BLE001 - whatever user code raises ends just this incarnation
            self.ending = Crashed(error)
        except BaseExceptionGroup as group:
            errors, rest = split_cancelled(group)
            if errors is not None:
                self.ending = Crashed(errors)
            raise rest from None

    def stop(self) -> None:
        """Let everybody know. The mailbox stays open for the next incarnation."""
        if self.ending is None:
            self.ending = Killed(self.why_cancelled())
        self.child.ending = self.ending
        self.ready.set()
        self.ended.set()
        self.above.child_ended(self)

    @property
    def stopped(self) -> bool:
        """Whether it has ended; its mailbox may live on."""
        return self.ended.is_set()

    @property
    def interrupted(self) -> bool:
        """Whether something went through it that is meant for the whole program, `KeyboardInterrupt` for instance."""
        return isinstance(self.ending, Killed) and self.cancel_reason is None

    def why_cancelled(self) -> str:
        """Why it was cancelled, if it was."""
        return self.cancel_reason or "the program around it has ended"


@attrs.frozen(eq=False)
class ChildEnded:
    """To a supervisor: an incarnation of one of its children has ended."""

    incarnation: Incarnation


@attrs.frozen(eq=False)
class StopChild:
    """To a supervisor: stop a child for good."""

    child: Child
    reason: str


SupervisorMessage: TypeAlias = ChildEnded | StopChild
