"""The life of a user's actor: hooks, messages one at a time, tasks and children of its own, stopping itself."""

from __future__ import annotations

import contextvars
import functools
import math
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from flujo_actors import (
    ActorCrashedError,
    ActorDefinitionError,
    ActorRef,
    ActorStartError,
    ActorStoppedError,
    Behaviour,
    Message,
    Restart,
    RestartIntensityError,
    Supervision,
    System,
    open_system,
)
from flujo_actors.actors import ActorState, Crashed, Ending, Finished, Killed, ShutDown
from tests.actors.conftest import PATIENT, Crash, Finish, Parrot, ParrotMessage, Say, Wait


class TestLife:
    async def test_spawn_returns_when_the_actor_has_started(self, system: System) -> None:
        class Slow(Parrot):
            async def started(self) -> None:
                await wait_all_tasks_blocked()
                await super().started()

        diary: list[str] = []
        await system.spawn(Slow, diary)
        assert diary == ["parrot started"]

    async def test_an_actor_starts_receives_and_stops(self, diary: list[str]) -> None:
        async with open_system() as system:
            parrot = await system.spawn(Parrot, diary)
            assert await parrot.ask(Say("hello")) == "hello"
        assert diary == ["parrot started", "parrot says hello", "parrot stopping: ShutDown"]

    async def test_each_incarnation_is_made_anew_by_the_same_call(self, system: System) -> None:
        class Counter(Behaviour[str]):
            def __init__(self, start: int) -> None:
                self.number = start

            async def receive(self, message: str) -> int:
                self.number += int(message)
                return self.number

        counter = await system.spawn(Counter, 5)
        assert [await counter.ask("1"), await counter.ask("1")] == [6, 7]
        await counter.tell("not a number")
        assert await counter.ask("1") == 6

    async def test_the_state_of_two_actors_is_their_own(self, system: System) -> None:
        one, other = list[str](), list[str]()
        await (await system.spawn(Parrot, one)).ask(Say("mine"))
        await (await system.spawn(Parrot, other)).ask(Say("yours"))
        assert (one[1:], other[1:]) == (["parrot says mine"], ["parrot says yours"])

    async def test_a_behaviour_may_be_an_attrs_class(self, system: System) -> None:
        @attrs.define
        class Counter(Behaviour[int]):
            number: int = 0

            async def receive(self, message: int) -> int:
                self.number += message
                return self.number

        assert await (await system.spawn(Counter, 4)).ask(3) == 7

    async def test_an_actor_that_cannot_be_made_is_not_started(self, system: System) -> None:
        class Unborn(Parrot):
            def __init__(self) -> None:
                raise ValueError("not today")

        with pytest.raises(ActorStartError, match="'Unborn' was not started: it crashed: ValueError: not") as caught:
            await system.spawn(Unborn)
        assert isinstance(caught.value.__cause__, ValueError)

    async def test_an_actor_whose_started_raises_is_not_started_and_not_tried_again(
        self, system: System, diary: list[str]
    ) -> None:
        class Weak(Parrot):
            async def started(self) -> None:
                await super().started()
                raise ValueError("too weak")

        with pytest.raises(ActorStartError, match="'Weak' was not started: it crashed: ValueError: too weak"):
            await system.spawn(Weak, diary)
        await wait_all_tasks_blocked()
        assert diary == ["parrot started"], "and `stopping` is for those that have started"

    async def test_what_is_no_behaviour_is_refused(self, system: System) -> None:
        with pytest.raises(ActorStartError, match="takes what makes a Behaviour; this made"):
            await system.spawn(dict)  # type: ignore[arg-type] # what is tested
        with pytest.raises(ActorDefinitionError, match="`spawn` takes a class and its arguments"):
            await system.spawn(Parrot())  # type: ignore[arg-type] # what is tested

    async def test_a_behaviour_that_is_not_alive_has_no_address(self) -> None:
        with pytest.raises(RuntimeError, match="this Parrot is not alive yet"):
            _ = Parrot().ref

    async def test_every_incarnation_sees_the_context_variables_of_the_spawner(self, system: System) -> None:
        variable = contextvars.ContextVar[str]("variable", default="unset")

        class Reader(Behaviour[str]):
            async def receive(self, message: str) -> str:
                if message == "crash":
                    raise ValueError
                return variable.get()

        variable.set("mine")
        reader = await system.spawn(Reader)
        variable.set("changed")
        assert await reader.ask("read") == "mine"
        await reader.tell("crash")
        assert await reader.ask("read") == "mine"


