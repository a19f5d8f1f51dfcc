"""Recording events: all of them, by kind and path, and waiting for one."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from flujo_actors import RetryPolicy, Run, Step, UsageMeter, open_system
from flujo_actors.events import AttemptFailed, ChunkProduced, StepEnded, StepRetried, StepStarted
from flujo_actors.testing import (
    Chunks,
    Raise,
    RecordedEvents,
    Reply,
    ScriptedAgent,
    ScriptedStream,
    in_mock_time,
    record_events,
)
from flujo_actors.watching import EVENT_BUFFER


async def recorded(*turns: Any, **options: Any) -> RecordedEvents:
    async with open_system() as system:
        run = await system.start(Step("ask", ScriptedAgent(*turns), **options), None)
        async with record_events(run) as seen:
            pass
    return seen


@in_mock_time
async def test_leaving_waits_for_the_end_and_everything_was_seen() -> None:
    seen = await recorded(Raise(OSError("busy")), Reply("yes", after=60))
    assert [type(event).__name__ for event in seen] == [
        "StepStarted",
        "StepStarted",
        "AttemptFailed",
        "StepRetried",
        "StepEnded",
        "StepEnded",
    ]
    assert len(seen) == 6
    assert trio.current_time() == 60


@in_mock_time
async def test_events_are_picked_by_kind_and_path() -> None:
    seen = await recorded(Raise(OSError("busy")), Reply("yes"), retry=RetryPolicy(backoff=3.0))
    assert [event.delay for event in seen.of(StepRetried)] == [3.0]
    assert [event.failure.message for event in seen.of(AttemptFailed, "ask")] == ["busy"]
    assert [event.path for event in seen.of(StepStarted)] == ["", "ask"]
    assert [event.path for event in seen.of(StepStarted, "")] == [""]
    assert seen.of(ChunkProduced) == []


@in_mock_time
async def test_a_test_waits_for_an_event_instead_of_sleeping() -> None:
    stream = ScriptedStream(Chunks(["a", "b", "c"], every=10.0))
    async with open_system() as system:
        run = await system.start(Step("say", stream), None)
        async with record_events(run) as seen:
            await seen.wait_for(StepStarted, "say")
            chunk = await seen.wait_for(ChunkProduced)
            assert (chunk.chunk, trio.current_time()) == ("a", 0)
            await seen.wait_for(StepEnded, "say")
            assert trio.current_time() == 20
            assert (await seen.wait_for(StepStarted, "say")).path == "say"  # which has been there for long
    assert [event.chunk for event in seen.of(ChunkProduced)] == ["a", "b", "c"]


@in_mock_time
async def test_an_event_that_does_not_come_is_missed_with_those_that_came() -> None:
    async with open_system() as system:
        run = await system.start(Step("ask", ScriptedAgent(Reply("yes", after=5))), None)
        async with record_events(run) as seen:
            with pytest.raises(AssertionError) as caught:
                await seen.wait_for(StepRetried, "ask")
        assert str(caught.value).splitlines() == [
            "the run ended without a StepRetried of 'ask'; it told:",
            "    StepStarted of ''",
            "    StepStarted of 'ask'",
            "    StepEnded of 'ask'",
            "    StepEnded of ''",
        ]
        with pytest.raises(AssertionError, match="ended without a StepRetried;"):
            await seen.wait_for(StepRetried)


@in_mock_time
async def test_leaving_by_an_exception_waits_for_nothing_and_leaves_the_run_alone() -> None:
    async with open_system() as system:
        run = await system.start(Step("ask", ScriptedAgent(Reply("yes", after=60))), None)
        with pytest.raises(ValueError, match="mine"):  # noqa: PT012 - the block is what is tested
            async with record_events(run):
                await trio.sleep(1)
                raise ValueError("mine")
        assert trio.current_time() == 1
        assert (await run.wait()).success


async def test_a_run_that_has_ended_tells_nothing() -> None:
    async with open_system() as system:
        run: Run[Any, Any] = await system.start(Step("ask", ScriptedAgent(Reply("yes"))), None)
        await run.wait()
        async with record_events(run) as seen:
            with pytest.raises(AssertionError, match="the run ended without a StepStarted"):
                await seen.wait_for(StepStarted)
    assert list(seen) == []


async def test_events_that_were_missed_fail_the_test() -> None:
    async def chatter(data: Any, *, usage: UsageMeter) -> None:
        for _ in range(2 * EVENT_BUFFER):
            usage.charge(prompt_tokens=1)

    with pytest.raises(AssertionError, match="events were missed"):  # noqa: PT012 - the block is what is tested
        async with open_system() as system:
            run = await system.start(Step("chatter", chatter), None)
            async with record_events(run):
                await run.wait()
