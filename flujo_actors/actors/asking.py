"""Asking: a message whose sender waits for the answer, and answering it later."""

from __future__ import annotations

import math
from typing import Any, Generic, TypeVar

import outcome
import trio

from flujo_actors.actors.deadlines import Deadlines
from flujo_actors.errors import AskTimeoutError
from flujo_actors.mailbox import Mailbox

ReplyT_contra = TypeVar("ReplyT_contra", contravariant=True)


class Question:
    """A message in a mailbox whose sender waits. It is settled once: answered, failed, or given up by the sender."""

    __slots__ = (
        "_asker",
        "_deadlines",
        "_outcome",
        "_seconds",
        "actor",
        "begun",
        "message",
        "owed",
        "settled",
        "timeout",
    )

    def __init__(self, message: Any, actor: str, timeout: float) -> None:
        """Make a question that nobody has been asked yet.

        Args:
            message: what to ask.
            actor: the path of who is asked, for errors.
            timeout: the seconds that the asker gives, for errors.
        """
        self.message = message
        self.actor = actor
        self.timeout = timeout
        self.begun = False
        """Whether the actor has begun with it."""
        self.settled = False
        """Whether nobody waits for an answer any longer."""
        self.owed: set[Question] | None = None
        """Where the actor keeps it, once it has promised to answer later."""
        self._asker: trio.lowlevel.Task | None = None
        self._outcome: outcome.Value[Any] | outcome.Error | None = None
        self._deadlines: Deadlines | None = None
        self._seconds = math.inf

    def answer(self, value: Any) -> None:
        """Give the asker the answer, unless the question is settled."""
        if not self.settled:
            self._settle(outcome.Value(value))

    def fail(self, error: Exception) -> None:
        """Raise an error in the asker, unless the question is settled."""
        if not self.settled:
            self._settle(outcome.Error(error))

    def expire(self) -> None:
        """Tell the asker that the deadline has passed."""
        self.fail(AskTimeoutError(self.actor, self.timeout, self.begun))

    async def wait(self, deadlines: Deadlines, seconds: float) -> Any:
        """Wait for the answer, in the task that asked. A checkpoint; cancelled, the question is given up.

        Args:
            deadlines: where to set the deadline.
            seconds: how long to wait at most.
        """
        if self._outcome is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return self._outcome.unwrap()
        if seconds != math.inf:
            self._deadlines, self._seconds = deadlines, seconds
            deadlines.set(self, seconds)
        self._asker = trio.lowlevel.current_task()
        return await trio.lowlevel.wait_task_rescheduled(self._give_up)

    def _settle(self, result: outcome.Value[Any] | outcome.Error) -> None:
        self._let_go()
        if self._asker is None:  # it was let into a full mailbox, and has not run since
            self._outcome = result
        else:
            trio.lowlevel.reschedule(self._asker, result)

    def _give_up(self, _: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        self._let_go()
        return trio.lowlevel.Abort.SUCCEEDED

    def _let_go(self) -> None:
        self.settled = True
        if self._deadlines is not None:
            self._deadlines.drop(self, self._seconds)
        if self.owed is not None:
            self.owed.discard(self)


class Reply(Generic[ReplyT_contra]):
    """An answer that an actor has promised to give later. Made by `Behaviour.reply_later`."""

    __slots__ = ("_given", "_question")

    def __init__(self, question: Question | None) -> None:
        self._question = question
        self._given = False

    def send(self, value: ReplyT_contra) -> None:
        """Give the answer. Nothing happens when nobody waits for it: the message was told, or the asker has left.

        Raises:
            RuntimeError: it was given before.
        """
        self._give()
        if self._question is not None:
            self._question.answer(value)

    def fail(self, error: Exception) -> None:
        """Raise an error in the asker, in place of an answer. The actor itself goes on.

        Raises:
            RuntimeError: the answer was given before.
        """
        self._give()
        if self._question is not None:
            self._question.fail(error)

    def _give(self) -> None:
        if self._given:
            raise RuntimeError("this answer was given already; a message is answered once")
        self._given = True


async def ask(question: Question, mailbox: Mailbox[Any], deadlines: Deadlines) -> Any:
    """Put a question into an actor's mailbox and wait for the answer; see `ActorRef.ask`."""
    seconds = question.timeout
    try:
        mailbox.put_nowait(question)
    except trio.WouldBlock:
        deadline = trio.current_time() + seconds
        with trio.CancelScope(deadline=deadline) as scope:
            await mailbox.put(question)
        if scope.cancelled_caught:
            raise AskTimeoutError(question.actor, question.timeout, begun=False) from None
        seconds = deadline - trio.current_time()
    return await question.wait(deadlines, seconds)
