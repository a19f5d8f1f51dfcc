"""What a message costs: `tell` and `ask` beside trio's own channels, and beside pykka where that is installed.

Run it with `make benchmark`; pykka is in the dependency group `benchmark`. All variants take turns in one process, and
each has an actor that adds numbers up. A round of telling ends when the last message was handled. The figures are
medians per message, with the fastest and the slowest tenth of the rounds: `wall` is the time that passes, `cpu` that of
all threads.

pykka's `tell` is what `tell_nowait` is here: it neither waits for room nor lets anybody else run. `tell` does both, as
every async function of trio does. pykka's actors are threads, so what its `ask` costs depends much on where the
operating system runs them.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import importlib.util
import statistics
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import trio

from flujo_actors import ActorRef, Behaviour, Message, open_system

MESSAGES = 1024
TIMEOUT = 5.0
CAPACITY = 64
Variant = Callable[[], Awaitable[object]]


@attrs.frozen
class Add(Message[int]):
    """Add to the sum; answered with the sum."""

    number: int


class Adder(Behaviour[Add]):
    """Adds numbers up."""

    def __init__(self) -> None:
        self.total = 0

    async def receive(self, message: Add) -> int:
        """Add one number."""
        self.total += message.number
        return self.total


async def tell(adder: ActorRef[Add]) -> None:
    """Send many messages, waiting while the mailbox is full, and wait until they are handled."""
    for _ in range(MESSAGES):
        await adder.tell(Add(1))
    await adder.ask(Add(0))


async def tell_nowait(adder: ActorRef[Add]) -> None:
    """Send as many as there is room for at once, then wait until they are handled, and so on."""
    for _ in range(MESSAGES // CAPACITY):
        for _ in range(CAPACITY):
            adder.tell_nowait(Add(1))
        await adder.ask(Add(0))


async def ask(adder: ActorRef[Add]) -> None:
    """Send one message after another, each when the one before was answered."""
    for _ in range(MESSAGES):
        await adder.ask(Add(1), timeout=TIMEOUT)


async def send_through_a_channel() -> None:
    """Send to a bare task that adds up."""
    total = 0
    send, receive = trio.open_memory_channel[Add](CAPACITY)

    async def add_up() -> None:
        nonlocal total
        async for message in receive:
            total += message.number

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add_up)
        async with send:
            for _ in range(MESSAGES):
                await send.send(Add(1))
    assert total == MESSAGES


async def ask_through_channels() -> None:
    """Send to a bare task and wait for what it sends back, with a deadline."""
    total = 0
    send_question, questions = trio.open_memory_channel[Add](1)
    send_answer, answers = trio.open_memory_channel[int](1)

    async def add_up() -> None:
        nonlocal total
        async for message in questions:
            total += message.number
            send_answer.send_nowait(total)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(add_up)
        async with send_question:
            for _ in range(MESSAGES):
                with trio.fail_after(TIMEOUT):
                    send_question.send_nowait(Add(1))
                    await answers.receive()


@asynccontextmanager
async def pykka_adder() -> AsyncGenerator[Any, None]:
    """The reference of a pykka actor that adds up; `None` without pykka."""
    if importlib.util.find_spec("pykka") is None:
        yield None
        return
    pykka = importlib.import_module("pykka")

    def on_receive(self: Any, message: Add) -> int:
        self.total = getattr(self, "total", 0) + message.number
        total: int = self.total
        return total

    actor_type: Any = type("Adder", (pykka.ThreadingActor,), {"on_receive": on_receive})
    adder = actor_type.start()
    try:
        yield adder
    finally:
        adder.stop()


async def pykka_tell(adder: Any) -> None:
    """The same with pykka, which knows no full mailbox."""
    for _ in range(MESSAGES):
        adder.tell(Add(1))
    adder.ask(Add(0))


async def pykka_ask(adder: Any) -> None:
    """The same with pykka."""
    for _ in range(MESSAGES):
        adder.ask(Add(1), timeout=TIMEOUT)


@attrs.define
class Row:
    """The rounds of one variant, in microseconds per message."""

    name: str
    variant: Variant | None
    """`None` when what it needs is not installed."""
    wall: list[float] = attrs.Factory(list[float])
    cpu: list[float] = attrs.Factory(list[float])

    async def measure(self) -> None:
        """One round."""
        if self.variant is None:
            return
        gc.collect()
        cpu, wall = time.process_time(), time.perf_counter()
        await self.variant()
        self.wall.append((time.perf_counter() - wall) / MESSAGES * 1e6)
        self.cpu.append((time.process_time() - cpu) / MESSAGES * 1e6)

    def text(self) -> str:
        """The medians, and the spread."""
        if not self.wall:
            return f"  {self.name:34} not installed: pip install --group benchmark"
        *_, slow = tenths = statistics.quantiles(self.wall, n=10)
        wall, cpu = statistics.median(self.wall), statistics.median(self.cpu)
        return f"  {self.name:34} {wall:7.2f} {cpu:7.2f}   {tenths[0]:7.2f} to {slow:.2f}"


def compared(row: Row, rival: Row, factor: float) -> str:
    """How many times as fast a variant is, in wall time, and whether that is the goal."""
    times = statistics.median(rival.wall) / statistics.median(row.wall)
    goal = f"goal {factor:g} x: {'met' if times >= factor else 'MISSED'}"
    return f"  {row.name} is {times:.2f} x as fast as {rival.name}; {goal}"


async def measure(rounds: int) -> dict[str, Row]:
    """Let the variants take turns, each round beginning with another one."""
    async with AsyncExitStack() as stack:
        system = await stack.enter_async_context(open_system())
        adder = await system.spawn(Adder, capacity=CAPACITY)
        rival = await stack.enter_async_context(pykka_adder())
        rows = [
            Row("a trio channel", send_through_a_channel),
            Row("tell", lambda: tell(adder)),
            Row("tell_nowait", lambda: tell_nowait(adder)),
            Row("pykka's tell", None if rival is None else lambda: pykka_tell(rival)),
            Row("two trio channels and a deadline", ask_through_channels),
            Row("ask", lambda: ask(adder)),
            Row("pykka's ask", None if rival is None else lambda: pykka_ask(rival)),
        ]
        for number in range(rounds):
            shift = number % len(rows)
            for row in rows[shift:] + rows[:shift]:
                await row.measure()
    return {row.name: row for row in rows}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60, help="how often each variant runs (default: 60)")
    rounds: int = parser.parse_args().rounds
    rows = trio.run(measure, rounds)
    print(f"{MESSAGES} messages, median of {rounds} rounds, microseconds per message")
    print(f"  {'':34} {'wall':>7} {'cpu':>7}   {'wall, from':>10} to")
    for row in rows.values():
        print(row.text())
    for name, rival, factor in (
        ("tell", "pykka's tell", 1),
        ("tell_nowait", "pykka's tell", 1),
        ("ask", "pykka's ask", 4),
    ):
        if rows[rival].wall:
            print(compared(rows[name], rows[rival], factor))


if __name__ == "__main__":
    main()
