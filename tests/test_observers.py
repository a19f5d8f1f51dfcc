"""Observers of a system: told of every run in the middle of it, in the right tasks, and never in its way."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from decimal import Decimal
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    ParallelStep,
    Pipeline,
    RetryPolicy,
    SpanStatus,
    Step,
    System,
    Usage,
    UsageMeter,
    open_system,
    run_pipeline,
)
from flujo_actors.events import RunEvent, StepEnded, StepStarted
from flujo_actors.observers import BegunRun, EndedRun, RunObserver
from flujo_actors.storage import MemoryBackend

CALLER: ContextVar[str] = ContextVar("who started the run", default="nobody")
SPAN: ContextVar[str] = ContextVar("whose code is running", default="none")


@attrs.define(eq=False)
class Watch(RunObserver):
    """Writes down what it is told of one run; marks each step's code with its span."""

    begun: BegunRun
    caller: str
    events: list[RunEvent] = attrs.Factory(list[RunEvent])
    attempts: list[tuple[str, int]] = attrs.Factory(list[tuple[str, int]])
    ends: list[EndedRun] = attrs.Factory(list[EndedRun])

    def event(self, event: RunEvent) -> None:
        self.events.append(event)

    def attempt_begins(self, span_id: str, attempt: int) -> None:
        SPAN.set(span_id)
        self.attempts.append((self.path_of(span_id), attempt))

    def run_ends(self, run: EndedRun) -> None:
        self.ends.append(run)

    def path_of(self, span_id: str) -> str:
        return next(each.path for each in self.events if isinstance(each, StepStarted) and each.span_id == span_id)

    def span_of(self, path: str) -> str:
        return next(each.span_id for each in self.events if isinstance(each, StepStarted) and each.path == path)

    @property
    def ended(self) -> list[StepEnded]:
        return [event for event in self.events if isinstance(event, StepEnded)]


@attrs.define(eq=False)
class Recorder:
    """Watches every run."""

    runs: list[Watch] = attrs.Factory(list[Watch])

    def run_begins(self, run: BegunRun) -> RunObserver:
        self.runs.append(Watch(run, CALLER.get()))
        return self.runs[-1]


@attrs.frozen
class Broken:
    """Raises whatever it is told."""

    watches: bool = True

    def run_begins(self, run: BegunRun) -> RunObserver:
        if not self.watches:
            raise ValueError("no runs, please")
        return BrokenWatch()


class BrokenWatch(RunObserver):
    def event(self, event: RunEvent) -> None:
        raise ValueError("no events, please")

    def attempt_begins(self, span_id: str, attempt: int) -> None:
        raise ValueError("no attempts, please")

    def run_ends(self, run: EndedRun) -> None:
        raise ValueError("no end, please")


async def current_span(data: Any) -> str:
    before = SPAN.get()
    await trio.lowlevel.checkpoint()
    assert SPAN.get() == before
    return before


def spans(*names: str) -> AnyStep:
    """Steps that give the span that their code is marked with, each as the branch of its name."""
    return ParallelStep("fan", {name: Step(name, current_span) for name in names})


async def test_it_is_told_of_a_run_where_and_when_it_begins() -> None:
    recorder = Recorder()
    CALLER.set("the test")
    async with open_system(observers=[recorder]) as system:
        result = await system.run(Pipeline[Any, Any, Any]("p", [Step("a", current_span)]), 1)
    [watch] = recorder.runs
    assert (watch.begun.run_id, watch.begun.pipeline, watch.caller) == (result.run_id, "p", "the test")
    assert watch.begun.time <= result.trace_tree["start_time"]


async def test_it_sees_the_context_variables_of_whoever_started_a_run_also_of_one_in_a_task_of_its_own() -> None:
    recorder = Recorder()
    async with open_system(observers=[recorder]) as system:
        CALLER.set("one who waits elsewhere")
        run = await system.start(Step("a", current_span), 1)
        CALLER.set("somebody later")
        await run.wait()
    assert [watch.caller for watch in recorder.runs] == ["one who waits elsewhere"]


async def test_it_is_told_all_that_a_reader_of_events_is_and_at_the_same_times() -> None:
    recorder = Recorder()
    async with open_system(observers=[recorder]) as system:
        run = await system.start(Pipeline[Any, Any, Any]("p", [Step("a", current_span), spans("x", "y")]), 1)
        async with run.events() as events:
            seen = [event async for event in events]
    assert recorder.runs[0].events == seen


