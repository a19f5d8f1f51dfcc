"""Asking: answers, deadlines, and every way in which an actor can fail to answer."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from flujo_actors import (
    ActorCrashedError,
    ActorRef,
    ActorStoppedError,
    AskError,
    AskTimeoutError,
    AskUnansweredError,
    Behaviour,
    Message,
    Reply,
    Restart,
    RestartStrategy,
    Supervision,
    System,
)
from tests.actors.conftest import Crash, Finish, Parrot, Say, Wait


async def ask_and_keep(
    outcomes: list[Any],
    ref: ActorRef[Any],
    message: Any,
    timeout: float = 5.0,  # noqa: ASYNC109 - handed on
) -> None:
    """Ask, and keep the answer or the error."""
    try:
        outcomes.append(await ref.ask(message, timeout=timeout))
    except Exception as error:  # noqa: BLE001 - what is tested
        outcomes.append(error)


@attrs.frozen
class AskHim(Message[str]):
    other: ActorRef[AskHim]


class Asker(Behaviour[AskHim]):
    async def receive(self, message: AskHim) -> str:
        try:
            return await message.other.ask(AskHim(self.ref), timeout=2)
        except AskTimeoutError as error:
            return str(error)


class TestDeadline:
    async def test_an_ask_that_is_not_answered_in_time_raises(self, system: System, autojump_clock: MockClock) -> None:
        parrot = await system.spawn(Parrot)
        with pytest.raises(AskTimeoutError) as caught:
            await parrot.ask(Wait(), timeout=2.5)
        assert trio.current_time() == 2.5
        assert (caught.value.actor, caught.value.timeout, caught.value.begun) == ("Parrot", 2.5, True)
        assert str(caught.value) == "Actor 'Parrot' has not answered within 2.5 s: it is at work on the message"

    async def test_the_deadline_is_five_seconds_unless_it_is_said(
        self, system: System, autojump_clock: MockClock
    ) -> None:
        parrot = await system.spawn(Parrot)
        with pytest.raises(AskTimeoutError):
            await parrot.ask(Wait())
        assert trio.current_time() == 5

    async def test_an_ask_that_ran_out_of_time_before_it_was_begun_with_never_is(
        self, system: System, diary: list[str], autojump_clock: MockClock
    ) -> None:
        parrot, gate = await system.spawn(Parrot, diary), trio.Event()
        await parrot.tell(Wait(gate))
        with pytest.raises(AskTimeoutError, match="it had not begun with the message, and will not") as caught:
            await parrot.ask(Say("too late"), timeout=1)
        assert not caught.value.begun
        gate.set()
        assert await parrot.ask(Say("next")) == "next"
        assert diary[1:] == ["parrot says next"]

    async def test_the_time_spent_waiting_for_room_counts(self, system: System, autojump_clock: MockClock) -> None:
        parrot, gate = await system.spawn(Parrot, capacity=1), trio.Event()
        await parrot.tell(Wait(gate))
        await wait_all_tasks_blocked()
        parrot.tell_nowait(Wait())
        outcomes: list[Any] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_keep, outcomes, parrot, Say("no room"), 1.0)
            nursery.start_soon(ask_and_keep, outcomes, parrot, Say("in the mailbox"), 3.0)
            await trio.sleep(2)
            gate.set()
        assert trio.current_time() == 3
        assert [(error.timeout, error.begun) for error in outcomes] == [(1.0, False), (3.0, False)]

    async def test_an_ask_that_had_to_wait_for_room_is_answered(self, system: System) -> None:
        parrot, gate = await system.spawn(Parrot, capacity=1), trio.Event()
        await parrot.tell(Wait(gate))
        await wait_all_tasks_blocked()
        parrot.tell_nowait(Say("fits"))
        outcomes: list[Any] = []
        async with trio.open_nursery() as nursery:
            for word in ("one", "two", "three"):
                nursery.start_soon(ask_and_keep, outcomes, parrot, Say(word))
            await wait_all_tasks_blocked()
            gate.set()
        assert sorted(outcomes) == ["one", "three", "two"]

    async def test_asks_of_different_lengths_each_have_their_own_deadline(
        self, system: System, autojump_clock: MockClock
    ) -> None:
        parrot = await system.spawn(Parrot)
        ended: list[tuple[float, float]] = []

        async def ask(seconds: float) -> None:
            with pytest.raises(AskTimeoutError):
                await parrot.ask(Wait(), timeout=seconds)
            ended.append((seconds, trio.current_time()))

        async with trio.open_nursery() as nursery:
            for seconds in (3.0, 1.0, 2.0, 1.0):
                nursery.start_soon(ask, seconds)
            await trio.sleep(0.5)
            nursery.start_soon(ask, 1.0)
        assert ended == [(1.0, 1.0), (1.0, 1.0), (1.0, 1.5), (2.0, 2.0), (3.0, 3.0)]

    async def test_an_ask_without_a_deadline_waits(self, system: System, autojump_clock: MockClock) -> None:
        parrot, gate = await system.spawn(Parrot), trio.Event()
        outcomes: list[Any] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_keep, outcomes, parrot, Wait(gate), math.inf)
            await trio.sleep(80_000)
            gate.set()
        assert outcomes == ["waited"]

    async def test_an_ask_that_has_no_time_at_all_times_out(self, system: System, autojump_clock: MockClock) -> None:
        parrot = await system.spawn(Parrot)
        with pytest.raises(AskTimeoutError):
            await parrot.ask(Wait(), timeout=0)

    @pytest.mark.parametrize("seconds", [-1, math.nan])
    async def test_a_timeout_that_is_none_is_refused(self, system: System, seconds: float) -> None:
        parrot = await system.spawn(Parrot)
        with pytest.raises(ValueError, match="`timeout` must be 0 seconds or more"):
            await parrot.ask(Say("hello"), timeout=seconds)

    async def test_an_answer_that_comes_too_late_is_dropped_and_the_actor_goes_on(
        self, system: System, autojump_clock: MockClock
    ) -> None:
        parrot, gate = await system.spawn(Parrot), trio.Event()
        with pytest.raises(AskTimeoutError):
            await parrot.ask(Wait(gate), timeout=1)
        gate.set()
        assert await parrot.ask(Say("next")) == "next"

    async def test_actors_that_ask_each_other_wait_until_a_deadline_passes(
        self, system: System, autojump_clock: MockClock
    ) -> None:
        one, other = await system.spawn(Asker, name="one"), await system.spawn(Asker, name="other")
        answer = await one.ask(AskHim(other), timeout=10)
        assert answer == "Actor 'other' has not answered within 2 s: it is at work on the message"
        assert trio.current_time() == 2


class TestCancellation:
    async def test_cancelling_an_ask_cancels_just_the_asking(self, system: System) -> None:
        parrot, gate = await system.spawn(Parrot), trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parrot.ask, Wait(gate))
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        gate.set()
        assert await parrot.ask(Say("next")) == "next"
        assert parrot.statistics().incarnation == 1

    async def test_an_ask_cancelled_before_it_was_begun_with_never_is(self, system: System, diary: list[str]) -> None:
        parrot, gate = await system.spawn(Parrot, diary), trio.Event()
        await parrot.tell(Wait(gate))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parrot.ask, Say("cancelled"))
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        gate.set()
        await parrot.ask(Say("next"))
        assert diary[1:] == ["parrot says next"]

    async def test_an_ask_in_a_cancelled_scope_is_not_begun_with(self, system: System, diary: list[str]) -> None:
        parrot = await system.spawn(Parrot, diary)
        with trio.CancelScope() as scope:
            scope.cancel()
            await parrot.ask(Say("cancelled"))
        assert scope.cancelled_caught
        await parrot.ask(Say("next"))
        assert diary[1:] == ["parrot says next"]

    async def test_an_answer_that_comes_at_the_moment_of_a_cancellation_is_not_lost(self, system: System) -> None:
        parrot, gate = await system.spawn(Parrot), trio.Event()
        outcomes: list[Any] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_keep, outcomes, parrot, Wait(gate))
            await wait_all_tasks_blocked()
            gate.set()
            await trio.lowlevel.checkpoint()  # the actor has answered, or will in this round of trio's loop
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert outcomes == ["waited"]


class TestFailures:
    async def test_an_actor_that_crashes_tells_the_asker_why_at_once(
        self, system: System, autojump_clock: MockClock
    ) -> None:
        parrot = await system.spawn(Parrot)
        with pytest.raises(ActorCrashedError) as caught:
            await parrot.ask(Crash(LookupError("no such word")))
        assert trio.current_time() == 0
        assert str(caught.value) == (
            "Actor 'Parrot' crashed before it had answered: it raised LookupError: no such word"
        )
        assert isinstance(caught.value.__cause__, LookupError)
        assert caught.value.error is caught.value.__cause__

    async def test_the_asker_is_told_before_stopping_has_run(self, system: System, autojump_clock: MockClock) -> None:
        class Slow(Parrot):
            async def stopping(self, ending: object) -> None:
                await trio.sleep(4)

        slow = await system.spawn(Slow)
        with pytest.raises(ActorCrashedError):
            await slow.ask(Crash())
        assert trio.current_time() == 0

    async def test_messages_that_wait_when_an_actor_crashes_are_handled_by_its_next_incarnation(
        self, system: System, diary: list[str]
    ) -> None:
        parrot = await system.spawn(Parrot, diary)
        outcomes: list[Any] = []
        async with trio.open_nursery() as nursery:
            parrot.tell_nowait(Crash())
            parrot.tell_nowait(Say("told"))
            nursery.start_soon(ask_and_keep, outcomes, parrot, Say("asked"))
        assert outcomes == ["asked"]
        assert diary[1:] == ["parrot stopping: Crashed", "parrot started", "parrot says told", "parrot says asked"]

    async def test_messages_left_in_the_queue_after_an_actor_stops_receive_an_error(self, system: System) -> None:
        parrot = await system.spawn(Parrot, restart=Restart.TEMPORARY)
        outcomes: list[Any] = []
        async with trio.open_nursery() as nursery:
            parrot.tell_nowait(Finish())
            for word in ("one", "two"):
                nursery.start_soon(ask_and_keep, outcomes, parrot, Say(word))
        assert [type(error) for error in outcomes] == [ActorStoppedError] * 2

    async def test_an_ask_that_waits_for_room_when_the_actor_stops_receives_an_error(self, system: System) -> None:
        parrot = await system.spawn(Parrot, capacity=1, restart=Restart.TEMPORARY)
        outcomes: list[Any] = []
        async with trio.open_nursery() as nursery:
            parrot.tell_nowait(Finish())
            for word in ("one", "two"):
                nursery.start_soon(ask_and_keep, outcomes, parrot, Say(word))
        assert [type(error) for error in outcomes] == [ActorStoppedError] * 2

    async def test_an_actor_that_is_cancelled_tells_the_asker(self, system: System, autojump_clock: MockClock) -> None:
        parrot = await system.spawn(Parrot, shutdown=1)
        outcomes: list[Any] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_keep, outcomes, parrot, Wait(), 60)
            await wait_all_tasks_blocked()
            nursery.start_soon(parrot.stop, "enough")
        (error,) = outcomes
        assert isinstance(error, AskUnansweredError)
        assert str(error) == (
            "Actor 'Parrot' has not answered, and will not: it was cancelled: "
            "it had not stopped 1 s after it was asked to: enough"
        )
        assert trio.current_time() == 1

    async def test_an_actor_that_is_started_again_because_of_a_sibling_tells_the_asker(
        self, system: System, autojump_clock: MockClock
    ) -> None:
        supervisor = await system.spawn_supervisor("all", Supervision(strategy=RestartStrategy.ONE_FOR_ALL))
        bad, good = [await supervisor.spawn(Parrot, name=name, shutdown=1) for name in ("bad", "good")]
        outcomes: list[Any] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_keep, outcomes, good, Wait(), 60)
            await wait_all_tasks_blocked()
            await bad.tell(Crash())
        (error,) = outcomes
        assert isinstance(error, AskUnansweredError)
        assert "affected by 'all/bad'" in str(error)
        assert await good.ask(Say("again")) == "again"

    async def test_all_asks_that_fail_have_one_base(self) -> None:
        for error in (AskTimeoutError, ActorCrashedError, AskUnansweredError):
            assert issubclass(error, AskError)


@attrs.frozen
class Fetch(Message[bytes]):
    url: str


@attrs.frozen
class Forget(Message[None]):
    """Never answered."""


class Fetcher(Behaviour[Fetch | Forget | str]):
    """Answers later, so that it can fetch several things at once."""

    def __init__(self, gate: trio.Event) -> None:
        self.gate = gate
        self.replies: list[Reply[bytes]] = []

    async def receive(self, message: Fetch | Forget | str) -> Any:
        match message:
            case Fetch():
                reply = self.reply_later(message)
                self.replies.append(reply)
                self.start_soon(self.fetch, message.url, reply)
                return b"this is no answer"
            case Forget():
                self.reply_later(message)
                with pytest.raises(RuntimeError, match="is for the message that is being handled, once"):
                    self.reply_later(message)
            case "again":
                self.replies[0].send(b"again")
            case "crash":
                raise ValueError("boom")
            case _:
                with pytest.raises(RuntimeError, match="is for the message that is being handled, once"):
                    self.reply_later(Fetch("another"))
        return None

    async def fetch(self, url: str, reply: Reply[bytes]) -> None:
        await self.gate.wait()
        if "missing" in url:
            reply.fail(LookupError(url))
        else:
            reply.send(url.encode())


class TestReplyingLater:
    async def test_an_actor_may_answer_later_and_handle_other_messages_meanwhile(self, system: System) -> None:
        gate, outcomes = trio.Event(), list[Any]()
        fetcher = await system.spawn(Fetcher, gate)
        async with trio.open_nursery() as nursery:
            for url in ("a", "b"):
                nursery.start_soon(ask_and_keep, outcomes, fetcher, Fetch(url))
            await wait_all_tasks_blocked()
            assert outcomes == []
            assert await fetcher.ask("meanwhile") is None
            gate.set()
        assert sorted(outcomes) == [b"a", b"b"]

    async def test_an_answer_may_be_an_error_and_the_actor_goes_on(self, system: System) -> None:
        gate = trio.Event()
        fetcher = await system.spawn(Fetcher, gate)
        gate.set()
        with pytest.raises(LookupError, match="missing"):
            await fetcher.ask(Fetch("missing"))
        assert fetcher.statistics().incarnation == 1

    async def test_what_was_told_may_be_answered_and_nobody_hears_it(self, system: System) -> None:
        gate = trio.Event()
        fetcher = await system.spawn(Fetcher, gate)
        gate.set()
        await fetcher.tell(Fetch("told"))
        await fetcher.tell(Fetch("missing"))
        assert await fetcher.ask(Fetch("asked")) == b"asked"

    async def test_an_answer_is_given_once(self, system: System) -> None:
        gate = trio.Event()
        fetcher = await system.spawn(Fetcher, gate)
        gate.set()
        await fetcher.ask(Fetch("a"))
        with pytest.raises(ActorCrashedError, match="this answer was given already"):
            await fetcher.ask("again")

    async def test_only_the_message_that_is_being_handled_can_be_answered_later(
        self, system: System, autojump_clock: MockClock
    ) -> None:
        fetcher = await system.spawn(Fetcher, trio.Event())
        assert await fetcher.ask("another") is None
        with pytest.raises(AskTimeoutError):
            await fetcher.ask(Forget(), timeout=1)
        assert fetcher.statistics().incarnation == 1

    async def test_answers_that_are_owed_when_an_actor_crashes_fail_at_once(
        self, system: System, autojump_clock: MockClock
    ) -> None:
        fetcher, outcomes = await system.spawn(Fetcher, trio.Event()), list[Any]()
        async with trio.open_nursery() as nursery:
            for url in ("a", "b"):
                nursery.start_soon(ask_and_keep, outcomes, fetcher, Fetch(url), 60)
            await wait_all_tasks_blocked()
            await fetcher.tell("crash")
        assert [type(error) for error in outcomes] == [ActorCrashedError] * 2
        assert trio.current_time() == 0

    async def test_answers_that_are_owed_when_an_actor_stops_fail_when_it_has_stopped(
        self, system: System, autojump_clock: MockClock
    ) -> None:
        fetcher, outcomes = await system.spawn(Fetcher, trio.Event()), list[Any]()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask_and_keep, outcomes, fetcher, Fetch("a"), 60)
            await wait_all_tasks_blocked()
            await fetcher.stop("enough")
        (error,) = outcomes
        assert str(error) == "Actor 'Fetcher' has not answered, and will not: it was stopped: enough"

    async def test_an_asker_that_has_left_is_not_owed_anything(self, system: System, autojump_clock: MockClock) -> None:
        gate = trio.Event()
        fetcher = await system.spawn(Fetcher, gate)
        with pytest.raises(AskTimeoutError) as caught:
            await fetcher.ask(Fetch("a"), timeout=1)
        assert caught.value.begun
        gate.set()
        assert await fetcher.ask(Fetch("b")) == b"b"
