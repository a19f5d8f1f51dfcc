"""Resources of a run: opened with it, closed with it, whatever becomes of it."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from flujo_actors import FailureDomain, RetryPolicy, Step, open_system, run_pipeline
from flujo_actors.storage import MemoryBackend


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
