"""Laws of supervision, on generated families whose children are killed, stopped, asked and added at random moments.

Whatever happens: no child has two lives at once, every ask is answered or fails by its deadline, references stay good,
starts and stops keep their order, restart types are respected, and nothing is left running.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import attrs
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    ActorRef,
    ActorStartError,
    ActorStoppedError,
    AskError,
    Behaviour,
    Restart,
    RestartStrategy,
    Supervision,
    SupervisorRef,
    System,
    open_system,
)
from flujo_actors.actors import (
    ActorState,
    ChildStarted,
    ChildStopping,
    Ending,
    Finished,
    GivingUp,
    Killed,
    Restarting,
    ShutDown,
)
from flujo_actors.events import EventsMissed

PERIOD = 1.0
PATIENCE = Supervision(intensity=1_000_000, period=PERIOD)
ASK_TIMEOUT = 4.0
SHUTDOWN = 2.0


@attrs.frozen
class Operation:
    """Something that is done to one child of the family, and then a pause, or none."""

    what: str
    whom: int
    seconds: float | None


class End(enum.Enum):
    """How the system's block is left."""

    NORMALLY = enum.auto()
    BY_AN_ERROR = enum.auto()
    CANCELLED = enum.auto()


@attrs.frozen
class Stop:
    """An incarnation has ended."""

    name: str
    ending: Ending
    at: float


@attrs.define
class World:
    """What has happened."""

    alive: list[str] = attrs.Factory(list[str])
    starts: list[str] = attrs.Factory(list[str])
    """Names, once for each incarnation."""
    stops: list[Stop] = attrs.Factory(list["Stop"])
    violations: list[str] = attrs.Factory(list[str])
    types: dict[str, Restart] = attrs.Factory(dict[str, Restart])
    refs: dict[str, ActorRef[str]] = attrs.Factory(dict[str, ActorRef[str]])
    stopped: set[str] = attrs.Factory(set[str])
    """Those for which a `stop` has returned."""
    asked: int = 0
    ended_at: float = 0.0
    """When the end of the system began."""
    outcomes: list[Any] = attrs.Factory(list[Any])

    def check(self, what: str, *, holds: bool) -> None:
        if not holds:
            self.violations.append(what)