class TestMessages:
    async def test_messages_are_handled_one_at_a_time_in_the_order_they_came(self, system: System) -> None:
        class Slow(Behaviour[int]):
            def __init__(self, entries: list[str]) -> None:
                self.entries = entries

            async def receive(self, message: int) -> None:
                self.entries.append(f"begins {message}")
                await trio.lowlevel.checkpoint()
                self.entries.append(f"ends {message}")

        entries: list[str] = []
        slow = await system.spawn(Slow, entries)
        for number in range(3):
            slow.tell_nowait(number)
        await slow.ask(3)
        assert entries == [f"{what} {number}" for number in range(4) for what in ("begins", "ends")]

    async def test_an_actor_with_much_to_do_lets_others_run(self, system: System) -> None:
        class Busy(Behaviour[int]):
            async def receive(self, message: int) -> None:
                """Nothing, without a checkpoint."""

        busy = await system.spawn(Busy, capacity=1000)
        for number in range(1000):
            busy.tell_nowait(number)
        steps = 0
        while busy.statistics().mailbox.length:
            await trio.lowlevel.checkpoint()
            steps += 1
        assert steps > 50

    async def test_a_full_mailbox_blocks_tell_and_raises_from_tell_nowait(self, system: System) -> None:
        parrot, gate = await system.spawn(Parrot, capacity=1), trio.Event()
        await parrot.tell(Wait(gate))
        await wait_all_tasks_blocked()
        parrot.tell_nowait(Say("fits"))
        with pytest.raises(trio.WouldBlock):
            parrot.tell_nowait(Say("does not"))
        with trio.move_on_after(0) as scope:
            await parrot.tell(Say("cancelled"))
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parrot.tell, Say("waits"))
            await wait_all_tasks_blocked()
            assert parrot.statistics().mailbox.writers_waiting == 1
            gate.set()
        assert await parrot.ask(Say("last")) == "last"
        assert parrot.statistics().handled == 4, "what was cancelled was not sent"

    async def test_messages_to_a_stopped_actor_raise_an_error(self, system: System) -> None:
        parrot = await system.spawn(Parrot)
        await parrot.stop()
        with pytest.raises(ActorStoppedError, match="Actor 'Parrot' has stopped and takes no messages"):
            await parrot.tell(Say("hello"))
        with pytest.raises(ActorStoppedError):
            parrot.tell_nowait(Say("hello"))
        with pytest.raises(ActorStoppedError):
            await parrot.ask(Say("hello"))

    async def test_a_tell_that_waits_when_the_actor_stops_raises_an_error(self, system: System) -> None:
        parrot, gate = await system.spawn(Parrot, capacity=1), trio.Event()
        await parrot.tell(Wait(gate))
        await wait_all_tasks_blocked()
        parrot.tell_nowait(Say("fits"))
        told: list[str] = []

        async def tell() -> None:
            with pytest.raises(ActorStoppedError):
                await parrot.tell(Say("left behind"))
            told.append("at once, not when it has stopped")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell)
            await wait_all_tasks_blocked()
            nursery.start_soon(parrot.stop)
            await wait_all_tasks_blocked()
            assert told
            gate.set()

    async def test_tell_and_ask_are_checkpoints(self, system: System) -> None:
        parrot = await system.spawn(Parrot)
        with trio.testing.assert_checkpoints():
            await parrot.tell(Say("hello"))
        with trio.testing.assert_checkpoints():
            await parrot.ask(Say("hello"))
        with trio.testing.assert_checkpoints():
            await parrot.stop()
        with trio.testing.assert_checkpoints():
            await parrot.stop()
        with trio.testing.assert_checkpoints():
            await parrot.wait_stopped()


