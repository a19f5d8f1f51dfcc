"""Mistakes, one a line, each of which mypy and pyright must find: an ignore that ignores nothing is an error."""

from __future__ import annotations

import attrs

from flujo_actors import ActorRef, Behaviour, Message, Pipeline, RetryPolicy, Step, System, run_pipeline, step


@attrs.define
class Notes:
    lines: list[str]


@attrs.define
class Other:
    number: int


async def parse(text: str) -> int:
    return int(text)


async def show(number: int) -> str:
    return str(number)


async def note(number: int, *, context: Notes) -> int:
    return len(context.lines) + number


async def count(number: int, *, context: Other) -> int:
    return context.number + number


async def without_input() -> int:
    return 0


parsing = Step("parse", parse)
showing = Step("show", show)
noting = Step("note", note)
counting = Step("count", count)

# An output that is no input of the next step.
parsing >> parsing  # type: ignore[operator]
showing >> showing  # type: ignore[operator]
(parsing >> showing) >> showing  # type: ignore[operator]

# What is no step.
parsing >> show  # type: ignore[operator]
Pipeline("p", [show])  # type: ignore[list-item]
Pipeline("p", parsing)  # type: ignore[arg-type]

# Two contexts in one chain.
noting >> counting  # type: ignore[operator]

# What is no agent, and wrong options.
Step("none", None)  # type: ignore[call-overload]
Step("number", 3)  # type: ignore[call-overload]
Step("without", without_input)  # type: ignore[arg-type]
Step("late", parse, timeout="2")  # type: ignore[call-overload]
Step("odd", parse, retries=3)  # type: ignore[call-overload]
Step(parse)  # type: ignore[call-overload]
step(without_input)  # type: ignore[arg-type]
RetryPolicy(max_attempts="3")  # type: ignore[arg-type]
RetryPolicy(on=["agent"])  # type: ignore[list-item]

# A step is frozen.
parsing.name = "other"  # type: ignore[misc]


async def runs(system: System) -> None:
    """Wrong input, a missing context, a context of another class, an output of another class."""
    await system.run(parsing, 1)  # type: ignore[misc]
    await system.run(noting, 1)  # type: ignore[arg-type]
    await system.run(noting, 1, context=Other(1))  # type: ignore[misc]
    await system.run(noting, 1, context={"lines": []})  # type: ignore[misc]
    await system.start(noting, 1)  # type: ignore[arg-type]
    await system.run(show, 1)  # type: ignore[call-overload]
    text: int = run_pipeline(showing, 1).unwrap()  # type: ignore[assignment]
    result = await system.run(parsing, "1")
    result.output.bit_length()  # type: ignore[union-attr]
    print(text)


@attrs.frozen
class Add(Message[int]):
    number: int


@attrs.frozen
class Reset(Message[str]):
    pass


class Counter(Behaviour[Add]):
    """An actor that takes one kind of messages."""

    def __init__(self, start: int) -> None:
        self.number = start

    async def receive(self, message: Add) -> int:
        self.reply_later(message).send("text")  # type: ignore[arg-type]
        return self.number + message.number


class Deaf(Behaviour[Add]):
    """Takes other messages than it says."""

    async def receive(self, message: Reset) -> None:  # type: ignore[override]
        print(message)


async def actors(system: System) -> None:
    """Messages that the actor does not take, an answer of another type, what is no actor, wrong arguments for one."""
    counter = await system.spawn(Counter, 5)
    await counter.tell(Reset())  # type: ignore[arg-type]
    counter.tell_nowait(5)  # type: ignore[arg-type]
    await counter.ask(Reset())  # type: ignore[arg-type]
    text: str = await counter.ask(Add(1))  # type: ignore[assignment]
    wider: ActorRef[Add | Reset] = counter  # type: ignore[assignment]
    await system.spawn(Counter, "5")  # type: ignore[arg-type]
    await system.spawn(Counter)  # type: ignore[arg-type]
    await system.spawn(Counter(5))  # type: ignore[arg-type]
    await system.spawn(parse)  # type: ignore[arg-type]
    await system.spawn(Counter, 5, restart="often")  # type: ignore[arg-type]
    print(text, wider)
