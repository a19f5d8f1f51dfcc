"""The kernel: the life of an actor in three steps, and what a cancellation does to it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from flujo_actors import ActorStoppedError
from flujo_actors.actor import Actor
from flujo_actors.mailbox import Mailbox


class Diary(Actor[str]):
    """Writes down what happens to it; works until it reads `end`."""

    def __init__(self, surrounding_scope: trio.CancelScope | None = None) -> None:
        super().__init__("diary", Mailbox("diary", 2), surrounding_scope)
        self.entries: list[str] = []

    def start(self) -> None:
        self.entries.append("start")

    async def work(self) -> None:
        while (message := await self.mailbox.get()) != "end":
            if message == "raise":
                raise ValueError("told to")
            self.entries.append(message)

    def stop(self) -> None:
        super().stop()
        self.entries.append("stop")


class TestLife:
    async def test_an_actor_starts_works_and_stops(self) -> None:
        diary = Diary()
        for message in ("dear", "end"):
            diary.mailbox.put_nowait(message)
        await diary.run()
        assert diary.entries == ["start", "dear", "stop"]

    async def test_an_actor_that_raises_stops_and_the_error_goes_on(self) -> None:
        diary = Diary()
        diary.mailbox.put_nowait("raise")
        with pytest.raises(ValueError, match="told to"):
            await diary.run()
        assert diary.entries == ["start", "stop"]

    async def test_an_actor_whose_start_raises_still_stops(self) -> None:
        class Unborn(Diary):
            def start(self) -> None:
                raise ValueError("not today")

        unborn = Unborn()
        with pytest.raises(ValueError, match="not today"):
            await unborn.run()
        assert unborn.entries == ["stop"]

    async def test_cancelling_an_actor_ends_with_the_actor(self) -> None:
        diary = Diary()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(diary.run)
            await wait_all_tasks_blocked()
            diary.cancel("enough")
        assert diary.entries == ["start", "stop"]
        assert diary.cancel_reason == "enough"

    async def test_an_actor_cancelled_before_it_runs_starts_and_stops_without_work(self) -> None:
        diary = Diary()
        diary.mailbox.put_nowait("dear")
        diary.cancel("too late")
        await diary.run()
        assert diary.entries == ["start", "stop"]

    async def test_the_first_reason_to_cancel_is_the_reason(self) -> None:
        diary = Diary()
        diary.cancel("first")
        diary.cancel("second")
        await diary.run()
        assert diary.cancel_reason == "first"

    async def test_a_cancellation_around_an_actor_goes_on(self, autojump_clock: MockClock) -> None:
        diary = Diary()
        with trio.move_on_after(1) as scope:
            await diary.run()
        assert scope.cancelled_caught
        assert not diary.cancel_scope.cancelled_caught
        assert diary.entries == ["start", "stop"]

    async def test_an_actor_may_share_the_scope_that_surrounds_it(self) -> None:
        async with trio.open_nursery() as nursery:
            diary = Diary(surrounding_scope=nursery.cancel_scope)
            nursery.start_soon(diary.run)
            await wait_all_tasks_blocked()
            diary.cancel("enough")
        assert nursery.cancel_scope.cancelled_caught
        assert diary.entries == ["start", "stop"]

    async def test_cancelling_a_stopped_actor_cancels_nothing(self) -> None:
        diary = Diary()
        diary.mailbox.put_nowait("end")
        await diary.run()
        diary.cancel("too late")
        assert not diary.cancel_scope.cancel_called

    async def test_cancelling_a_stopped_actor_leaves_the_scope_it_shared_alone(self) -> None:
        async with trio.open_nursery() as nursery:
            diary = Diary(surrounding_scope=nursery.cancel_scope)
            diary.mailbox.put_nowait("end")
            await diary.run()
            diary.cancel("too late")
            await trio.lowlevel.checkpoint()
        assert not nursery.cancel_scope.cancel_called

    async def test_an_actor_that_has_stopped_takes_no_messages(self) -> None:
        diary = Diary()
        diary.mailbox.put_nowait("end")
        states = [diary.stopped]
        await diary.run()
        states.append(diary.stopped)
        assert states == [False, True]
        with pytest.raises(ActorStoppedError, match="Actor 'diary' has stopped"):
            diary.mailbox.put_nowait("dear")
