"""The mailbox of an actor: a bounded queue with many writers and one reader.

It differs from `trio.open_memory_channel` in ways that actors need. A report is *delivered*: its place was
reserved when the child was spawned, so it is taken at once even when the mailbox is full or the sender is
cancelled, and what the mailbox can hold is bounded by its capacity plus the children alive. The reader can take
all that is there in one step, and can be woken without a message. And a closed mailbox tells its writers which actor
has stopped.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

import attrs
import outcome
import trio

from flujo_actors.errors import ActorStoppedError

MessageT = TypeVar("MessageT")


@attrs.frozen
class MailboxStatistics:
    """How full a mailbox is."""

    capacity: int
    """How many messages fit before writers wait."""
    length: int
    """How many messages are waiting to be read, delivered reports included."""
    writers_waiting: int
    """How many tasks are blocked in `put`."""
    closed: bool


class Mailbox(Generic[MessageT]):
    """A first-in first-out queue that belongs to one actor."""

    __slots__ = ("_capacity", "_messages", "_owner", "_reader", "_writers", "closed")

    def __init__(self, owner: str, capacity: int, *first: MessageT) -> None:
        """Make a mailbox.

        Args:
            owner: the name of the actor, for errors.
            capacity: how many messages `put` lets in before it waits, at least 1.
            *first: messages that are in it from the start.
        """
        self._owner = owner
        self._capacity = capacity
        self._messages: tuple[MessageT, ...] | deque[MessageT] = first
        # A deque once a message comes in: most actors get one message in their life, and a deque is large.
        self._reader: trio.lowlevel.Task | None = None
        self._writers: OrderedDict[trio.lowlevel.Task, MessageT] | None = None
        self.closed = False
        """Whether it takes no more messages. To be read; `seal` and `close` close."""

    def __len__(self) -> int:
        return len(self._messages)

    def put_nowait(self, message: MessageT) -> None:
        """Put a message in, or raise.

        Raises:
            trio.WouldBlock: the mailbox is full.
            ActorStoppedError: the actor has stopped.
        """
        if self.closed:
            raise ActorStoppedError(self._owner)
        if len(self._messages) >= self._capacity:
            raise trio.WouldBlock
        self.deliver(message)

    async def put(self, message: MessageT) -> None:
        """Put a message in, waiting while the mailbox is full. Writers are let in in the order they came.

        A checkpoint. Cancelled, it has not put the message in.

        Raises:
            ActorStoppedError: the actor has stopped, before or while waiting.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self.put_nowait(message)
        except trio.WouldBlock:
            await self._wait_for_room(message)
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()

    def deliver(self, message: MessageT) -> None:
        """Put in a message whose place was reserved. Always succeeds; a closed mailbox drops it unread."""
        if self.closed:
            return
        messages = self._messages
        if isinstance(messages, tuple):
            self._messages = messages = deque(messages)
        messages.append(message)
        reader = self._reader
        if reader is not None:
            self._reader = None
            trio.lowlevel.reschedule(reader)

    async def get(self) -> MessageT:
        """Take the oldest message, waiting for one. Only the owner calls this, from one task.

        A checkpoint. Cancelled, it has taken no message.

        Raises:
            trio.BusyResourceError: another task reads this mailbox too.
        """
        if self._messages:
            await trio.lowlevel.checkpoint()
        elif self._reader is None:
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)
        else:
            raise self._two_readers()
        if not self._messages:
            raise self._two_readers()  # the other one has taken the message that was there
        return self.get_nowait()

    async def wait(self) -> None:
        """Wait until there is a message, or until `wake` is called. Only the owner calls this, from one task.

        A checkpoint. Cancelled, it has taken nothing.

        Raises:
            trio.BusyResourceError: another task reads this mailbox too.
        """
        if self._messages:
            await trio.lowlevel.checkpoint()
        elif self._reader is None:
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)
        else:
            raise self._two_readers()

    def wake(self) -> None:
        """Let a reader that is in `wait` go on, so that it looks for what else it has to do."""
        reader, self._reader = self._reader, None
        if reader is not None:
            trio.lowlevel.reschedule(reader)

    def get_nowait(self) -> MessageT:
        """Take the oldest message.

        Raises:
            trio.WouldBlock: there is none.
        """
        messages = self._messages
        if not messages:
            raise trio.WouldBlock
        if isinstance(messages, tuple):
            message, self._messages = messages[0], messages[1:]
        else:
            message = messages.popleft()
        if self._writers:
            self._let_writers_in()
        return message

    def drain(self) -> list[MessageT]:
        """Take what is there, possibly nothing."""
        if not self._messages:
            return []
        messages = list(self._messages)
        self._messages = ()
        if self._writers:
            self._let_writers_in()
        return messages

    def seal(self) -> None:
        """Take no more messages; writers that wait get an `ActorStoppedError`. What is in it can still be read."""
        self.closed = True
        if self._writers:
            self._turn_writers_away()

    def close(self) -> list[MessageT]:
        """Take no more messages, and give up those that are in it.

        Returns:
            The messages that were never read.
        """
        self.closed = True
        if self._writers:
            self._turn_writers_away()
        return self.drain() if self._messages else []

    def statistics(self) -> MailboxStatistics:
        """How full the mailbox is now."""
        return MailboxStatistics(
            capacity=self._capacity,
            length=len(self._messages),
            writers_waiting=len(self._writers or ()),
            closed=self.closed,
        )

    def _two_readers(self) -> trio.BusyResourceError:
        return trio.BusyResourceError(f"two tasks read the mailbox of {self._owner!r}; an actor has one")

    def _stop_waiting(self, _: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def _wait_for_room(self, message: MessageT) -> None:
        writers = self._writers = self._writers if self._writers is not None else OrderedDict()
        task = trio.lowlevel.current_task()
        writers[task] = message

        def abort(_: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
            del writers[task]
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)

    def _turn_writers_away(self) -> None:
        writers, self._writers = self._writers, None
        for writer in writers or ():
            trio.lowlevel.reschedule(writer, outcome.Error(ActorStoppedError(self._owner)))

    def _let_writers_in(self) -> None:
        writers = self._writers
        while writers and len(self._messages) < self._capacity:
            writer, message = writers.popitem(last=False)
            self.deliver(message)
            trio.lowlevel.reschedule(writer)
