"""Supervisors: restart types, strategies, giving up, failed starts, the order of starts and stops, trees."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from flujo_actors import (
    ActorDefinitionError,
    ActorRef,
    ActorStartError,
    ActorStoppedError,
    Restart,
    RestartIntensityError,
    RestartStrategy,
    Supervision,
    SupervisorRef,
    System,
    open_system,
)
from flujo_actors.actors import (
    ActorEvent,
    ActorState,
    ChildFailed,
    ChildStarted,
    ChildStopped,
    Crashed,
    Ending,
    Finished,
    GivingUp,
    Killed,
    Restarting,
    ShutDown,
    reporting,
)
from flujo_actors.events import EventsMissed
from tests.actors.conftest import PATIENT, Crash, Finish, Parrot, Say, Wait, collected


async def family(spawner: System | SupervisorRef, names: str, diary: list[str], **options: Any) -> list[ActorRef[Any]]:
    """A parrot for each letter."""
    return [await spawner.spawn(Parrot, diary, name, name=name, **options) for name in names]


async def settle(ref: ActorRef[Any], message: Any) -> None:
    """Tell an actor, and wait until everybody is done with the consequences."""
    await ref.tell(message)
    await wait_all_tasks_blocked()


def supervision(strategy: RestartStrategy) -> Supervision:
    return Supervision(strategy=strategy, intensity=1000, period=1.0)


class TestRestartTypes:
    @pytest.mark.parametrize("message", [Crash(), Finish()])
    async def test_a_permanent_actor_is_started_again(self, system: System, message: Any) -> None:
        parrot = await system.spawn(Parrot)
        await parrot.tell(message)
        assert await parrot.ask(Say("again")) == "again"
        assert parrot.statistics().incarnation == 2

    async def test_a_transient_actor_is_started_again_after_a_crash(self, system: System) -> None:
        parrot = await system.spawn(Parrot, restart=Restart.TRANSIENT)
        await parrot.tell(Crash())
        assert await parrot.ask(Say("again")) == "again"

    async def test_a_transient_actor_that_stops_itself_has_stopped(self, system: System) -> None:
        parrot = await system.spawn(Parrot, restart=Restart.TRANSIENT)
        await parrot.tell(Finish())
        assert await parrot.wait_stopped() == Finished("told to")

    @pytest.mark.parametrize(("message", "ending"), [(Crash(), Crashed), (Finish(), Finished)])
    async def test_a_temporary_actor_is_never_started_again(
        self, system: System, message: Any, ending: type[Ending]
    ) -> None:
        parrot = await system.spawn(Parrot, restart=Restart.TEMPORARY)
        await parrot.tell(message)
        assert isinstance(await parrot.wait_stopped(), ending)

    async def test_an_actor_that_was_stopped_is_not_started_again(self, system: System) -> None:
        parrot = await system.spawn(Parrot)
        await parrot.stop()
        await wait_all_tasks_blocked()
        assert parrot.state is ActorState.STOPPED
        assert parrot.statistics().incarnation == 1

    async def test_an_actor_that_crashes_while_it_is_being_stopped_is_not_started_again(self, system: System) -> None:
        parrot = await system.spawn(Parrot)
        parrot.tell_nowait(Crash())
        await parrot.stop()
        await wait_all_tasks_blocked()
        assert isinstance(await parrot.wait_stopped(), Crashed)


class TestStrategies:
    async def test_one_for_one_starts_just_the_failed_one_again(self, system: System, diary: list[str]) -> None:
        _, b, _ = await family(system, "abc", diary)
        await b.tell(Crash())
        await b.ask(Say("again"))
        assert diary[3:] == ["b stopping: Crashed", "b started", "b says again"]

    async def test_one_for_all_stops_the_others_in_reverse_and_starts_all_in_order(
        self, system: System, diary: list[str]
    ) -> None:
        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.ONE_FOR_ALL))
        _, b, c = await family(supervisor, "abc", diary)
        await settle(b, Crash())
        await c.ask(Say("again"))
        assert diary[3:] == [
            "b stopping: Crashed",
            "c stopping: ShutDown",
            "a stopping: ShutDown",
            "a started",
            "b started",
            "c started",
            "c says again",
        ]

    async def test_rest_for_one_does_so_with_those_that_were_started_later(
        self, system: System, diary: list[str]
    ) -> None:
        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.REST_FOR_ONE))
        _, b, _, d = await family(supervisor, "abcd", diary)
        await settle(b, Crash())
        await d.ask(Say("again"))
        assert diary[4:] == [
            "b stopping: Crashed",
            "d stopping: ShutDown",
            "c stopping: ShutDown",
            "b started",
            "c started",
            "d started",
            "d says again",
        ]

    async def test_references_of_siblings_stay_good(self, system: System, diary: list[str]) -> None:
        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.ONE_FOR_ALL))
        refs = await family(supervisor, "abc", diary)
        await refs[0].tell(Crash())
        assert [await ref.ask(Say("hello")) for ref in refs] == ["hello"] * 3

    async def test_messages_wait_while_a_sibling_s_failure_is_dealt_with(
        self, system: System, diary: list[str], autojump_clock: MockClock
    ) -> None:
        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.ONE_FOR_ALL))
        a, b = await family(supervisor, "ab", diary, shutdown=2)
        b.tell_nowait(Wait())
        b.tell_nowait(Say("kept"))
        await wait_all_tasks_blocked()
        await settle(a, Crash())
        assert (a.state, b.state) == (ActorState.RESTARTING, ActorState.STOPPING)
        await b.ask(Say("new"))
        assert trio.current_time() == 2
        assert diary[2:] == [
            "a stopping: Crashed",
            "b cancelled",
            "b stopping: Killed",
            "a started",
            "b started",
            "b says kept",
            "b says new",
        ]

    async def test_a_temporary_sibling_is_stopped_for_good(self, system: System, diary: list[str]) -> None:
        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.ONE_FOR_ALL))
        (a,) = await family(supervisor, "a", diary)
        (b,) = await family(supervisor, "b", diary, restart=Restart.TEMPORARY)
        await a.tell(Crash())
        assert await b.wait_stopped() == ShutDown("it is affected by 's/a'")
        assert await a.ask(Say("again")) == "again"
        assert supervisor.statistics().children == ("s/a",)

    async def test_a_temporary_actor_that_crashes_leaves_its_siblings_alone(
        self, system: System, diary: list[str]
    ) -> None:
        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.ONE_FOR_ALL))
        (a,) = await family(supervisor, "a", diary, restart=Restart.TEMPORARY)
        (b,) = await family(supervisor, "b", diary)
        await a.tell(Crash())
        await a.wait_stopped()
        await b.ask(Say("undisturbed"))
        assert diary[2:] == ["a stopping: Crashed", "b says undisturbed"]

    async def test_siblings_that_fail_at_once_are_started_again_together_and_both_failures_are_told(
        self, system: System, diary: list[str]
    ) -> None:
        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.ONE_FOR_ALL))
        a, b = await family(supervisor, "ab", diary)
        async with collected(system) as events:
            a.tell_nowait(Crash())
            b.tell_nowait(Crash())
            assert [await a.ask(Say("again")), await b.ask(Say("again"))] == ["again"] * 2
        assert sorted(event.child for event in events if isinstance(event, ChildFailed)) == ["s/a", "s/b"]
        assert len([event for event in events if isinstance(event, Restarting)]) == 1
        assert [ref.statistics().incarnation for ref in (a, b)] == [2, 2]

    async def test_a_sibling_that_has_just_stopped_itself_is_not_brought_back(
        self, system: System, diary: list[str]
    ) -> None:
        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.ONE_FOR_ALL))
        a, gate = await supervisor.spawn(Parrot, diary, "a", name="a"), trio.Event()
        b = await supervisor.spawn(Parrot, diary, "b", name="b", restart=Restart.TRANSIENT)
        for ref, message in ((a, Crash()), (b, Finish())):
            ref.tell_nowait(Wait(gate))
            ref.tell_nowait(message)
        await wait_all_tasks_blocked()
        gate.set()
        assert await b.wait_stopped() == Finished("told to")
        assert await a.ask(Say("again")) == "again"
        assert diary.count("b started") == 1


class TestGivingUp:
    async def test_one_restart_more_than_the_intensity_ends_the_system_s_block(self) -> None:
        with pytest.raises(RestartIntensityError) as caught:  # noqa: PT012 - the block is what is tested
            async with open_system() as system:
                parrot = await system.spawn(Parrot, name="polly")
                for _ in range(2):
                    await parrot.tell(Crash())
                await trio.sleep_forever()
        error = caught.value
        assert str(error) == (
            "The system's supervisor of actors gave up on 'polly', after 1 restart within 5.0 s: "
            "it crashed: ValueError: boom"
        )
        assert (error.supervisor, error.child, error.intensity, error.period) == ("", "polly", 1, 5.0)
        assert isinstance(error.__cause__, ValueError)

    async def test_restarts_that_are_far_enough_apart_are_put_up_with(self, autojump_clock: MockClock) -> None:
        async with open_system() as system:
            parrot = await system.spawn(Parrot)
            for _ in range(20):
                await parrot.tell(Crash())
                await trio.sleep(5.5)
            assert parrot.statistics().incarnation == 21

    async def test_the_restarts_of_all_children_count(self) -> None:
        with pytest.raises(RestartIntensityError):  # noqa: PT012 - the block is what is tested
            async with open_system() as system:
                for _ in range(2):
                    await (await system.spawn(Parrot)).tell(Crash())
                await trio.sleep_forever()

    async def test_an_actor_that_stops_itself_too_often_is_named_with_a_way_out(self) -> None:
        with pytest.raises(RestartIntensityError, match=r"told to \(`Restart.TRANSIENT` lets it end\)") as caught:  # noqa: PT012
            async with open_system() as system:
                parrot = await system.spawn(Parrot)
                for _ in range(2):
                    await parrot.tell(Finish())
                await trio.sleep_forever()
        assert caught.value.__cause__ is None

    async def test_a_supervisor_that_gives_up_stops_its_children_in_reverse_order(self, diary: list[str]) -> None:
        with pytest.raises(RestartIntensityError):  # noqa: PT012 - the block is what is tested
            async with open_system(supervision=Supervision(intensity=0)) as system:
                _, b, _ = await family(system, "abc", diary)
                await b.tell(Crash())
                await trio.sleep_forever()
        assert diary[3:] == ["b stopping: Crashed", "c stopping: ShutDown", "a stopping: ShutDown"]

    async def test_a_supervisor_that_gives_up_is_started_again_by_its_own_with_its_children(
        self, system: System, diary: list[str]
    ) -> None:
        supervisor = await system.spawn_supervisor("s", Supervision(intensity=0))
        refs = await family(supervisor, "ab", diary)
        await settle(refs[0], Crash())
        assert [await ref.ask(Say("again")) for ref in refs] == ["again"] * 2
        assert diary[2:] == [
            "a stopping: Crashed",
            "b stopping: ShutDown",
            "a started",
            "b started",
            "a says again",
            "b says again",
        ]
        statistics = supervisor.statistics()
        assert (statistics.incarnation, statistics.children) == (2, ("s/a", "s/b"))

    async def test_a_temporary_supervisor_that_gives_up_takes_its_children_with_it(
        self, system: System, diary: list[str], autojump_clock: MockClock
    ) -> None:
        supervisor = await system.spawn_supervisor("s", Supervision(intensity=0), restart=Restart.TEMPORARY)
        a, b = await family(supervisor, "ab", diary)
        b.tell_nowait(Wait())
        await a.tell(Crash())
        assert isinstance(await supervisor.wait_stopped(), Crashed)
        with pytest.raises(ActorStoppedError):
            await a.tell(Say("hello"))
        with pytest.raises(ActorStoppedError, match="'s' has stopped"):
            await supervisor.spawn(Parrot)

    async def test_failure_climbs_through_a_tree_of_supervisors(self) -> None:
        with pytest.raises(RestartIntensityError) as caught:  # noqa: PT012 - the block is what is tested
            async with open_system(supervision=Supervision(intensity=0)) as system:
                top = await system.spawn_supervisor("top", Supervision(intensity=1))
                middle = await top.spawn_supervisor("middle", Supervision(intensity=1))
                leaf = await middle.spawn(Parrot, name="leaf")
                for _ in range(4):  # twice for each incarnation of `middle`, of which there are two
                    await leaf.tell(Crash())
                await trio.sleep_forever()
        chain: list[tuple[str, str]] = []
        error: BaseException | None = caught.value
        while isinstance(error, RestartIntensityError):
            chain.append((error.supervisor, error.child))
            error = error.__cause__
        assert chain == [("", "top"), ("top", "top/middle"), ("top/middle", "top/middle/leaf")]
        assert isinstance(error, ValueError)

    async def test_the_error_of_the_host_and_that_of_the_supervisor_come_out_together(self) -> None:
        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the block is what is tested
            async with open_system(supervision=Supervision(intensity=0)) as system:
                await (await system.spawn(Parrot)).tell(Crash())
                try:
                    await trio.sleep_forever()
                finally:
                    raise LookupError("the host's")
        assert {type(error) for error in caught.value.exceptions} == {LookupError, RestartIntensityError}


class Weak(Parrot):
    """Cannot be started in some of its incarnations."""

    def __init__(self, diary: list[str], name: str, weak: list[bool]) -> None:
        super().__init__(diary, name)
        self.weak = weak

    async def started(self) -> None:
        if self.weak.pop(0):
            self.diary.append(f"{self.name} too weak")
            raise ValueError("too weak")
        await super().started()


class TestFailedStarts:
    async def test_a_restart_that_fails_is_tried_again_and_counts(self, system: System, diary: list[str]) -> None:
        weak = await system.spawn(Weak, diary, "w", [False, True, True, False], name="w")
        async with collected(system) as events:
            await weak.tell(Crash())
            assert await weak.ask(Say("at last")) == "at last"
        assert diary[1:] == ["w stopping: Crashed", "w too weak", "w too weak", "w started", "w says at last"]
        assert [event.restarts for event in events if isinstance(event, Restarting)] == [1, 2, 3]
        assert [event.started for event in events if isinstance(event, ChildFailed)] == [True, False, False]

    async def test_a_restart_that_fails_too_often_makes_the_supervisor_give_up(self, diary: list[str]) -> None:
        with pytest.raises(RestartIntensityError, match=r"'w', after 1 restart .* ValueError: too weak"):  # noqa: PT012
            async with open_system() as system:
                weak = await system.spawn(Weak, diary, "w", [False, True], name="w")
                await weak.tell(Crash())
                await trio.sleep_forever()

    async def test_one_for_all_begins_anew_when_one_of_all_cannot_be_started(
        self, system: System, diary: list[str]
    ) -> None:
        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.ONE_FOR_ALL))
        (a,) = await family(supervisor, "a", diary)
        await supervisor.spawn(Weak, diary, "w", [False, True, False], name="w")
        (c,) = await family(supervisor, "c", diary)
        await settle(a, Crash())
        await c.ask(Say("again"))
        assert diary[3:] == [
            "a stopping: Crashed",
            "c stopping: ShutDown",
            "w stopping: ShutDown",
            "a started",
            "w too weak",
            "a stopping: ShutDown",
            "a started",
            "w started",
            "c started",
            "c says again",
        ]

    async def test_a_supervisor_whose_children_cannot_be_started_again_has_failed_to_start(
        self, system: System, diary: list[str]
    ) -> None:
        supervisor = await system.spawn_supervisor("s", Supervision(intensity=0))
        (a,) = await family(supervisor, "a", diary)
        await supervisor.spawn(Weak, diary, "w", [False, True, False], name="w")
        async with collected(system) as events:
            await settle(a, Crash())
            assert await a.ask(Say("again")) == "again"
        failures = [event for event in events if isinstance(event, ChildFailed)]
        assert [(event.child, event.started) for event in failures] == [
            ("s/a", True),
            ("s", True),
            ("s/w", False),
            ("s", False),
        ]
        assert isinstance(failures[3].error, ActorStartError)
        assert diary[2:] == [
            "a stopping: Crashed",
            "w stopping: ShutDown",
            "a started",
            "w too weak",
            "a stopping: ShutDown",
            "a started",
            "w started",
            "a says again",
        ]

    async def test_a_first_start_that_fails_disturbs_nobody(self, system: System, diary: list[str]) -> None:
        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.ONE_FOR_ALL))
        (a,) = await family(supervisor, "a", diary)
        with pytest.raises(ActorStartError):
            await supervisor.spawn(Weak, diary, "w", [True], name="w")
        assert await a.ask(Say("undisturbed")) == "undisturbed"
        assert diary == ["a started", "w too weak", "a says undisturbed"]
        assert supervisor.statistics().children == ("s/a",)


class TestSpawning:
    async def test_a_cancelled_spawn_leaves_nothing(self, system: System, diary: list[str]) -> None:
        class Slow(Parrot):
            async def started(self) -> None:
                try:
                    await trio.sleep_forever()
                finally:
                    self.diary.append("cleaned up")

        async def spawn() -> None:
            await system.spawn(Slow, diary)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(spawn)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert diary == ["cleaned up"]
        parrot = await system.spawn(Parrot, diary)
        assert parrot.statistics().incarnation == 1

    async def test_a_spawn_that_is_cancelled_the_moment_the_actor_has_started_leaves_nothing_either(
        self, system: System, diary: list[str]
    ) -> None:
        scope = trio.CancelScope()

        class Quick(Parrot):
            async def started(self) -> None:
                await super().started()
                scope.cancel()

        with scope:
            await system.spawn(Quick, diary)
            raise AssertionError("it was cancelled")  # pragma: no cover
        await wait_all_tasks_blocked()
        assert diary == ["parrot started", "parrot stopping: Killed"]

    async def test_actors_may_be_spawned_side_by_side(self, system: System, autojump_clock: MockClock) -> None:
        class Slow(Parrot):
            async def started(self) -> None:
                await trio.sleep(1)

        async def spawn() -> None:
            await system.spawn(Slow)

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(spawn)
        assert trio.current_time() == 1

    async def test_an_actor_may_spawn_its_own_siblings_also_when_it_is_started_again(
        self, system: System, diary: list[str]
    ) -> None:
        class Leader(Parrot):
            async def started(self) -> None:
                await super().started()
                await system.spawn(Parrot, self.diary, "follower")

        leader = await system.spawn(Leader, diary, "leader")
        await leader.tell(Crash())
        assert await leader.ask(Say("again")) == "again"
        assert diary == [
            "leader started",
            "follower started",
            "leader stopping: Crashed",
            "leader started",
            "follower started",
            "leader says again",
        ]

    async def test_a_supervisor_that_is_being_started_again_takes_new_children_when_it_is_up(
        self, system: System, diary: list[str], autojump_clock: MockClock
    ) -> None:
        supervisor = await system.spawn_supervisor("s", Supervision(intensity=0))
        a, b = await family(supervisor, "ab", diary, shutdown=3)
        await b.tell(Wait())
        await a.tell(Crash())
        await wait_all_tasks_blocked()  # the supervisor has given up, and waits for b to stop
        assert supervisor.state is ActorState.RUNNING
        (c,) = await family(supervisor, "c", diary)
        assert trio.current_time() == 3
        assert await c.ask(Say("hello")) == "hello"
        assert supervisor.statistics().children == ("s/a", "s/b", "s/c")

    async def test_a_supervisor_that_is_being_stopped_takes_no_children(self, system: System, diary: list[str]) -> None:
        supervisor, gate = await system.spawn_supervisor("s"), trio.Event()
        (a,) = await family(supervisor, "a", diary)
        await a.tell(Wait(gate))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(supervisor.stop)
            await wait_all_tasks_blocked()
            with pytest.raises(ActorStoppedError, match="Actor 's' has stopped"):
                await supervisor.spawn(Parrot)
            gate.set()

    async def test_what_is_no_supervision_is_refused(self, system: System) -> None:
        with pytest.raises(ActorDefinitionError, match="Actor 's': `supervision` must be a Supervision, got 3"):
            await system.spawn_supervisor("s", 3)  # type: ignore[arg-type] # what is tested


class TestShutdown:
    async def test_a_supervisor_stops_its_children_in_reverse_order(self, system: System, diary: list[str]) -> None:
        supervisor = await system.spawn_supervisor("s")
        await family(supervisor, "abc", diary)
        await supervisor.stop("enough")
        assert diary[3:] == [f"{name} stopping: ShutDown" for name in "cba"]
        assert await supervisor.wait_stopped() == ShutDown("enough")

    async def test_whole_trees_are_stopped_from_the_leaves_up(self, system: System, diary: list[str]) -> None:
        outer = await system.spawn_supervisor("outer")
        await family(outer, "a", diary)
        inner = await outer.spawn_supervisor("inner")
        await family(inner, "bc", diary)
        await family(outer, "d", diary)
        await outer.stop()
        assert diary[4:] == [f"{name} stopping: ShutDown" for name in "dcba"]

    async def test_a_supervisor_has_all_the_time_it_takes_unless_it_was_said(
        self, system: System, diary: list[str], autojump_clock: MockClock
    ) -> None:
        patient = await system.spawn_supervisor("patient")
        hasty = await system.spawn_supervisor("hasty", shutdown=1)
        for supervisor in (patient, hasty):
            for ref in await family(supervisor, "ab", diary, shutdown=10):
                await ref.tell(Wait())
        await patient.stop()
        assert trio.current_time() == 20
        await hasty.stop()
        assert trio.current_time() == 21
        assert isinstance(await hasty.wait_stopped(), Killed)
        assert diary[4:] == [f"{name} {what}" for name in "baba" for what in ("cancelled", "stopping: Killed")]

    async def test_a_supervisor_that_is_stopped_waits_for_no_start(
        self, system: System, diary: list[str], autojump_clock: MockClock
    ) -> None:
        class SecondTimeSlow(Parrot):
            async def started(self) -> None:
                await super().started()
                if len(self.diary) > 1:
                    await trio.sleep_forever()

        supervisor = await system.spawn_supervisor("s")
        slow = await supervisor.spawn(SecondTimeSlow, diary, shutdown=2)
        await slow.tell(Crash())
        await wait_all_tasks_blocked()
        assert slow.state is ActorState.RESTARTING
        await supervisor.stop()
        assert trio.current_time() == 2
        assert isinstance(await slow.wait_stopped(), Killed)

    async def test_a_supervisor_that_is_stopped_starts_nobody_again(
        self, system: System, diary: list[str], autojump_clock: MockClock
    ) -> None:
        class Slow(Parrot):
            async def started(self) -> None:
                await trio.sleep(1)
                await super().started()

        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.ONE_FOR_ALL))
        slow = await supervisor.spawn(Slow, diary, "slow")
        (a,) = await family(supervisor, "a", diary)
        await settle(slow, Crash())
        await supervisor.stop("enough")
        assert diary[2:] == [
            "slow stopping: Crashed",
            "a stopping: ShutDown",
            "slow started",
            "slow stopping: ShutDown",
        ]
        assert await a.wait_stopped() == ShutDown("it is affected by 's/Slow'")

    async def test_an_actor_may_be_stopped_while_its_supervisor_is_busy(
        self, system: System, diary: list[str], autojump_clock: MockClock
    ) -> None:
        a, b = await family(system, "ab", diary, shutdown=3)
        await a.tell(Wait())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(a.stop)
            await wait_all_tasks_blocked()
            await b.stop()
        assert diary[2:] == ["a cancelled", "a stopping: Killed", "b stopping: ShutDown"]

    async def test_actors_that_stop_each_other_come_to_an_end(self, system: System, autojump_clock: MockClock) -> None:
        class Rival(Parrot):
            async def receive(self, message: Any) -> Any:
                await message.stop()

        one, other = await system.spawn(Rival, name="one"), await system.spawn(Rival, name="other")
        one.tell_nowait(other)  # type: ignore[arg-type] # any message will do
        other.tell_nowait(one)  # type: ignore[arg-type] # any message will do
        await one.wait_stopped()
        await other.wait_stopped()
        assert trio.current_time() <= 10

    async def test_a_brutal_end_is_possible_for_supervisors_too(self, system: System, diary: list[str]) -> None:
        supervisor = await system.spawn_supervisor("s", shutdown=0)
        await family(supervisor, "ab", diary, shutdown=math.inf)
        await supervisor.stop("brutally")
        assert diary[2:] == ["b stopping: Killed", "a stopping: Killed"]


class TestEvents:
    async def test_every_decision_is_told_before_it_is_acted_on(self, system: System, diary: list[str]) -> None:
        stream = system.actor_events()

        class Listener(Parrot):
            async def started(self) -> None:
                self.hear()
                await super().started()

            async def stopping(self, ending: Ending) -> None:
                self.hear()
                await super().stopping(ending)

            def hear(self) -> None:
                while True:
                    try:
                        self.diary.append(f"heard: {stream.receive_nowait()}")
                    except trio.WouldBlock:
                        return

        supervisor = await system.spawn_supervisor("s", supervision(RestartStrategy.ONE_FOR_ALL))
        a, b = [await supervisor.spawn(Listener, diary, name, name=name) for name in "ab"]
        await b.tell(Crash())
        await b.ask(Say("again"))
        await supervisor.stop("enough")
        assert diary == [
            "heard: started 's', incarnation 1",
            "a started",
            "heard: started 's/a', incarnation 1",
            "b started",
            "heard: started 's/b', incarnation 1",
            "b stopping: Crashed",
            "heard: 's/b' crashed, incarnation 1: ValueError: boom",
            "heard: restarting s/a, s/b after stopping s/a, because of 's/b': it crashed: ValueError: boom",
            "heard: stopping 's/a': it is affected by 's/b'",
            "a stopping: ShutDown",
            "a started",
            "heard: started 's/a', incarnation 2",
            "b started",
            "b says again",
            "heard: started 's/b', incarnation 2",
            "heard: stopping 's': enough",
            "heard: stopping 's/b': enough",
            "b stopping: ShutDown",
            "heard: 's/b' has stopped: it was stopped: enough",
            "heard: stopping 's/a': enough",
            "a stopping: ShutDown",
        ]
        assert a.state is b.state is ActorState.STOPPED

    async def test_giving_up_is_told_before_the_children_are_stopped(self) -> None:
        streams: list[trio.MemoryReceiveChannel[ActorEvent | EventsMissed]] = []
        with pytest.raises(RestartIntensityError):  # noqa: PT012 - the block is what is tested
            async with open_system(supervision=Supervision(intensity=0)) as system:
                streams.append(system.actor_events())
                parrot = await system.spawn(Parrot, name="polly")
                await system.spawn(Parrot, name="other")
                parrot.tell_nowait(Crash())
                parrot.tell_nowait(Say("unread"))
                await trio.sleep_forever()
        async with streams[0] as stream:
            events = [event async for event in stream]
        assert [str(event) for event in events][2:] == [
            "'polly' crashed, incarnation 1: ValueError: boom",
            "the system's supervisor gives up because of 'polly': it crashed: ValueError: boom",
            "stopping 'other': its supervisor has failed",
            "'other' has stopped: it was stopped: its supervisor has failed",
            "'polly' has stopped, 1 message unread: it crashed: ValueError: boom",
        ]
        assert isinstance(events[3], GivingUp)

    async def test_events_end_with_the_system(self) -> None:
        async with open_system() as system:
            early = system.actor_events()
            await system.spawn(Parrot, name="polly")
        async with early:
            seen = [event async for event in early]
        assert [type(event) for event in seen][-1] is ChildStopped
        assert seen[0] == ChildStarted("polly", 1)
        async with system.actor_events() as late:
            assert [event async for event in late] == []

    async def test_a_slow_reader_holds_nobody_up_and_is_told_how_many_events_it_missed(
        self, system: System, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reporting, "EVENT_BUFFER", 2)
        async with system.actor_events() as stream:
            for _ in range(5):
                await system.spawn(Parrot, name="polly")
            assert [await stream.receive() for _ in range(2)] == [
                ChildStarted("polly", 1),
                ChildStarted("polly#2", 1),
            ]
            await system.spawn(Parrot, name="polly")
            assert await stream.receive() == EventsMissed(3)
            assert await stream.receive() == ChildStarted("polly#6", 1)

    async def test_a_reader_that_has_left_is_forgotten(self, system: System) -> None:
        for _ in range(3):
            system.actor_events().close()
        async with system.actor_events() as stream:
            await system.spawn(Parrot, name="polly")
            assert await stream.receive() == ChildStarted("polly", 1)

    async def test_a_crash_is_logged_with_its_traceback_and_a_restart_as_a_warning(
        self, system: System, caplog: pytest.LogCaptureFixture
    ) -> None:
        parrot = await system.spawn(Parrot, name="polly")
        await parrot.tell(Crash())
        await parrot.ask(Say("again"))
        crash, restart = caplog.records
        assert (crash.name, crash.levelname) == ("flujo_actors.actors", "ERROR")
        assert crash.getMessage() == "'polly' crashed, incarnation 1: ValueError: boom"
        assert crash.exc_info is not None
        assert "raise error" in caplog.text
        assert (restart.levelname, restart.getMessage()) == (
            "WARNING",
            "restarting polly, because of 'polly': it crashed: ValueError: boom",
        )


class TestSupervisorReference:
    async def test_a_supervisor_says_what_it_is_doing(self, system: System) -> None:
        supervisor = await system.spawn_supervisor("s", PATIENT)
        await supervisor.spawn(Parrot, name="polly")
        await supervisor.spawn_supervisor("below")
        statistics = supervisor.statistics()
        assert (statistics.state, statistics.incarnation) == (ActorState.RUNNING, 1)
        assert statistics.children == ("s/polly", "s/below")
        assert repr(supervisor) == "<SupervisorRef 's', running>"
