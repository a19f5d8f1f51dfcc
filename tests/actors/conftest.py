"""Actors that the tests share."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from flujo_actors import Behaviour, Message, Supervision, System, open_system
from flujo_actors.actors import ActorEvent, Ending
from flujo_actors.events import EventsMissed

PATIENT = Supervision(intensity=1000, period=1.0)
"""A supervision that does not give up in a test."""


@attrs.frozen
class Say(Message[str]):
    """Answered with the word."""

    word: str


@attrs.frozen
class Crash(Message[None]):
    """Never answered: the actor raises this."""

    error: BaseException = attrs.field(factory=lambda: ValueError("boom"))


@attrs.frozen
class Wait(Message[str]):
    """Answered when the gate is open."""

    gate: trio.Event = attrs.field(factory=trio.Event)


@attrs.frozen
class Finish(Message[str]):
    """Answered; the actor stops after that."""


ParrotMessage = Say | Crash | Wait | Finish


class Parrot(Behaviour[ParrotMessage]):
    """Does as it is told, and writes down in a diary what happens to it."""

    def __init__(self, diary: list[str] | None = None, name: str = "parrot") -> None:
        self.diary = [] if diary is None else diary
        self.name = name

    async def started(self) -> None:
        self.diary.append(f"{self.name} started")

    async def receive(self, message: ParrotMessage) -> str:
        match message:
            case Say(word):
                self.diary.append(f"{self.name} says {word}")
                return word
            case Crash(error):
                raise error
            case Wait(gate):
                try:
                    await gate.wait()
                except trio.Cancelled:
                    self.diary.append(f"{self.name} cancelled")
                    raise
                return "waited"
            case Finish():
                self.stop("told to")
                return "last words"

    async def stopping(self, ending: Ending) -> None:
        self.diary.append(f"{self.name} stopping: {type(ending).__name__}")


@asynccontextmanager
async def collected(system: System) -> AsyncGenerator[list[ActorEvent | EventsMissed], None]:
    """The events of a block, complete when it has ended."""
    events: list[ActorEvent | EventsMissed] = []
    stream = system.actor_events()
    try:
        yield events
    finally:
        while True:
            try:
                events.append(stream.receive_nowait())
            except (trio.WouldBlock, trio.EndOfChannel):
                break
        stream.close()


@pytest.fixture
def diary() -> list[str]:
    return []


@pytest.fixture
async def system() -> AsyncGenerator[System, None]:
    """A system whose own supervisor does not give up."""
    async with open_system(supervision=PATIENT) as opened:
        yield opened