async def test_a_step_begins_and_ends_when_its_span_does_and_says_what_it_spent() -> None:
    recorder = Recorder()

    async def spend(data: Any, *, usage: UsageMeter) -> None:
        usage.charge(cost_usd=0.5, prompt_tokens=3, completion_tokens=1)

    async with open_system(observers=[recorder]) as system:
        result = await system.run(Pipeline[Any, Any, Any]("p", [Step("a", spend), Step("b", spend)]), 1)
    [watch] = recorder.runs
    started = {event.span_id: event.time for event in watch.events if isinstance(event, StepStarted)}
    assert started == {span.span_id: span.start_time for span in result.spans}
    assert [(event.span_id, event.time) for event in watch.ended] == [
        (span.span_id, span.end_time) for span in result.spans
    ]
    once, twice = Usage(Decimal("0.5"), 3, 1), Usage(Decimal("1.0"), 6, 2)
    assert [(event.path, event.usage) for event in watch.ended] == [("a", once), ("b", once), ("", twice)]


async def test_a_step_is_announced_by_its_own_name() -> None:
    recorder = Recorder()
    async with open_system(observers=[recorder]) as system:
        await system.run(ParallelStep("fan", {"left": Step("same", current_span)}), 1)
    named = [(each.path, each.name) for each in recorder.runs[0].events if isinstance(each, StepStarted)]
    assert named == [("", "fan"), ("fan", "fan"), ("fan/left", "same")]


async def test_a_context_variable_set_when_an_attempt_begins_is_seen_by_the_code_of_that_step_alone() -> None:
    recorder = Recorder()
    async with open_system(observers=[recorder]) as system:
        result = await system.run(spans("x", "y", "z"), 1)
    [watch] = recorder.runs
    assert result.output == {name: watch.span_of(f"fan/{name}") for name in "xyz"}
    assert SPAN.get() == "none"


async def test_a_supervisor_s_own_code_is_marked_with_the_supervisor_s_span() -> None:
    recorder, seen = Recorder(), list[str]()

    def strategy(context: Any, branches: Any) -> None:
        seen.append(SPAN.get())

    step: AnyStep = ParallelStep("fan", {"x": Step("x", current_span)}, merge_strategy=strategy)
    async with open_system(observers=[recorder]) as system:
        await system.run(step, 1, context=dict[str, int]())
    assert seen == [recorder.runs[0].span_of("fan")]


async def test_each_attempt_is_told_when_it_begins_not_when_its_back_off_does(autojump_clock: MockClock) -> None:
    recorder, begun = Recorder(), list[float]()

    async def fail_once(data: Any) -> str:
        begun.append(trio.current_time())
        if len(begun) == 1:
            raise ValueError("boom")
        return SPAN.get()

    async with open_system(observers=[recorder]) as system:
        result = await system.run(Step[Any, Any, Any]("a", fail_once, retry=RetryPolicy(backoff=3.0, jitter=0)), 1)
    [watch] = recorder.runs
    assert watch.attempts == [("", 1), ("a", 1), ("a", 2)]
    assert begun[1] - begun[0] == 3.0
    assert result.output == watch.span_of("a")


async def test_an_attempt_that_was_stopped_while_it_waited_for_its_turn_has_not_begun() -> None:
    recorder = Recorder()
    pipeline: AnyStep = ParallelStep("fan", {"x": Step("x", trio.sleep), "y": Step("y", trio.sleep)})
    async with open_system(observers=[recorder]) as system:
        run = await system.start(pipeline, 1000, max_concurrency=1)
        await trio.testing.wait_all_tasks_blocked()
        run.cancel(reason="enough")
        await run.wait()
    assert len([path for path, _ in recorder.runs[0].attempts if "/" in path]) == 1


async def test_a_run_that_an_agent_runs_is_part_of_the_run_around_it() -> None:
    recorder = Recorder()

    async def agent(data: Any, *, resources: System) -> list[str]:
        return [SPAN.get(), (await resources.run(Step("inner", current_span), data)).unwrap(), SPAN.get()]

    async with open_system(observers=[recorder]) as system:
        result = await system.run(Step[Any, Any, Any]("outer", agent), 1, resources=system)
    [watch] = recorder.runs
    outer = watch.span_of("outer")
    assert result.output == [outer, watch.span_of("outer/inner/inner"), outer]
    assert len(watch.ends) == 1


async def test_a_run_that_an_agent_starts_is_told_as_one_of_its_own() -> None:
    recorder = Recorder()

    async def agent(data: Any, *, resources: System) -> None:
        await (await resources.start(Step("inner", current_span), data)).wait()

    async with open_system(observers=[recorder]) as system:
        await system.run(Step[Any, Any, Any]("outer", agent), 1, resources=system)
    assert [watch.begun.pipeline for watch in recorder.runs] == ["outer", "inner"]


