"""The mailbox of an actor: order, bounds, delivery, closing, and what a cancellation leaves behind."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from flujo_actors import ActorStoppedError
from flujo_actors.mailbox import Mailbox, MailboxStatistics


@asynccontextmanager
async def blocked_writers(mailbox: Mailbox[int], *messages: int) -> AsyncGenerator[trio.CancelScope, None]:
    """One task per message, blocked in `put` in this order; the scope cancels them all."""
    async with trio.open_nursery() as nursery:
        for message in messages:
            nursery.start_soon(mailbox.put, message)
            await wait_all_tasks_blocked()
        yield nursery.cancel_scope


class TestReading:
    async def test_messages_come_out_in_the_order_they_were_put_in(self) -> None:
        mailbox = Mailbox[int]("reader", 3)
        for number in (1, 2, 3):
            await mailbox.put(number)
        assert [await mailbox.get(), await mailbox.get(), await mailbox.get()] == [1, 2, 3]

    async def test_get_waits_for_a_message(self, autojump_clock: MockClock) -> None:
        mailbox = Mailbox[str]("reader", 1)

        async def write_later() -> None:
            await trio.sleep(5)
            mailbox.put_nowait("late")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_later)
            assert await mailbox.get() == "late"
        assert trio.current_time() == 5

    async def test_get_is_a_checkpoint_also_when_a_message_is_there(self) -> None:
        mailbox = Mailbox("reader", 1, "here")
        with trio.testing.assert_checkpoints():
            await mailbox.get()

    async def test_a_cancelled_get_takes_no_message(self) -> None:
        mailbox = Mailbox("reader", 1, "kept")
        with trio.CancelScope() as scope:
            scope.cancel()
            await mailbox.get()
        assert scope.cancelled_caught
        assert mailbox.drain() == ["kept"]

    async def test_a_get_cancelled_while_it_waits_leaves_the_next_message_to_the_next_get(self) -> None:
        mailbox = Mailbox[str]("reader", 1)
        with trio.move_on_after(0):
            await mailbox.get()
        mailbox.put_nowait("next")
        assert await mailbox.get() == "next"

    async def test_a_get_cancelled_at_the_moment_of_delivery_returns_the_message(self) -> None:
        mailbox, taken = Mailbox[str]("reader", 1), list[str]()

        async def read() -> None:
            taken.append(await mailbox.get())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            mailbox.deliver("report")
            nursery.cancel_scope.cancel()
        assert [*taken, *mailbox.drain()] == ["report"]

    async def test_a_second_reader_is_refused(self) -> None:
        mailbox = Mailbox[int]("alice", 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mailbox.get)
            await wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError, match="two tasks read the mailbox of 'alice'"):
                await mailbox.get()
            mailbox.put_nowait(1)

    async def test_a_second_reader_that_finds_a_message_meant_for_the_first_is_refused_too(self) -> None:
        mailbox, refused, taken = Mailbox[int]("alice", 1), list[str](), list[int]()

        async def read() -> None:
            try:
                taken.append(await mailbox.get())
            except trio.BusyResourceError as error:
                refused.append(str(error))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await wait_all_tasks_blocked()
            nursery.start_soon(read)
            mailbox.put_nowait(1)
            await wait_all_tasks_blocked()
            mailbox.deliver(2)  # lets a reader go that is still waiting, so that the test ends
        assert taken[:1] == [1]
        assert len(refused) + len(taken) == 2

    def test_get_nowait_takes_the_oldest_or_says_there_is_none(self) -> None:
        mailbox = Mailbox("reader", 2, 1, 2)
        assert mailbox.get_nowait() == 1
        assert mailbox.get_nowait() == 2
        with pytest.raises(trio.WouldBlock):
            mailbox.get_nowait()

    def test_drain_of_an_empty_mailbox_is_empty(self) -> None:
        assert Mailbox[int]("reader", 1).drain() == []


class TestWriting:
    async def test_put_is_a_checkpoint_also_when_there_is_room(self) -> None:
        with trio.testing.assert_checkpoints():
            await Mailbox[int]("reader", 1).put(1)

    async def test_put_waits_while_the_mailbox_is_full(self) -> None:
        mailbox = Mailbox("reader", 2, 1, 2)
        async with blocked_writers(mailbox, 3):
            assert mailbox.statistics().writers_waiting == 1
            assert len(mailbox) == 2
            assert await mailbox.get() == 1
        assert mailbox.drain() == [2, 3]

    async def test_writers_are_let_in_in_the_order_they_came(self) -> None:
        mailbox = Mailbox("reader", 1, 0)
        async with blocked_writers(mailbox, 1, 2, 3, 4):
            assert [await mailbox.get() for _ in range(5)] == [0, 1, 2, 3, 4]

    async def test_nobody_passes_a_writer_that_waits(self) -> None:
        mailbox = Mailbox("reader", 1, 0)
        async with blocked_writers(mailbox, 1):
            await mailbox.get()
            with pytest.raises(trio.WouldBlock):
                mailbox.put_nowait(2)
        assert mailbox.drain() == [1]

    async def test_draining_lets_as_many_writers_in_as_there_is_room_for(self) -> None:
        mailbox = Mailbox("reader", 2, 0, 0)
        async with blocked_writers(mailbox, 1, 2, 3):
            assert mailbox.drain() == [0, 0]
            assert mailbox.statistics() == MailboxStatistics(capacity=2, length=2, writers_waiting=1, closed=False)
            assert mailbox.drain() == [1, 2]
        assert mailbox.drain() == [3]

    async def test_a_put_cancelled_before_it_begins_puts_nothing_in(self) -> None:
        mailbox = Mailbox[int]("reader", 1)
        with trio.CancelScope() as scope:
            scope.cancel()
            await mailbox.put(1)
        assert scope.cancelled_caught
        assert len(mailbox) == 0

    async def test_a_put_cancelled_while_it_waits_puts_nothing_in(self) -> None:
        mailbox = Mailbox("reader", 1, 0)
        async with blocked_writers(mailbox, 1, 2) as scope:
            scope.cancel()
        assert mailbox.statistics() == MailboxStatistics(capacity=1, length=1, writers_waiting=0, closed=False)
        assert mailbox.drain() == [0]

    async def test_a_put_cancelled_at_the_moment_it_is_let_in_has_put_the_message_in(self) -> None:
        mailbox = Mailbox("reader", 1, 0)
        async with blocked_writers(mailbox, 1) as scope:
            await mailbox.get()
            scope.cancel()
        assert mailbox.drain() == [1]

    def test_put_nowait_says_when_the_mailbox_is_full(self) -> None:
        mailbox = Mailbox("reader", 1, 0)
        with pytest.raises(trio.WouldBlock):
            mailbox.put_nowait(1)
        assert mailbox.drain() == [0]

    def test_a_report_is_delivered_past_the_capacity(self) -> None:
        mailbox = Mailbox("reader", 1, 0)
        mailbox.deliver(1)
        mailbox.deliver(2)
        assert mailbox.drain() == [0, 1, 2]

    async def test_writers_wait_until_delivered_reports_are_below_the_capacity_again(self) -> None:
        mailbox = Mailbox("reader", 1, 0)
        async with blocked_writers(mailbox, 3):
            mailbox.deliver(1)
            mailbox.deliver(2)
            assert [await mailbox.get(), await mailbox.get()] == [0, 1]
            assert mailbox.statistics().writers_waiting == 1
            assert await mailbox.get() == 2
        assert mailbox.drain() == [3]


class TestWaiting:
    async def test_wait_leaves_the_message_in_the_mailbox(self) -> None:
        mailbox = Mailbox("reader", 1, "here")
        with trio.testing.assert_checkpoints():
            await mailbox.wait()
        assert mailbox.drain() == ["here"]

    async def test_a_reader_that_waits_goes_on_with_a_message(self, autojump_clock: MockClock) -> None:
        mailbox = Mailbox[str]("reader", 1)

        async def write_later() -> None:
            await trio.sleep(5)
            mailbox.put_nowait("late")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_later)
            await mailbox.wait()
        assert trio.current_time() == 5
        assert mailbox.get_nowait() == "late"

    async def test_a_reader_that_waits_can_be_woken_without_a_message(self) -> None:
        mailbox = Mailbox[str]("reader", 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mailbox.wait)
            await wait_all_tasks_blocked()
            mailbox.wake()
        assert len(mailbox) == 0

    async def test_waking_a_reader_twice_or_one_that_does_not_wait_is_harmless(self) -> None:
        mailbox = Mailbox[str]("reader", 1)
        mailbox.wake()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mailbox.wait)
            await wait_all_tasks_blocked()
            mailbox.wake()
            mailbox.wake()
            mailbox.deliver("too")
        assert mailbox.drain() == ["too"]

    async def test_a_cancelled_wait_leaves_the_mailbox_to_the_next_reader(self) -> None:
        mailbox = Mailbox[str]("reader", 1)
        with trio.move_on_after(0):
            await mailbox.wait()
        mailbox.put_nowait("next")
        assert await mailbox.get() == "next"

    async def test_two_tasks_cannot_wait_for_one_mailbox(self) -> None:
        mailbox = Mailbox[str]("reader", 1)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mailbox.wait)
            await wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError, match="two tasks read the mailbox of 'reader'"):
                await mailbox.wait()
            nursery.cancel_scope.cancel()


class TestClosing:
    async def test_a_sealed_mailbox_takes_no_messages_and_gives_those_it_has(self) -> None:
        mailbox, told = Mailbox("alice", 1, 0), list[str]()

        async def write() -> None:
            with pytest.raises(ActorStoppedError) as caught:
                await mailbox.put(1)
            told.append(str(caught.value))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await wait_all_tasks_blocked()
            mailbox.seal()
            with pytest.raises(ActorStoppedError):
                mailbox.put_nowait(2)
        assert told == ["Actor 'alice' has stopped and takes no messages"]
        assert mailbox.get_nowait() == 0

    async def test_writers_that_wait_when_the_actor_stops_are_told_which_one_it_was(self) -> None:
        mailbox, told = Mailbox("alice", 1, 0), list[str]()

        async def write() -> None:
            with pytest.raises(ActorStoppedError) as caught:
                await mailbox.put(1)
            told.append(str(caught.value))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            nursery.start_soon(write)
            await wait_all_tasks_blocked()
            assert mailbox.close() == [0]
        assert told == ["Actor 'alice' has stopped and takes no messages"] * 2

    async def test_a_closed_mailbox_takes_no_messages(self) -> None:
        mailbox = Mailbox[int]("alice", 1)
        mailbox.close()
        with pytest.raises(ActorStoppedError):
            mailbox.put_nowait(1)
        with pytest.raises(ActorStoppedError):
            await mailbox.put(1)
        assert mailbox.statistics() == MailboxStatistics(capacity=1, length=0, writers_waiting=0, closed=True)

    def test_a_closed_mailbox_drops_what_is_delivered(self) -> None:
        mailbox = Mailbox[int]("alice", 1)
        mailbox.close()
        mailbox.deliver(1)
        assert mailbox.drain() == []

    def test_closing_gives_the_messages_that_were_never_read_once(self) -> None:
        mailbox = Mailbox("alice", 2, 1, 2)
        assert mailbox.close() == [1, 2]
        assert mailbox.close() == []


@given(
    capacity=st.integers(1, 4),
    operations=st.lists(st.sampled_from(["put", "deliver", "get", "drain"]), max_size=40),
)
def test_a_mailbox_is_a_bounded_queue(capacity: int, operations: list[str]) -> None:
    mailbox, model = Mailbox[int]("reader", capacity), deque[int]()
    for number, operation in enumerate(operations):
        if operation == "deliver":
            mailbox.deliver(number)
            model.append(number)
        elif operation == "drain":
            assert mailbox.drain() == list(model)
            model.clear()
        elif operation == "put" and len(model) < capacity:
            mailbox.put_nowait(number)
            model.append(number)
        elif operation == "put":
            with pytest.raises(trio.WouldBlock):
                mailbox.put_nowait(number)
        elif model:
            assert mailbox.get_nowait() == model.popleft()
        else:
            with pytest.raises(trio.WouldBlock):
                mailbox.get_nowait()
        assert len(mailbox) == len(model)
