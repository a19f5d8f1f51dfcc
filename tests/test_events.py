"""Watching a run: the order of events, slow readers, readers that leave, and events after the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import trio

from flujo_actors import AnyStep, Pipeline, SpanStatus, Step, open_system
from flujo_actors import run as run_module
from flujo_actors.events import EventsMissed, RunEvent, StepEnded, StepStarted


def step(name: str) -> AnyStep:
    async def agent(data: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return data

    return Step(name, agent)


def chain(count: int) -> AnyStep:
    return Pipeline("p", [step(f"s{number}") for number in range(count)])


def short(events: Sequence[RunEvent]) -> list[str]:
    named = {StepStarted: "+", StepEnded: "-"}
    return [f"{named[type(each)]}{each.path}" for each in events if isinstance(each, StepStarted | StepEnded)]


async def test_a_step_begins_after_its_pipeline_and_ends_before_it() -> None:
    pipeline = Pipeline("root", [step("a"), Pipeline("p", [step("b"), step("b")])])
    async with open_system() as system:
        run = await system.start(pipeline, 1)
        async with run.events() as events:
            seen = [event async for event in events]
    assert short(seen) == ["+", "+a", "-a", "+p", "+p/b", "-p/b", "+p/b#2", "-p/b#2", "-p", "-"]
    started, ended = seen[1], seen[2]
    assert isinstance(started, StepStarted)
    assert isinstance(ended, StepEnded)
    assert started.kind == "Step"
    assert started.span_id == ended.span_id
    assert (ended.status, ended.result.output) == (SpanStatus.COMPLETED, 1)


async def test_any_number_may_watch_each_from_when_it_began() -> None:
    async with open_system() as system:
        run = await system.start(chain(2), 1)
        async with run.events() as first, run.events() as second:
            assert isinstance(await first.receive(), StepStarted)
            async with run.events() as late:
                seen = [[event async for event in each] for each in (first, second, late)]
    assert short(seen[1]) == ["+", "+s0", "-s0", "+s1", "-s1", "-"]
    assert short(seen[0]) == short(seen[1])[1:]
    assert 0 < len(seen[2]) < len(seen[1])


async def test_a_slow_reader_is_told_how_many_events_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "EVENT_BUFFER", 4)
    gate = trio.Event()

    async def wait_for_the_reader(data: Any) -> Any:
        await gate.wait()
        return data

    pipeline = Pipeline[Any, Any, Any]("p", [*(step(f"s{n}") for n in range(5)), Step("gate", wait_for_the_reader)])
    async with open_system() as system:
        run = await system.start(pipeline, 1)
        async with run.events() as events:
            await trio.testing.wait_all_tasks_blocked()
            seen = [await events.receive() for _ in range(4)]
            gate.set()
            seen += [event async for event in events]
    assert short(seen) == ["+", "+s0", "-s0", "+s1", "-gate", "-"]
    assert [event for event in seen if isinstance(event, EventsMissed)] == [EventsMissed(8)]
    assert seen.index(EventsMissed(8)) == 4


async def test_a_reader_that_misses_the_end_is_told_so_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "EVENT_BUFFER", 4)
    async with open_system() as system:
        run = await system.start(chain(5), 1)
        async with run.events() as events:
            await run.wait()
            seen = [event async for event in events]
    assert short(seen) == ["+", "+s0", "-s0", "+s1"]
    assert seen[4:] == [EventsMissed(8)]


async def test_a_reader_that_lags_again_and_again_loses_count_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "EVENT_BUFFER", 3)
    seen: list[RunEvent] = []
    async with open_system() as system:
        run = await system.start(chain(50), 1)
        async with run.events() as events:
            async for event in events:
                seen.append(event)
                for _ in range(10):
                    await trio.lowlevel.checkpoint()
    missed = [event.count for event in seen if isinstance(event, EventsMissed)]
    assert len(missed) > 1
    assert sum(missed) + len(seen) - len(missed) == 2 * 51


async def test_a_reader_that_leaves_early_does_not_disturb_the_run() -> None:
    async with open_system() as system:
        run = await system.start(chain(3), 1)
        async with run.events() as events:
            await events.receive()
        assert (await run.wait()).output == 1


async def test_a_reader_that_never_reads_does_not_hold_the_run_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "EVENT_BUFFER", 1)
    async with open_system() as system:
        run = await system.start(chain(30), 1)
        async with run.events():
            with trio.fail_after(5):
                assert (await run.wait()).success


async def test_events_of_a_run_that_has_ended_end_at_once() -> None:
    async with open_system() as system:
        run = await system.start(chain(1), 1)
        await run.wait()
        async with run.events() as events:
            assert [event async for event in events] == []


async def test_events_end_when_the_run_is_cancelled() -> None:
    async with open_system() as system:
        run = await system.start(Step("sleep", trio.sleep), 1000)
        async with run.events() as events:
            await trio.testing.wait_all_tasks_blocked()
            run.cancel(reason="enough")
            seen = [event async for event in events]
    assert [event.status for event in seen if isinstance(event, StepEnded)] == [SpanStatus.CANCELLED] * 2


async def test_a_reader_that_leaves_after_it_missed_events_does_not_disturb_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_module, "EVENT_BUFFER", 2)
    channels: list[trio.MemoryReceiveChannel[RunEvent]] = []

    async def leave(data: int) -> int:
        channels[0].close()
        return data

    async with open_system() as system:
        run = await system.start(chain(3) >> Step("leave", leave) >> chain(3), 1)
        channels.append(run.events())
        assert (await run.wait()).success
