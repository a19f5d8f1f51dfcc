"""Pipelines that are right. Checked by mypy and pyright, never run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, assert_type

import attrs

from flujo_actors import (
    ActorRef,
    AnyStep,
    Behaviour,
    Message,
    Pipeline,
    PipelineResult,
    Reply,
    Restart,
    RetryPolicy,
    Run,
    Step,
    SupervisorRef,
    System,
    UsageMeter,
    run_pipeline,
    step,
)


@attrs.define
class Notes:
    lines: list[str]


@attrs.define
class Settings:
    folder: str


async def parse(text: str) -> int:
    return int(text)


def double(number: int) -> int:
    return number * 2


async def show(number: float) -> str:
    return str(number)


async def note(number: int, *, context: Notes) -> int:
    context.lines.append(str(number))
    return number


async def charge(number: int, *, usage: UsageMeter) -> int:
    usage.charge(cost_usd=0.1)
    return number


async def everything(number: int, *, context: Notes, resources: Settings, usage: UsageMeter) -> str:
    return f"{number} {context} {resources} {usage}"


def note_at_once(number: int, *, context: Notes) -> str:
    return f"{number} {context}"


class Parser:
    async def run(self, text: str) -> int:
        return int(text)


class Doubler:
    def __call__(self, number: int) -> int:
        return number * 2


@step
async def decorated(number: int) -> str:
    return str(number)


@step(name="other", timeout=2.0, retry=RetryPolicy(max_attempts=3))
async def decorated_with_options(number: int, *, context: Notes) -> str:
    return f"{number} {context}"


def gives_an_awaitable(number: int) -> Awaitable[str]:
    return show(number)


# What the parts of a step are is inferred from the agent, async or not.
assert_type(Step("parse", parse), Step[str, int, object])
assert_type(Step("double", double), Step[int, int, object])
assert_type(Step("note", note), Step[int, int, Notes])
assert_type(Step("charge", charge), Step[int, int, object])
assert_type(Step("everything", everything), Step[int, str, Notes])
assert_type(Step("note", note_at_once), Step[int, str, Notes])
assert_type(Step("parser", Parser()), Step[str, int, object])
assert_type(Step("doubler", Doubler()), Step[int, int, object])
assert_type(Step("bound", Parser().run), Step[str, int, object])
assert_type(Step("awaitable", gives_an_awaitable), Step[int, str, object])
assert_type(decorated, Step[int, str, object])
assert_type(decorated_with_options, Step[int, str, Notes])
assert_type(Step("timed", parse, timeout=2.0, retry=RetryPolicy()), Step[str, int, object])

# A chain takes what its first step takes and gives what its last one gives.
chain = Step("parse", parse) >> Step("double", double) >> Step("show", show)
assert_type(chain, Pipeline[str, str, object])
assert_type(chain.named("mine"), Pipeline[str, str, object])

# The context is what the steps that declare one ask for, wherever they stand in the chain.
noting = Step("parse", parse) >> Step("note", note) >> Step("double", double)
assert_type(noting, Pipeline[str, int, Notes])
noting_first = Step("note", note) >> Step("double", double)
noting_last = Step("parse", parse) >> Step("everything", everything)
assert_type(noting_last, Pipeline[str, str, Notes])


# A step that takes a wider type fits behind one that gives a narrower one.
def wider(number: object) -> bool:
    return bool(number)


assert_type(Step("double", double) >> Step("wider", wider), Pipeline[int, bool, object])


# An agent that yields its output in parts gives a whole of the same type.
async def spell(text: str) -> AsyncIterator[str]:
    for letter in text:
        yield letter


async def spell_noting(text: str, *, context: Notes) -> AsyncIterator[str]:
    yield f"{text} {context}"


assert_type(Step("spell", spell), Step[str, str, object])
assert_type(step(spell_noting), Step[str, str, Notes])
assert_type(step(spell) >> Step("spell_noting", spell_noting), Pipeline[str, str, Notes])

# Any step is an `AnyStep`.
steps: list[AnyStep] = [chain, noting, decorated]
built: Pipeline[str, str, Notes] = Pipeline("built", steps)


async def runs(system: System) -> None:
    """A run's result is of the types of its pipeline."""
    result = await system.run(chain, "1")
    assert_type(result, PipelineResult[str, None])
    assert_type(result.unwrap(), str)
    assert_type(result.output, str | None)
    with_context = await system.run(noting, "1", context=Notes([]))
    assert_type(with_context.context, Notes)
    assert_type(with_context.unwrap(), int)
    handle = await system.start(chain, "1", resources=object())
    assert_type(handle, Run[str, None])
    assert_type(await handle.wait(), PipelineResult[str, None])
    assert_type(run_pipeline(chain, "1").unwrap(), str)
    assert_type(run_pipeline(noting, "1", context=Notes([])).context, Notes)


def composes(make: Callable[[int], Step[int, int, object]]) -> Pipeline[int, int, object]:
    """Steps can be made by functions."""
    return make(1) >> make(2)


@attrs.frozen
class Add(Message[int]):
    number: int


@attrs.frozen
class Describe(Message[str]):
    pass


class Counter(Behaviour[Add | Describe]):
    """An actor that takes two kinds of messages."""

    def __init__(self, start: int = 0) -> None:
        self.number = start
        self.owed: list[Reply[str]] = []

    async def receive(self, message: Add | Describe) -> int:
        match message:
            case Add(number):
                self.number += number
            case Describe():
                assert_type(self.reply_later(message), Reply[str])
        assert_type(self.ref, ActorRef[Add | Describe])
        return self.number


class Echo(Behaviour[str]):
    """An actor whose messages are no `Message`s."""

    async def receive(self, message: str) -> str:
        assert_type(self.reply_later(message), Reply[Any])
        return message


async def actors(system: System) -> None:
    """A reference knows what its actor takes, and what each message is answered with."""
    counter = await system.spawn(Counter, 5, restart=Restart.TRANSIENT)
    assert_type(counter, ActorRef[Add | Describe])
    assert_type(await system.spawn(Counter), ActorRef[Add | Describe])
    assert_type(await counter.ask(Add(1)), int)
    assert_type(await counter.ask(Describe(), timeout=2.0), str)
    await counter.tell(Add(1))
    counter.tell_nowait(Describe())
    supervisor = await system.spawn_supervisor("below")
    assert_type(supervisor, SupervisorRef)
    echo = await supervisor.spawn(Echo)
    assert_type(await echo.ask("hello"), object)


async def takes_some(ref: ActorRef[Add]) -> int:
    """A reference that takes more fits where less is asked for."""
    return await ref.ask(Add(1))


async def narrowed(system: System) -> int:
    return await takes_some(await system.spawn(Counter))
