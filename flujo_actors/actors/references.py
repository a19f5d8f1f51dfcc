"""References: what others hold of an actor or a supervisor.

A reference addresses a child of a supervisor, not one incarnation of it, so it stays good when the child is started
again. It can be passed around freely: in messages, to other actors when they are made, as a resource of a run.
"""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar, cast, overload

import attrs
import trio

from flujo_actors.actors.asking import Question, ask
from flujo_actors.actors.children import ActorState, Child
from flujo_actors.actors.endings import Ending
from flujo_actors.actors.messages import Answered
from flujo_actors.actors.receiving import ActorChild
from flujo_actors.mailbox import MailboxStatistics

ChildT = TypeVar("ChildT", bound=Child)
MessageT = TypeVar("MessageT")
MessageT_contra = TypeVar("MessageT_contra", contravariant=True)
ReplyT = TypeVar("ReplyT")

DEFAULT_TIMEOUT: Final = 5.0
"""Seconds that an `ask` waits for the answer unless it says otherwise, as in OTP."""


@attrs.frozen
class ActorStatistics:
    """What an actor is doing."""

    state: ActorState
    incarnation: int
    """Which life of it this is, from 1."""
    handled: int
    """Messages handled until now, by all incarnations together."""
    mailbox: MailboxStatistics


class Reference(Generic[ChildT]):
    """What a reference to an actor and one to a supervisor have in common. Equal when they address the same one."""

    __slots__ = ("_child",)

    def __init__(self, child: ChildT) -> None:
        self._child = child

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and cast("Reference[Child]", other)._child is self._child

    def __hash__(self) -> int:
        return hash(self._child)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path!r}, {self.state}>"

    @property
    def path(self) -> str:
        """The names of its supervisors and its own, joined by `/`."""
        return self._child.path

    @property
    def state(self) -> ActorState:
        """What it is doing now."""
        return self._child.state

    async def stop(self, reason: str = "stopped through its reference") -> None:
        """Stop it for good, and wait until it has.

        It takes no more messages, handles those that it has, and stops; what takes longer than its `shutdown` is
        cancelled. One that has stopped before is left alone.

        A checkpoint. Cancelled, it is stopped all the same.

        Raises:
            RuntimeError: an actor cannot wait for its own end; in it, call `self.stop()`.
        """
        self._refuse_from_inside("stop()")
        self._child.request_stop(reason)
        await self._child.stopped.wait()

    async def wait_stopped(self) -> Ending:
        """Wait until it has stopped for good, and get to know how. A checkpoint."""
        await self._child.stopped.wait()
        assert self._child.ending is not None, "it has ended"  # noqa: S101 - an invariant
        return self._child.ending

    def _refuse_from_inside(self, call: str) -> None:
        incarnation = self._child.incarnation
        if incarnation is not None and incarnation.task is trio.lowlevel.current_task():
            raise RuntimeError(f"{self.path!r} cannot wait for itself: `ref.{call}` is for others")


class ActorRef(Reference[ActorChild], Generic[MessageT_contra]):
    """The address of an actor that takes these messages, whichever incarnation of it is alive."""

    __slots__ = ()

    async def tell(self, message: MessageT_contra) -> None:
        """Send a message, waiting while the mailbox is full. Senders get in in the order in which they came.

        A checkpoint. Cancelled, the message was not sent.

        Raises:
            ActorStoppedError: the actor has stopped for good, or is about to.
        """
        await self._child.mailbox.put(message)

    def tell_nowait(self, message: MessageT_contra) -> None:
        """Send a message, or raise.

        Raises:
            trio.WouldBlock: the mailbox is full.
            ActorStoppedError: the actor has stopped for good, or is about to.
        """
        self._child.mailbox.put_nowait(message)

    @overload
    async def ask(
        self: ActorRef[MessageT],
        message: Answered[MessageT, ReplyT],
        *,
        timeout: float = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - unlike a scope around it, it raises a typed error
    ) -> ReplyT: ...
    @overload
    async def ask(self, message: MessageT_contra, *, timeout: float = DEFAULT_TIMEOUT) -> object: ...  # noqa: ASYNC109
    async def ask(self, message: Any, *, timeout: float = DEFAULT_TIMEOUT) -> Any:  # noqa: ASYNC109
        """Send a message and wait for the answer.

        A checkpoint. Cancelled, just the asking is: an actor that had not begun with the message never will, one
        that had goes on, and its answer is dropped. The same holds when the deadline passes.

        Two actors that ask each other wait for each other until the deadline of one of them passes.

        Args:
            message: a `Message`, which says what it is answered with, or any other object that the actor takes.
            timeout: seconds until the deadline; `math.inf` for none.

        Raises:
            AskTimeoutError: the deadline has passed.
            ActorCrashedError: the actor crashed before it had answered; why is the cause.
            AskUnansweredError: the actor began with the message and was stopped before it had answered.
            ActorStoppedError: the actor has stopped for good, before it began with the message.
            Exception: what the actor gave `Reply.fail`.
            RuntimeError: an actor cannot ask itself.
            ValueError: the timeout is none.
        """
        self._refuse_from_inside("ask()")
        if not timeout >= 0:
            raise ValueError(f"ask: `timeout` must be 0 seconds or more, got {timeout!r}")
        child = self._child
        return await ask(Question(message, child.path, timeout), child.mailbox, child.environment.deadlines)

    def statistics(self) -> ActorStatistics:
        """What the actor is doing now."""
        child = self._child
        return ActorStatistics(child.state, child.incarnations, child.handled, child.mailbox.statistics())
