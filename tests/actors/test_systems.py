"""Actors in systems: how long they live, beside runs, when the host is cancelled or raises, several systems at once."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from flujo_actors import (
    ActorRef,
    AskTimeoutError,
    RestartIntensityError,
    SpanStatus,
    Step,
    Supervision,
    SystemClosedError,
    open_system,
)
from flujo_actors.actors import Behaviour, Ending, Killed, ShutDown
from flujo_actors.storage import MemoryBackend
from tests.actors.conftest import Crash, Parrot, Say, Wait


async def ask(word: str, *, resources: ActorRef[Any]) -> str:
    """An agent that asks an actor, after a while."""
    await trio.sleep(1)
    return await resources.ask(Say(word))


async def echo(word: str) -> str:
    """An agent."""
    await trio.lowlevel.checkpoint()
    return word


async def sleep_and_note(diary: list[str]) -> None:
    """An agent that notes when it is stopped."""
    try:
        await trio.sleep_forever()
    finally:
        diary.append("run cancelled")


class TestLeaving:
    async def test_actors_are_stopped_last_one_first_when_the_block_is_left(self, diary: list[str]) -> None:
        async with open_system() as system:
            for name in "abc":
                await system.spawn(Parrot, diary, name)
        assert diary[3:] == [f"{name} stopping: ShutDown" for name in "cba"]

    async def test_what_was_told_before_the_block_was_left_is_handled(self, diary: list[str]) -> None:
        async with open_system() as system:
            parrot = await system.spawn(Parrot, diary)
            for word in ("one", "two"):
                await parrot.tell(Say(word))
        assert diary[1:] == ["parrot says one", "parrot says two", "parrot stopping: ShutDown"]

    async def test_an_actor_that_runs_pipelines_does_so_for_all_that_it_was_told_before(self) -> None:
        backend = MemoryBackend()

        class Runner(Behaviour[str]):
            async def receive(self, message: str) -> None:
                await system.run(Step[str, str, object]("echo", echo), message)

        async with open_system(storage=backend) as system:
            runner = await system.spawn(Runner)
            for word in ("one", "two", "three"):
                await runner.tell(word)
        assert isinstance(await runner.wait_stopped(), ShutDown)
        assert [run.status for run in backend.list_runs()] == [SpanStatus.COMPLETED] * 3
        assert all(backend.get_trace(run.run_id) for run in backend.list_runs())

    async def test_a_run_that_an_actor_begins_while_it_is_stopped_has_its_shutdown_time(
        self, autojump_clock: MockClock
    ) -> None:
        class Runner(Behaviour[float]):
            async def receive(self, message: float) -> None:
                await system.run(Step[float, None, object]("sleep", trio.sleep), message)

        async with open_system() as system:
            runner = await system.spawn(Runner, shutdown=2.0)
            await runner.tell(1)
            await runner.tell(1000)
        assert trio.current_time() == 3
        assert isinstance(await runner.wait_stopped(), Killed)

    async def test_actors_outlive_the_runs_whose_agents_talk_to_them(
        self, diary: list[str], autojump_clock: MockClock
    ) -> None:
        async with open_system() as system:
            parrot = await system.spawn(Parrot, diary)
            run = await system.start(Step("ask", ask), "hello", resources=parrot)
        assert (await run.wait()).output == "hello"
        assert diary == ["parrot started", "parrot says hello", "parrot stopping: ShutDown"]

    async def test_a_system_that_is_closed_or_closing_starts_no_actors(self, autojump_clock: MockClock) -> None:
        refused: list[str] = []

        async def spawn_late(_: None) -> None:
            await trio.sleep(1)
            with pytest.raises(SystemClosedError) as caught:
                await system.spawn(Parrot)
            refused.append(str(caught.value))

        async with open_system() as system:
            await system.start(Step("spawn", spawn_late), None)
        assert len(refused) == 1
        with pytest.raises(SystemClosedError):
            await system.spawn(Parrot)
        with pytest.raises(SystemClosedError):
            await system.spawn_supervisor("s")

    async def test_runs_that_an_actor_starts_are_no_part_of_the_run_whose_agent_spawned_it(self) -> None:
        class Runner(Parrot):
            async def receive(self, message: Any) -> str:
                return (await system.run(Step("echo", echo), "from the actor")).unwrap()

        async def spawn_and_ask(_: None) -> str:
            runner = await system.spawn(Runner)
            return await runner.ask(Say("run"))

        backend = MemoryBackend()
        async with open_system(storage=backend) as system:
            assert (await system.run(Step("spawn", spawn_and_ask), None)).output == "from the actor"
        assert [run.pipeline for run in backend.list_runs()] == ["echo", "spawn"]

    async def test_references_are_of_no_use_after_the_system(self, diary: list[str]) -> None:
        async with open_system() as system:
            parrot = await system.spawn(Parrot, diary)
        with pytest.raises(Exception, match="Actor 'Parrot' has stopped"):
            await parrot.ask(Say("hello"))
        await parrot.stop()

    async def test_nothing_is_left_running(self) -> None:
        before = trio.lowlevel.current_statistics().tasks_living
        async with open_system() as system:
            supervisor = await system.spawn_supervisor("s")
            for _ in range(3):
                await supervisor.spawn(Parrot)
        assert trio.lowlevel.current_statistics().tasks_living == before


class TestCancellation:
    async def test_when_the_host_is_cancelled_runs_end_first_and_then_actors_last_one_first(
        self, diary: list[str], autojump_clock: MockClock
    ) -> None:
        with trio.move_on_after(1) as scope:
            async with open_system() as system:
                for name in "ab":
                    await (await system.spawn(Parrot, diary, name)).tell(Wait())
                await system.start(Step("sleep", sleep_and_note), diary)
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert trio.current_time() == 1
        assert diary[2:] == [
            "run cancelled",
            *(f"{n} {what}" for n in "ba" for what in ("cancelled", "stopping: Killed")),
        ]

    async def test_when_the_host_raises_actors_are_cancelled_and_its_error_comes_out_as_it_was(
        self, diary: list[str]
    ) -> None:
        with pytest.raises(ValueError, match="mine"):  # noqa: PT012 - the block is what is tested
            async with open_system() as system:
                for name in "ab":
                    await system.spawn(Parrot, diary, name)
                raise ValueError("mine")
        assert diary[2:] == ["b stopping: Killed", "a stopping: Killed"]

    async def test_when_the_host_is_cancelled_while_actors_are_stopping_the_rest_are_cancelled(
        self, diary: list[str], autojump_clock: MockClock
    ) -> None:
        with trio.move_on_after(2) as scope:
            async with open_system() as system:
                for name in "abc":
                    ref = await system.spawn(Parrot, diary, name, shutdown=60)
                    if name == "b":
                        await ref.tell(Wait())
        assert scope.cancelled_caught
        assert trio.current_time() == 2
        assert diary[3:] == ["c stopping: ShutDown", "b cancelled", "b stopping: Killed", "a stopping: Killed"]

    async def test_cleanup_under_a_shield_may_still_talk_to_actors_that_were_started_before(
        self, diary: list[str], autojump_clock: MockClock
    ) -> None:
        class Careful(Parrot):
            def __init__(self, diary: list[str], store: ActorRef[Any]) -> None:
                super().__init__(diary, "careful")
                self.store = store

            async def stopping(self, ending: Ending) -> None:
                with trio.CancelScope(shield=True):
                    self.diary.append(await self.store.ask(Say("stored")))
                    with pytest.raises(AskTimeoutError):
                        await self.store.ask(Wait(), timeout=1)

        with trio.move_on_after(1):
            async with open_system() as system:
                store = await system.spawn(Parrot, diary, "store")
                await system.spawn(Careful, diary, store)
                await trio.sleep_forever()
        assert diary[2:] == ["store says stored", "stored", "store cancelled", "store stopping: Killed"]
        assert trio.current_time() == 2

    async def test_no_message_is_begun_with_after_a_cancellation(self, diary: list[str]) -> None:
        with trio.CancelScope() as scope:
            async with open_system() as system:
                parrot, gate = await system.spawn(Parrot, diary), trio.Event()
                await parrot.tell(Wait(gate))
                await parrot.tell(Say("never"))
                await wait_all_tasks_blocked()
                scope.cancel()
        assert diary[1:] == ["parrot cancelled", "parrot stopping: Killed"]

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
    async def test_what_is_meant_for_the_program_goes_through_to_it(
        self, diary: list[str], error: BaseException
    ) -> None:
        with pytest.raises(type(error)):  # noqa: PT012 - the block is what is tested
            async with open_system() as system:
                supervisor = await system.spawn_supervisor("s")
                await supervisor.spawn(Parrot, diary, "a")
                ref = await supervisor.spawn(Parrot, diary, "b")
                await ref.tell(Crash(error))
                await trio.sleep_forever()
        assert diary[2:] == ["b stopping: Killed", "a stopping: Killed"]

    async def test_an_actor_that_raises_while_it_is_cancelled_does_not_replace_the_cancellation(
        self, autojump_clock: MockClock
    ) -> None:
        class Clumsy(Parrot):
            async def receive(self, message: Any) -> str:
                try:
                    await trio.sleep_forever()
                finally:
                    raise LookupError("dropped it")

        with trio.move_on_after(1) as scope:
            async with open_system() as system:
                await (await system.spawn(Clumsy)).tell(Say("hello"))
                await trio.sleep_forever()
        assert scope.cancelled_caught

    async def test_errors_beside_a_cancellation_in_an_actor_with_a_nursery_do_not_replace_it(
        self, autojump_clock: MockClock
    ) -> None:
        endings: list[Ending] = []

        class Clumsy(Parrot):
            async def receive(self, message: Any) -> str:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.drop)
                    nursery.start_soon(trio.sleep_forever)
                return "never"

            async def stopping(self, ending: Ending) -> None:
                endings.append(ending)

            async def drop(self) -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    raise LookupError("dropped it")

        with trio.move_on_after(1) as scope:
            async with open_system() as system:
                await (await system.spawn(Clumsy)).tell(Say("hello"))
                await trio.sleep_forever()
        assert scope.cancelled_caught
        assert [type(ending) for ending in endings] == [Killed]


class TestGivingUp:
    async def test_runs_are_cancelled_and_recorded_when_the_supervisor_of_actors_gives_up(self) -> None:
        backend = MemoryBackend()
        with pytest.raises(RestartIntensityError):  # noqa: PT012 - the block is what is tested
            async with open_system(storage=backend, supervision=Supervision(intensity=0)) as system:
                parrot = await system.spawn(Parrot)
                await system.start(Step("sleep", trio.sleep), 1000)
                await wait_all_tasks_blocked()
                await parrot.tell(Crash())
                await trio.sleep_forever()
        (run,) = backend.list_runs()
        assert run.status is SpanStatus.CANCELLED

    async def test_the_error_comes_out_also_when_the_block_was_being_left(self, autojump_clock: MockClock) -> None:
        with pytest.raises(RestartIntensityError):  # noqa: PT012 - the block is what is tested
            async with open_system(supervision=Supervision(intensity=0)) as system:
                parrot = await system.spawn(Parrot)
                await system.start(Step("crash", crash_later), None, resources=parrot)


async def crash_later(_: None, *, resources: ActorRef[Any]) -> None:
    """An agent that makes an actor crash, when the system's block has ended."""
    await trio.sleep(1)
    await resources.tell(Crash())
    await trio.sleep_forever()


class TestSideBySide:
    async def test_several_systems_do_not_see_each_other(self, diary: list[str]) -> None:
        async with open_system() as one, open_system() as other:
            polly = await one.spawn(Parrot, diary, "polly", name="polly")
            with pytest.raises(RestartIntensityError):  # noqa: PT012 - the block is what is tested
                async with open_system(supervision=Supervision(intensity=0)) as third:
                    crashing = await third.spawn(Parrot, diary, "third", name="polly")
                    await crashing.tell(Crash())
                    await trio.sleep_forever()
            assert (await other.spawn(Parrot, name="polly")).path == "polly"
            assert await polly.ask(Say("undisturbed")) == "undisturbed"

    async def test_actors_of_different_systems_may_talk_to_each_other(self) -> None:
        class Relay(Parrot):
            def __init__(self, other: ActorRef[Any]) -> None:
                super().__init__()
                self.other = other

            async def receive(self, message: Any) -> Any:
                return await self.other.ask(message)

        async with open_system() as one, open_system() as other:
            relay = await other.spawn(Relay, await one.spawn(Parrot))
            assert await relay.ask(Say("hello")) == "hello"
