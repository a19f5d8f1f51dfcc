"""Resources of a run: opened with it, closed with it, whatever becomes of it."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from flujo_actors import FailureDomain, PipelineResult, RetryPolicy, SpanStatus, Step, open_system, run_pipeline
from flujo_actors.storage import MemoryBackend
from flujo_actors.testing import Trace, in_mock_time


class Pool:
    """A resource that notes when it is opened and closed."""

    def __init__(self, name: str, log: list[str], *, fails: str = "") -> None:
        self.name, self.log, self.fails = name, log, fails

    async def __aenter__(self) -> str:
        await trio.lowlevel.checkpoint()
        if self.fails == "open":
            raise OSError("no route")
        self.log.append(f"open {self.name}")
        return f"{self.name} connection"

    async def __aexit__(self, *details: object) -> bool:
        self.log.append(f"close {self.name}")
        await trio.lowlevel.checkpoint()
        if self.fails == "close":
            raise OSError("broken pipe")
        return True  # which must not swallow anything


def looking(log: list[str]) -> Any:
    async def look(data: Any, *, resources: Any) -> Any:
        log.append("run")
        return resources

    return Step[Any, Any, Any]("look", look, retry=RetryPolicy(max_attempts=1))


def test_an_async_context_manager_is_open_while_the_run_is_and_agents_get_what_it_gives() -> None:
    log: list[str] = []
    result = run_pipeline(looking(log), None, resources=Pool("db", log))
    assert (result.unwrap(), log) == ("db connection", ["open db", "run", "close db"])


def test_a_mapping_s_are_opened_in_order_and_closed_in_reverse_and_the_rest_is_left_alone() -> None:
    log: list[str] = []
    given = {"db": Pool("db", log), "key": "secret", "web": Pool("web", log)}
    result = run_pipeline(looking(log), None, resources=given)
    assert result.unwrap() == {"db": "db connection", "key": "secret", "web": "web connection"}
    assert log == ["open db", "open web", "run", "close web", "close db"]


def test_a_function_of_asynccontextmanager_is_a_resource() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def open_pool() -> AsyncGenerator[str, None]:
        log.append("open")
        yield "pool"
        log.append("close")

    assert run_pipeline(looking(log), None, resources=open_pool()).unwrap() == "pool"
    assert log == ["open", "run", "close"]


def test_one_that_cannot_be_opened_is_the_run_s_failure_and_those_before_it_are_closed() -> None:
    log: list[str] = []
    backend = MemoryBackend()
    given = {"db": Pool("db", log), "web": Pool("web", log, fails="open")}
    result = run_pipeline(looking(log), None, resources=given, storage=backend)
    assert result.failure is not None
    assert result.failure.domain is FailureDomain.RESOURCE
    assert str(result.failure) == "the pipeline: resource 'web' could not be opened: OSError: no route"
    assert log == ["open db", "close db"]
    assert [str(run.status) for run in backend.list_runs()] == ["failed"]
    assert backend.get_trace(result.run_id) == result.trace_tree


def test_one_that_cannot_be_closed_is_a_warning_and_the_result_stands() -> None:
    log: list[str] = []
    result = run_pipeline(looking(log), None, resources=Pool("db", log, fails="close"))
    assert result.success
    assert result.warnings == ("the resource could not be closed: OSError: broken pipe",)


async def test_they_are_closed_when_the_run_is_cancelled_and_when_the_program_around_it_is(
    autojump_clock: MockClock,
) -> None:
    log: list[str] = []
    async with open_system() as system:
        run = await system.start(Step("sleep", trio.sleep), 1000, resources=Pool("one", log))
        await trio.sleep(1)
        run.cancel(reason="enough")
        assert str((await run.wait()).status) == "cancelled"
        with trio.move_on_after(1) as scope:
            await system.run(Step("sleep", trio.sleep), 1000, resources=Pool("two", log))
        assert scope.cancelled_caught
    assert log == ["open one", "close one", "open two", "close two"]


@pytest.mark.parametrize("given", [None, "text", 3, object(), ["a"]])
def test_anything_else_is_handed_on_as_it_is(given: Any) -> None:
    assert run_pipeline(looking([]), None, resources=given).unwrap() is given


class Stuck:
    """A resource that never opens."""

    def __init__(self, *, raises: bool = False) -> None:
        self.raises = raises

    async def __aenter__(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            if self.raises:
                raise OSError("half open")

    async def __aexit__(self, *details: object) -> None:
        raise AssertionError("it was never opened")


@pytest.mark.parametrize("raises", [False, True])
@in_mock_time
async def test_a_run_can_be_cancelled_while_a_resource_is_being_opened(raises: bool) -> None:
    log: list[str] = []
    backend = MemoryBackend()
    async with open_system(storage=backend) as system:
        run = await system.start(looking(log), None, resources={"db": Pool("db", log), "web": Stuck(raises=raises)})
        await trio.sleep(1)
        assert not run.cancel("look", reason="it is not there yet")
        assert run.cancel(reason="enough")
        with trio.fail_after(1):
            result = await run.wait()
    assert (result.status, str(result.failure)) == (SpanStatus.CANCELLED, "the pipeline: Cancelled: enough")
    assert log == ["open db", "close db"]
    assert [(run.status, run.error) for run in backend.list_runs()] == [(result.status, str(result.failure))]
    assert backend.get_trace(result.run_id) == result.trace_tree


async def test_a_run_that_is_cancelled_before_it_has_begun_opens_nothing_that_waits() -> None:
    async with open_system() as system:
        run = await system.start(looking([]), None, resources=Stuck())
        run.cancel(reason="at once")
        with trio.fail_after(1):
            assert (await run.wait()).status is SpanStatus.CANCELLED


@asynccontextmanager
async def open_connection(lives_for: float, ended_by: Exception | None = None) -> AsyncGenerator[str, None]:
    """A resource with a task of its own, which ends it, or crashes."""

    async def keep_alive(scope: trio.CancelScope) -> None:
        await trio.sleep(lives_for)
        if ended_by is not None:
            raise ended_by
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_alive, nursery.cancel_scope)
        yield "connection"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError("reset"), "resource 'web' ended while the run was using it: OSError: reset"),
        (None, "resource 'web' ended while the run was using it"),
    ],
)
@pytest.mark.parametrize("is_started", [False, True])
@in_mock_time
async def test_one_that_ends_by_itself_is_the_run_s_failure_and_no_cancellation_of_the_program(
    error: Exception | None, text: str, is_started: bool
) -> None:
    backend = MemoryBackend()
    log: list[str] = []
    sleep = Step[Any, Any, Any]("sleep", trio.sleep)
    given = {"web": open_connection(1, error), "db": Pool("db", log)}
    went_on = False
    async with open_system(storage=backend) as system:
        result: PipelineResult[Any, Any]
        if is_started:
            result = await (await system.start(sleep, 1000, resources=given)).wait()
        else:
            result = await system.run(sleep, 1000, resources=given)
        went_on = True
    assert went_on
    assert result.failure is not None
    assert (result.status, result.failure.domain) == (SpanStatus.FAILED, FailureDomain.RESOURCE)
    assert (result.failure.feedback, result.failure.running) == (text, ("sleep",))
    assert log == ["open db", "close db"]
    assert Trace.of(result).statuses() == {"": "failed", "sleep": "cancelled"}
    assert backend.get_trace(result.run_id) == result.trace_tree
    assert [run.error for run in backend.list_runs()] == [str(result.failure)]


async def test_one_that_ends_while_others_are_closed_is_a_warning_and_the_result_stands(
    autojump_clock: MockClock,
) -> None:
    class Slow(Pool):
        async def __aexit__(self, *details: object) -> bool:
            await trio.sleep(2)
            return False

    async with open_system() as system:
        given = {"web": open_connection(1, OSError("reset")), "db": Slow("db", [])}
        result = await system.run(looking([]), None, resources=given)
    assert result.success
    assert result.warnings == ("resource 'web' ended while the run was using it: OSError: reset",)


async def test_what_closing_raises_does_not_go_with_the_cancellation_of_the_program(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def open_pool() -> AsyncGenerator[None, None]:
        async def work() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise OSError("broken pipe")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            yield

    async with open_system() as system:
        with trio.move_on_after(1) as scope:
            await system.run(Step("sleep", trio.sleep), 1000, resources=open_pool())
    assert scope.cancelled_caught
    assert "the resource could not be closed: OSError: broken pipe" in caplog.text