class TestStopping:
    async def test_an_actor_that_is_stopped_first_handles_the_messages_it_has(
        self, system: System, diary: list[str]
    ) -> None:
        parrot = await system.spawn(Parrot, diary)
        for word in ("one", "two"):
            parrot.tell_nowait(Say(word))
        await parrot.stop("enough")
        assert diary[1:] == ["parrot says one", "parrot says two", "parrot stopping: ShutDown"]
        assert await parrot.wait_stopped() == ShutDown("enough")
        assert parrot.state is ActorState.STOPPED

    async def test_one_that_takes_longer_than_its_shutdown_time_is_cancelled(
        self, system: System, diary: list[str], autojump_clock: MockClock
    ) -> None:
        parrot = await system.spawn(Parrot, diary, shutdown=2.0)
        await parrot.tell(Wait())
        parrot.tell_nowait(Say("never"))
        await parrot.stop("enough")
        assert trio.current_time() == 2
        assert diary[1:] == ["parrot cancelled", "parrot stopping: Killed"]
        ending = await parrot.wait_stopped()
        assert str(ending) == "it was cancelled: it had not stopped 2.0 s after it was asked to: enough"

    async def test_a_shutdown_time_of_none_cancels_at_once(self, system: System, diary: list[str]) -> None:
        parrot = await system.spawn(Parrot, diary, shutdown=0)
        await parrot.tell(Wait())
        await wait_all_tasks_blocked()
        parrot.tell_nowait(Say("never"))
        await parrot.stop("brutally")
        assert diary[1:] == ["parrot cancelled", "parrot stopping: Killed"]
        assert await parrot.wait_stopped() == Killed("brutally")

    async def test_an_infinite_shutdown_time_waits(
        self, system: System, diary: list[str], autojump_clock: MockClock
    ) -> None:
        class Careful(Parrot):
            async def stopping(self, ending: Ending) -> None:
                await trio.sleep(80_000)
                await super().stopping(ending)

        parrot = await system.spawn(Careful, diary, shutdown=math.inf)
        await parrot.stop()
        assert diary[1:] == ["parrot stopping: ShutDown"]

    async def test_stopping_twice_or_from_two_tasks_stops_once(self, system: System, diary: list[str]) -> None:
        parrot = await system.spawn(Parrot, diary)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parrot.stop)
            nursery.start_soon(parrot.stop)
        await parrot.stop()
        assert diary[1:] == ["parrot stopping: ShutDown"]

    async def test_a_cancelled_stop_stops_the_actor_all_the_same(self, system: System) -> None:
        parrot, gate = await system.spawn(Parrot), trio.Event()
        await parrot.tell(Wait(gate))
        await wait_all_tasks_blocked()
        with trio.move_on_after(0):
            await parrot.stop()
        gate.set()
        assert isinstance(await parrot.wait_stopped(), ShutDown)

    async def test_an_actor_that_stops_itself_stops_after_the_message_it_handles(
        self, system: System, diary: list[str]
    ) -> None:
        parrot = await system.spawn(Parrot, diary, restart=Restart.TRANSIENT)
        parrot.tell_nowait(Say("one"))
        parrot.tell_nowait(Finish())
        parrot.tell_nowait(Say("lost"))
        assert await parrot.wait_stopped() == Finished("told to")
        assert diary[1:] == ["parrot says one", "parrot stopping: Finished"]

    async def test_an_actor_may_stop_itself_from_a_task_and_while_it_is_being_stopped(self, system: System) -> None:
        class Quitter(Parrot):
            async def started(self) -> None:
                self.start_soon(self.quit)

            async def quit(self) -> None:
                await wait_all_tasks_blocked()
                self.stop("bored")

        quitter = await system.spawn(Quitter, restart=Restart.TRANSIENT)
        assert await quitter.wait_stopped() == Finished("bored")

        parrot, gate = await system.spawn(Parrot), trio.Event()
        for message in (Wait(gate), Finish(), Say("lost")):
            parrot.tell_nowait(message)
        await wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parrot.stop, "enough")
            await wait_all_tasks_blocked()
            gate.set()
        assert await parrot.wait_stopped() == ShutDown("enough")
        assert parrot.statistics().handled == 2

    async def test_an_actor_cannot_wait_for_itself(self, system: System) -> None:
        class Selfish(Behaviour[str]):
            async def receive(self, message: str) -> str:
                if message == "stop":
                    await self.ref.stop()
                return str(await self.ref.ask("again"))

        selfish = await system.spawn(Selfish)
        for message, what in (("stop", "stop"), ("ask", "ask")):
            with pytest.raises(
                ActorCrashedError, match=rf"'Selfish' cannot wait for itself: `ref.{what}\(\)` is for others"
            ):
                await selfish.ask(message)

    async def test_after_a_crash_stopping_has_the_shutdown_time_and_no_more(
        self, system: System, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Slow(Parrot):
            async def stopping(self, ending: Ending) -> None:
                await super().stopping(ending)
                await trio.sleep_forever()

        slow = await system.spawn(Slow, shutdown=3.0)
        await slow.tell(Crash())
        assert await slow.ask(Say("again"), timeout=10) == "again"
        assert trio.current_time() == 3
        assert "the `stopping` of 'Slow' took too long after it had crashed, and was cancelled" in caplog.text

    async def test_what_stopping_raises_after_a_crash_is_logged_and_the_crash_remains_the_reason(
        self, system: System, caplog: pytest.LogCaptureFixture
    ) -> None:
        class Clumsy(Parrot):
            async def stopping(self, ending: Ending) -> None:
                raise LookupError("dropped it")

        clumsy = await system.spawn(Clumsy, restart=Restart.TEMPORARY)
        await clumsy.tell(Crash())
        ending = await clumsy.wait_stopped()
        assert isinstance(ending, Crashed)
        assert isinstance(ending.error, ValueError)
        assert "'Clumsy' raised in `stopping` too; before that, it crashed: ValueError: boom" in caplog.text
        assert "LookupError: dropped it" in caplog.text

    async def test_what_stopping_raises_in_an_orderly_stop_is_a_crash(self, system: System) -> None:
        class Clumsy(Parrot):
            async def stopping(self, ending: Ending) -> None:
                raise LookupError("dropped it")

        clumsy = await system.spawn(Clumsy)
        await clumsy.stop()
        assert isinstance(await clumsy.wait_stopped(), Crashed)


class TestTasks:
    async def test_an_actor_may_have_tasks_beside_the_one_that_receives(
        self, system: System, autojump_clock: MockClock
    ) -> None:
        class Clock(Behaviour[str]):
            def __init__(self) -> None:
                self.ticks = 0

            async def started(self) -> None:
                self.start_soon(self.tick, 1.0)

            async def tick(self, seconds: float) -> None:
                while True:
                    await trio.sleep(seconds)
                    await self.ref.tell("tick")

            async def receive(self, message: str) -> int:
                self.ticks += message == "tick"
                return self.ticks

        clock = await system.spawn(Clock)
        await trio.sleep(3.5)
        assert await clock.ask("how many?") == 3
        await clock.stop()

    async def test_a_task_that_raises_is_a_crash_of_the_actor(self, system: System, diary: list[str]) -> None:
        class Fragile(Parrot):
            async def started(self) -> None:
                await super().started()
                if len(self.diary) == 1:
                    self.start_soon(self.fail)

            async def fail(self) -> None:
                await wait_all_tasks_blocked()
                raise ValueError("in a task")

        fragile = await system.spawn(Fragile, diary)
        asked = Wait()
        with pytest.raises(
            Exception, match="'Fragile' crashed before it had answered: it raised ValueError: in a task"
        ):
            await fragile.ask(asked)
        assert await fragile.ask(Say("again")) == "again"
        assert diary == [
            "parrot started",
            "parrot cancelled",
            "parrot stopping: Crashed",
            "parrot started",
            "parrot says again",
        ]


@attrs.frozen
class ListChildren(Message[list[ActorRef[ParrotMessage]]]):
    pass


class TestChildren:
    class Parent(Behaviour[ListChildren | Crash]):
        supervision = Supervision(intensity=0)

        def __init__(self, diary: list[str]) -> None:
            self.diary = diary
            self.children: list[ActorRef[ParrotMessage]] = []

        async def started(self) -> None:
            for name in ("ann", "bob"):
                self.children.append(await self.spawn(Parrot, self.diary, name, name=name))

        async def receive(self, message: ListChildren | Crash) -> list[ActorRef[ParrotMessage]]:
            if isinstance(message, Crash):
                raise message.error
            return self.children

        async def stopping(self, ending: Ending) -> None:
            self.diary.append(f"parent stopping: {type(ending).__name__}")

    async def test_children_are_stopped_before_their_parent_last_one_first(
        self, system: System, diary: list[str]
    ) -> None:
        parent = await system.spawn(self.Parent, diary, name="parent")
        children = await parent.ask(ListChildren())
        assert [child.path for child in children] == ["parent/ann", "parent/bob"]
        await parent.stop()
        assert diary[2:] == ["bob stopping: ShutDown", "ann stopping: ShutDown", "parent stopping: ShutDown"]
        assert [child.state for child in children] == [ActorState.STOPPED] * 2

    async def test_children_do_not_outlive_the_incarnation_that_spawned_them(
        self, system: System, diary: list[str]
    ) -> None:
        parent = await system.spawn(self.Parent, diary, name="parent")
        children = await parent.ask(ListChildren())
        await parent.tell(Crash())
        fresh = await parent.ask(ListChildren())
        assert diary[2:] == [
            "bob stopping: Killed",
            "ann stopping: Killed",
            "parent stopping: Crashed",
            "ann started",
            "bob started",
        ]
        with pytest.raises(ActorStoppedError):
            await children[0].tell(Say("hello"))
        assert await fresh[0].ask(Say("hello")) == "hello"

    async def test_a_child_that_fails_too_often_is_a_crash_of_its_parent(
        self, system: System, diary: list[str]
    ) -> None:
        parent = await system.spawn(self.Parent, diary, name="parent", restart=Restart.TEMPORARY)
        children = await parent.ask(ListChildren())
        await children[0].tell(Crash())
        ending = await parent.wait_stopped()
        assert isinstance(ending, Crashed)
        assert isinstance(ending.error, RestartIntensityError)
        assert (ending.error.supervisor, ending.error.child) == ("parent", "parent/ann")
        assert diary[2:] == ["ann stopping: Crashed", "bob stopping: ShutDown", "parent stopping: Crashed"]

    async def test_an_actor_may_have_a_supervisor_of_its_own(self, system: System, diary: list[str]) -> None:
        class Grandparent(Behaviour[ListChildren]):
            async def receive(self, message: ListChildren) -> list[ActorRef[ParrotMessage]]:
                workers = await self.spawn_supervisor("workers", PATIENT)
                return [await workers.spawn(Parrot, diary, name="ann")]

        parent = await system.spawn(Grandparent)
        (child,) = await parent.ask(ListChildren())
        assert child.path == "Grandparent/workers/ann"
        await child.tell(Crash())
        assert await child.ask(Say("again")) == "again"


class TestReference:
    async def test_references_to_one_actor_are_equal(self, system: System) -> None:
        class Selfless(Behaviour[str]):
            async def receive(self, message: str) -> ActorRef[str]:
                return self.ref

        one, other = await system.spawn(Selfless), await system.spawn(Selfless)
        assert await one.ask("you?") == one
        assert len({one, await one.ask("you?"), other}) == 2
        assert one != other
        assert one != "Selfless"

    async def test_a_reference_says_whom_it_addresses_and_what_that_is_doing(self, system: System) -> None:
        parrot = await system.spawn(Parrot, name="polly")
        assert parrot.path == "polly"
        assert repr(parrot) == "<ActorRef 'polly', running>"
        gate = trio.Event()
        await parrot.tell(Wait(gate))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parrot.stop)
            await wait_all_tasks_blocked()
            assert repr(parrot) == "<ActorRef 'polly', stopping>"
            gate.set()
        assert repr(parrot) == "<ActorRef 'polly', stopped>"

    async def test_statistics_say_what_an_actor_is_doing(self, system: System) -> None:
        parrot = await system.spawn(Parrot, capacity=3)
        await parrot.ask(Say("hello"))
        await parrot.tell(Crash())
        await parrot.ask(Say("again"))
        statistics = parrot.statistics()
        assert (statistics.state, statistics.incarnation, statistics.handled) == (ActorState.RUNNING, 2, 2)
        assert (statistics.mailbox.capacity, statistics.mailbox.length) == (3, 0)

    async def test_actors_of_one_name_are_told_apart(self, system: System) -> None:
        refs = [await system.spawn(Parrot, name=name) for name in ("a", "a", None, None)]
        refs.append(await system.spawn(functools.partial(Parrot, name="polly")))
        assert [ref.path for ref in refs] == ["a", "a#2", "Parrot", "Parrot#2", "Parrot#3"]

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"capacity": 0}, "`capacity` must be a whole number from 1, got 0"),
            ({"capacity": True}, "`capacity` must be a whole number from 1, got True"),
            ({"shutdown": -1.0}, "`shutdown` must be seconds, from 0 to math.inf, got -1.0"),
            ({"shutdown": math.nan}, "`shutdown` must be seconds, from 0 to math.inf, got nan"),
            ({"restart": "often"}, "`restart` must be one of Restart.PERMANENT, .*, got 'often'"),
            ({"name": ""}, "`name` must be a text without `/` and `#`"),
            ({"name": "a/b"}, "`name` must be a text without `/` and `#`"),
        ],
    )
    async def test_options_that_are_none_are_refused(self, system: System, options: Any, problem: str) -> None:
        with pytest.raises(ActorDefinitionError, match=problem):
            await system.spawn(Parrot, **options)

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"intensity": -1}, "Actor 'Supervision': `intensity` must be a whole number from 0, got -1"),
            ({"period": 0}, "`period` must be more than 0 seconds, got 0"),
            ({"strategy": "one"}, "`strategy` must be one of RestartStrategy.ONE_FOR_ONE, .*, got 'one'"),
        ],
    )
    def test_supervisions_that_are_none_are_refused(self, options: Any, problem: str) -> None:
        with pytest.raises(ActorDefinitionError, match=problem):
            Supervision(**options)
