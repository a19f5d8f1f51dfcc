"""The base class of users' own actors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, TypeVarTuple, Unpack, overload

from flujo_actors.actors.asking import Reply
from flujo_actors.actors.messages import Message
from flujo_actors.actors.receiving import ActorIncarnation, Hooks, MessageT_contra
from flujo_actors.actors.references import ActorRef
from flujo_actors.actors.spawning import Spawner
from flujo_actors.actors.supervising import SupervisorChild

ReplyT = TypeVar("ReplyT")
Args = TypeVarTuple("Args")


class Behaviour(Hooks[MessageT_contra], Spawner):
    """What an actor does: its state is in its attributes, its work in the three hooks, of which `receive` is a must.

    An object of a subclass is one incarnation of an actor. When that crashes, the next one is made anew, by the same
    call. The methods beside the hooks work from `started` on.
    """

    __slots__ = ()

    @property
    def ref(self) -> ActorRef[MessageT_contra]:
        """The actor's own address, to be given to others."""
        return ActorRef(self._life.place)

    def stop(self, reason: str = "it has done its work") -> None:
        """Stop once the message that is being handled has been.

        Messages that are left are lost if the actor is not started again, and who asked them is told. An actor that
        means to end for good is spawned with `Restart.TRANSIENT` or `Restart.TEMPORARY`: a permanent one is started
        again.
        """
        self._life.finish(reason)

    @overload
    def reply_later(self, message: Message[ReplyT]) -> Reply[ReplyT]: ...
    @overload
    def reply_later(self, message: object) -> Reply[Any]: ...
    def reply_later(self, message: object) -> Reply[Any]:
        """Take on to answer the message that is being handled later; what `receive` returns is no answer then.

        If the incarnation ends before, the asker is told, at once.

        Raises:
            RuntimeError: this is not the message that is being handled, or its answer was put off already.
        """
        return self._life.reply_later(message)

    def start_soon(self, function: Callable[[Unpack[Args]], Awaitable[object]], *args: *Args) -> None:
        """Start a task beside the one that handles messages. What it raises is a crash of this incarnation.

        It is cancelled when the incarnation ends. It runs between any two checkpoints of `receive`; what concerns
        the actor's state is best sent to the actor as a message.
        """
        self._life.root.nursery.start_soon(function, *args)

    def _supervisor(self) -> SupervisorChild:
        return self._life.root.supervisor()

    @property
    def _life(self) -> ActorIncarnation:
        incarnation: ActorIncarnation | None = getattr(self, "_incarnation", None)
        if incarnation is None:
            raise RuntimeError(f"this {type(self).__name__} is not alive yet: its own methods work from `started` on")
        return incarnation