class Worker(Behaviour[str]):
    """Does as it is told; cannot be started again at every third attempt."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.busy = False

    async def started(self) -> None:
        world, name = self.world, self.name
        await trio.sleep(0.01)
        if world.starts.count(name) % 3 == 2 and name.endswith("fragile"):
            world.starts.append(name)
            raise LookupError("not today")
        world.check(f"{name} has two lives", holds=name not in world.alive)
        world.check(f"{name} was brought back after `stop`", holds=name not in world.stopped)
        world.starts.append(name)
        world.alive.append(name)

    async def receive(self, message: str) -> str:
        self.world.check("two messages at once", holds=not self.busy)
        self.busy = True
        match message:
            case "crash":
                raise ValueError("boom")
            case "finish":
                self.stop()
            case "work":
                await trio.sleep(1.5)
            case "hang":
                await trio.sleep_forever()
            case "later":
                reply = self.reply_later(message)
                self.start_soon(self.answer, reply)
            case _:
                await trio.lowlevel.checkpoint()
        self.busy = False
        return f"{self.name}: {message}"

    async def answer(self, reply: Any) -> None:
        await trio.sleep(0.7)
        reply.send(f"{self.name}: later")

    async def stopping(self, ending: Ending) -> None:
        self.world.alive.remove(self.name)
        self.world.stops.append(Stop(self.name, ending, trio.current_time()))
        await trio.sleep(0.02)


async def act(operation: Operation, world: World, family: SupervisorRef, nursery: trio.Nursery) -> None:
    """Do it, without waiting for the consequences."""
    name = sorted(world.refs)[operation.whom % len(world.refs)]
    match operation.what:
        case "spawn":
            await add(world, family, list(Restart)[operation.whom % 3], fragile=False)
        case "stop":
            nursery.start_soon(stop, world, name)
        case "crash" | "finish":
            tell(world.refs[name], operation.what)
        case _:
            world.asked += 1
            nursery.start_soon(ask, world, name, operation.what)


async def add(world: World, family: SupervisorRef, restart: Restart, *, fragile: bool) -> None:
    """Add a child, the last in order and by name."""
    name = f"{len(world.types):02}{' fragile' if fragile else ''}"
    world.types[name] = restart
    with suppress(ActorStartError):  # the supervisor was stopped meanwhile
        world.refs[name] = await family.spawn(
            Worker, world, name, name=name, restart=restart, shutdown=SHUTDOWN, capacity=2
        )


def tell(ref: ActorRef[str], message: str) -> None:
    with suppress(trio.WouldBlock, ActorStoppedError):
        ref.tell_nowait(message)


async def stop(world: World, name: str) -> None:
    await world.refs[name].stop()
    world.stopped.add(name)


async def ask(world: World, name: str, message: str) -> None:
    begun = trio.current_time()
    try:
        answer = await world.refs[name].ask(message, timeout=ASK_TIMEOUT)
        world.check(f"answered {answer} to {name}: {message}", holds=answer == f"{name}: {message}")
        world.outcomes.append(answer)
    except (AskError, ActorStoppedError) as error:
        world.outcomes.append(error)
    except trio.Cancelled:
        world.outcomes.append("cancelled")
        raise
    finally:
        took = trio.current_time() - begun
        world.check(f"an ask took {took} s", holds=took <= ASK_TIMEOUT + 1e-6)


@attrs.frozen
class Case:
    """A family, what happens to it, and how it ends."""

    strategy: RestartStrategy
    intensity: int
    children: tuple[tuple[Restart, bool], ...]
    """Restart type, and whether restarts fail at times."""
    operations: tuple[Operation, ...]
    end: End
    ends_at: float


async def live(case: Case, world: World, system: System) -> None:
    """Make the family, and let it happen."""
    supervision = Supervision(strategy=case.strategy, intensity=case.intensity, period=PERIOD)
    family = await system.spawn_supervisor("family", supervision)
    for restart, fragile in case.children:
        await add(world, family, restart, fragile=fragile)
    async with trio.open_nursery() as nursery:
        for operation in case.operations:
            await act(operation, world, family, nursery)
            if operation.seconds is not None:
                await trio.sleep(operation.seconds)
    await settle(world)


async def settle(world: World) -> None:
    """Wait until all is quiet; then whoever has not stopped for good answers."""
    await trio.sleep(60)
    for name, ref in world.refs.items():
        if ref.state is ActorState.STOPPED:
            continue
        world.check(f"{name} is {ref.state}", holds=ref.state is ActorState.RUNNING)
        if ref.statistics().mailbox.length == 0 and not await hangs(ref):
            world.check(f"{name} does not answer", holds=await ref.ask("ping") == f"{name}: ping")


async def hangs(ref: ActorRef[str]) -> bool:
    """Whether the actor is at work for ever, by order."""
    with trio.move_on_after(1):
        await ref.ask("ping")
        return False
    return True


async def run(case: Case, world: World) -> list[Any]:
    """The whole life of the family, and what was reported of it."""
    before = trio.lowlevel.current_statistics().tasks_living
    events: list[Any] = []

    async def listen(stream: trio.MemoryReceiveChannel[Any]) -> None:
        events.extend([event async for event in stream])

    async with trio.open_nursery() as nursery:
        try:
            with trio.CancelScope() as scope:
                async with open_system(supervision=PATIENCE) as system:
                    nursery.start_soon(listen, system.actor_events())
                    if case.end is End.CANCELLED:
                        scope.deadline = trio.current_time() + case.ends_at
                    world.ended_at = scope.deadline
                    await live(case, world, system)
                    world.ended_at = trio.current_time()
                    if case.end is End.BY_AN_ERROR:
                        raise KeyError("mine")
        except KeyError:
            assert case.end is End.BY_AN_ERROR
    assert trio.lowlevel.current_statistics().tasks_living == before
    return events


restart_types = st.sampled_from(Restart)
operations = st.builds(
    Operation,
    st.sampled_from(["crash", "crash", "finish", "work", "later", "ping", "ping", "hang", "stop", "spawn"]),
    st.integers(0, 9),
    st.sampled_from([None, None, 0.0, 0.005, 0.3, 1.2]),
)
cases = st.builds(
    Case,
    st.sampled_from(RestartStrategy),
    st.sampled_from([0, 1, 3, 1000]),
    st.lists(st.tuples(restart_types, st.booleans()), min_size=1, max_size=5).map(tuple),
    st.lists(operations, min_size=1, max_size=15).map(tuple),
    st.sampled_from(End),
    st.floats(0, 6),
)


@given(cases)
def test_the_laws_of_supervision(case: Case) -> None:
    world = World()
    events = trio.run(run, case, world, clock=MockClock(autojump_threshold=0))

    assert world.violations == []
    assert world.alive == [], "nothing is left running"
    assert len(world.outcomes) == world.asked, "every ask is answered or fails"
    assert all(ref.state is ActorState.STOPPED for ref in world.refs.values())
    assert not any(isinstance(event, EventsMissed) for event in events)
    restart_types_are_respected(world)
    the_last_stops_are_in_reverse_order(world)
    for position, event in enumerate(events):
        if isinstance(event, Restarting) and event.supervisor == "family":
            a_restart_is_as_the_strategy_says(case.strategy, event, world)
            what_follows_is_what_was_decided(event, events[position + 1 :])


def restart_types_are_respected(world: World) -> None:
    for name, restart in world.types.items():
        endings = [stop.ending for stop in world.stops if stop.name == name]
        if restart is Restart.TEMPORARY:
            assert world.starts.count(name) <= 1
        if restart is Restart.TRANSIENT:
            assert not any(isinstance(ending, Finished) for ending in endings[:-1])


def the_last_stops_are_in_reverse_order(world: World) -> None:
    """Those that lived until the end were stopped one by one, the last one started first."""
    last = [
        stop.name for stop in world.stops if stop.at >= world.ended_at and isinstance(stop.ending, ShutDown | Killed)
    ]
    assert last == sorted(last, reverse=True)


def a_restart_is_as_the_strategy_says(strategy: RestartStrategy, event: Restarting, world: World) -> None:
    stop, start, failed = (
        [path.removeprefix("family/") for path in part] for part in (event.stop, event.start, [event.failed])
    )
    assert start == sorted(start)
    assert stop == sorted(stop, reverse=True)
    assert failed[0] in start
    assert all(world.types[name] is not Restart.TEMPORARY for name in start)
    assert set(start) <= {*stop, *failed}
    match strategy:
        case RestartStrategy.ONE_FOR_ONE:
            assert (stop, start) == ([], failed)
        case RestartStrategy.REST_FOR_ONE:
            assert all(name > failed[0] for name in stop)
        case RestartStrategy.ONE_FOR_ALL:
            pass


def what_follows_is_what_was_decided(decision: Restarting, later: Sequence[Any]) -> None:
    """Until the next decision the children are stopped and started as it says, first all stops, then the starts."""
    started: list[str] = []
    for event in until_the_next_decision(later):
        if isinstance(event, ChildStopping) and event.child in decision.stop and len(started) < len(decision.start):
            assert started == [], "stops come first"
        if isinstance(event, ChildStarted) and event.incarnation > 1:
            started.append(event.child)
    assert is_subsequence(started[: len(decision.start)], decision.start)


def until_the_next_decision(events: Sequence[Any]) -> Iterator[Any]:
    for event in events:
        if isinstance(event, Restarting | GivingUp) or (isinstance(event, ChildStopping) and event.child == "family"):
            return
        yield event


def is_subsequence(part: Sequence[str], whole: Sequence[str]) -> bool:
    remaining = iter(whole)
    return all(name in remaining for name in part)