async def test_it_is_given_the_result_when_the_run_is_stored() -> None:
    backend, results = MemoryBackend(), list[tuple[Any, SpanStatus]]()

    class Last(RunObserver):
        def run_ends(self, run: EndedRun) -> None:
            results.append((run.result, backend.list_runs()[0].status))

    class Lasts:
        def run_begins(self, run: BegunRun) -> RunObserver:
            return Last()

    async with open_system(storage=backend, observers=[Lasts()]) as system:
        result = await system.run(Step("a", current_span), 1)
    assert results == [(result, SpanStatus.COMPLETED)]


async def test_a_run_that_its_host_cancels_ends_without_a_result_and_with_an_event_for_each_step(
    autojump_clock: MockClock,
) -> None:
    recorder = Recorder()
    async with open_system(observers=[recorder]) as system:
        with trio.move_on_after(1):
            await system.run(Step("sleep", trio.sleep), 1000)
    [watch] = recorder.runs
    assert [end.result for end in watch.ends] == [None]
    assert [end.status for end in watch.ends] == [SpanStatus.CANCELLED]
    assert [(event.path, event.status) for event in watch.ended] == [
        ("sleep", SpanStatus.CANCELLED),
        ("", SpanStatus.CANCELLED),
    ]


async def test_a_run_that_an_agent_ends_with_the_program_has_ended_as_its_record_says() -> None:
    recorder, backend = Recorder(), MemoryBackend()

    async def leave(data: Any) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        async with open_system(storage=backend, observers=[recorder]) as system:
            await system.run(Step("a", leave), 1)
    [end] = recorder.runs[0].ends
    [record] = backend.list_runs()
    assert end == EndedRun(SpanStatus.FAILED, "the runtime stopped with SystemExit: 3", None)
    assert (record.status, record.error) == (end.status, end.error)


async def test_a_run_that_cannot_begin_for_a_resource_is_told_as_one_step_that_failed() -> None:
    recorder = Recorder()

    @asynccontextmanager
    async def missing() -> AsyncGenerator[bytes, None]:
        yield await trio.Path("no such file").read_bytes()

    async with open_system(observers=[recorder]) as system:
        result = await system.run(Step("a", current_span), 1, resources=missing())
    [watch] = recorder.runs
    assert [type(event).__name__ for event in watch.events] == ["StepStarted", "StepEnded"]
    assert [(event.span_id, event.status) for event in watch.ended] == [(result.spans[0].span_id, SpanStatus.FAILED)]
    assert [end.result for end in watch.ends] == [result]


async def test_it_may_decline_to_watch_a_run() -> None:
    class Choosy:
        def run_begins(self, run: BegunRun) -> RunObserver | None:
            return None

    async with open_system(observers=[Choosy()]) as system:
        assert (await system.run(Step("a", current_span), 1)).success


async def test_one_that_only_wants_the_end_overrides_only_that() -> None:
    class Plain:
        def run_begins(self, run: BegunRun) -> RunObserver:
            return RunObserver()

    async with open_system(observers=[Plain()]) as system:
        assert (await system.run(spans("x"), 1)).success


async def test_one_that_raises_does_not_disturb_the_run_nor_the_others(caplog: pytest.LogCaptureFixture) -> None:
    recorder = Recorder()
    async with open_system(observers=[Broken(), recorder]) as system:
        first = await system.run(spans("x", "y"), 1)
        second = await system.run(Step("a", current_span), 1)
    assert first.success
    assert second.success
    assert [len(watch.ends) for watch in recorder.runs] == [1, 1]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2  # once for each run
    assert f"observer BrokenWatch raised in run {first.run_id}" in caplog.text
    assert "no events, please" in caplog.text


async def test_one_that_raises_when_a_run_begins_misses_it(caplog: pytest.LogCaptureFixture) -> None:
    async with open_system(observers=[Broken(watches=False)]) as system:
        result = await system.run(Step("a", current_span), 1)
    assert result.success
    assert f"observer Broken raised when it was told that run {result.run_id} begins" in caplog.text
    assert len(caplog.records) == 1


def test_programs_that_are_no_trio_programs_have_observers_too() -> None:
    recorder = Recorder()
    CALLER.set("a plain function")
    run_pipeline(Step("a", current_span), 1, observers=[recorder])
    assert [watch.caller for watch in recorder.runs] == ["a plain function"]
