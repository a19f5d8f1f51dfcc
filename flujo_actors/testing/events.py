"""Recording what a run tells while it goes on, and waiting for it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio

from flujo_actors.events import EventsMissed, RunEvent, StepEvent
from flujo_actors.nurseries import open_inner_nursery
from flujo_actors.run import Run

EventT = TypeVar("EventT", bound=StepEvent)


class RecordedEvents:
    """What a run has told so far, in order. Made by `record_events`."""

    def __init__(self) -> None:
        self._events: list[StepEvent] = []
        self._news = trio.Event()
        self._run_has_ended = False

    def __iter__(self) -> Iterator[StepEvent]:
        return iter(self._events)

    def __len__(self) -> int:
        return len(self._events)

    def of(self, kind: type[EventT], path: str | None = None) -> list[EventT]:
        """The events of a kind, all or those of the step of a path."""
        return [event for event in self._events if isinstance(event, kind) and path in (None, event.path)]

    async def wait_for(self, kind: type[EventT], path: str | None = None) -> EventT:
        """The first event of a kind, of any step or of that of a path; waited for where it has not come yet.

        A checkpoint.

        Raises:
            AssertionError: the run ended without one. The text lists what it told.
        """
        await trio.lowlevel.checkpoint()
        while not (found := self.of(kind, path)):
            if self._run_has_ended:
                wanted = kind.__name__ if path is None else f"{kind.__name__} of {path!r}"
                told = "".join(f"\n    {type(event).__name__} of {event.path!r}" for event in self._events)
                raise AssertionError(f"the run ended without a {wanted}; it told:{told}")
            await self._news.wait()
        return found[0]

    async def record(self, events: trio.MemoryReceiveChannel[RunEvent]) -> None:
        """Take all events of a run, until it ends."""
        async for event in events:
            if isinstance(event, EventsMissed):
                raise AssertionError(f"{event.count} events were missed: the event loop was kept from recording them")
            self._events.append(event)
            self._tell()
        self._run_has_ended = True
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def record_events(run: Run[Any, Any]) -> AsyncGenerator[RecordedEvents, None]:
    """Record what a run tells from now on, for the length of a block, and at its end wait for the run's.

    Right after `System.start` nothing is missed. Entering is a checkpoint, and so is leaving; leaving by an exception
    or a cancellation waits for nothing, and leaves the run alone.

    Raises:
        AssertionError: the event loop was blocked for so long that events were missed.
    """
    recorded = RecordedEvents()
    async with run.events() as events, open_inner_nursery() as nursery:
        nursery.start_soon(recorded.record, events)
        await trio.lowlevel.checkpoint()
        yield recorded
