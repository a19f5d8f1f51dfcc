"""Runs that an agent starts: part of the run around it, in the trace, in what is spent, in what is stopped."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from typing import Any, Self

import attrs
import pytest
import trio
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    Pipeline,
    RetryPolicy,
    Step,
    StepResult,
    System,
    UsageLimitExceededError,
    UsageLimits,
    UsageMeter,
    open_system,
)
from flujo_actors.events import RunEvent, StepStarted
from flujo_actors.storage import MemoryBackend, SQLiteBackend
from flujo_actors.testing import Trace

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


async def double(number: int, *, usage: UsageMeter) -> int:
    usage.charge(cost_usd=0.25, prompt_tokens=1)
    await trio.lowlevel.checkpoint()
    return number * 2


def inner() -> AnyStep:
    return Pipeline[Any, Any, Any]("inner", [Step("double", double)])


def outer(agent: Any, **options: Any) -> AnyStep:
    return Step[Any, Any, Any]("outer", agent, **options)


async def run_inner(data: Any, *, resources: System) -> Any:
    return (await resources.run(inner(), data)).unwrap()


async def test_it_is_part_of_the_trace_of_the_run_around_it() -> None:
    backend = MemoryBackend()
    async with open_system(storage=backend) as system:
        result = await system.run(outer(run_inner), 21, resources=system)
    assert result.output == 42
    assert Trace.of(result).paths() == ["", "outer", "outer/inner", "outer/inner/double"]
    assert backend.get_trace(result.run_id) == result.trace_tree
    assert [run.run_id for run in backend.list_runs()] == [result.run_id]


async def test_what_it_spends_is_counted_in_the_agent_s_step_and_above_once() -> None:
    async with open_system() as system:
        result = await system.run(outer(run_inner), 1, resources=system)
    (step,) = result.step_history
    assert (result.total_cost_usd, result.total_tokens) == (0.25, 1)
    assert (step.cost_usd, step.token_counts) == (0.25, 1)
    assert [(each.name, each.cost_usd) for each in step.step_history] == [("inner", 0.25)]


async def test_the_result_of_one_of_its_steps_is_not_counted_again_when_the_agent_gives_it() -> None:
    async def agent(data: Any, *, resources: System) -> Any:
        return (await resources.run(inner(), data)).step_history[0]

    async with open_system() as system:
        result = await system.run(outer(agent), 1, resources=system)
    assert isinstance(result.output, StepResult)
    assert result.output.cost_usd == 0.25
    assert (result.total_cost_usd, result.total_tokens) == (0.25, 1)


async def test_its_own_result_has_its_own_figures_and_a_trace_of_its_part() -> None:
    results: list[Any] = []

    async def agent(data: Any, *, resources: System, usage: UsageMeter) -> None:
        usage.charge(cost_usd=1)
        results.append(await resources.run(inner(), data))

    async with open_system() as system:
        around = await system.run(outer(agent), 1, resources=system)
    (result,) = results
    assert (result.run_id, result.total_cost_usd, around.total_cost_usd) == (around.run_id, 0.25, 1.25)
    assert Trace.of(result).paths() == ["outer/inner", "outer/inner/double"]
    assert result.trace_tree["name"] == "inner"


async def test_an_object_that_says_what_it_cost_is_charged_once_also_when_the_agent_passes_it_on() -> None:
    @attrs.frozen
    class Answer:
        cost_usd: float

    async def agent(data: Any, *, resources: System) -> Any:
        return (await resources.run(Step[Any, Any, Any]("answer", lambda data: Answer(0.5)), data)).unwrap()

    async with open_system() as system:
        assert (await system.run(outer(agent), 1, resources=system)).total_cost_usd == 0.5


async def test_several_of_one_name_are_told_apart() -> None:
    async def agent(data: Any, *, resources: System) -> None:
        for _ in range(2):
            await resources.run(inner(), data)

    async with open_system() as system:
        result = await system.run(outer(agent), 1, resources=system)
    assert [path for path in Trace.of(result).paths() if path.count("/") == 1] == ["outer/inner", "outer/inner#2"]


async def test_they_may_run_at_the_same_time_and_at_any_depth() -> None:
    async def deep(depth: int, *, resources: System) -> int:
        if depth == 0:
            return 1
        async with trio.open_nursery() as nursery:
            totals: list[int] = []

            async def one() -> None:
                totals.append((await resources.run(outer(deep), depth - 1)).unwrap())

            for _ in range(2):
                nursery.start_soon(one)
        return sum(totals)

    async with open_system() as system:
        result = await system.run(outer(deep), 4, resources=system)
    assert result.output == 16
    assert len(Trace.of(result).paths()) == 1 + 31 + 30  # the root; an agent each, and a pipeline for each but one


async def test_what_an_attempt_that_failed_had_run_is_counted_and_traced_too() -> None:
    tries = iter([True, False])

    async def agent(data: Any, *, resources: System) -> Any:
        output = (await resources.run(inner(), data)).unwrap()
        if next(tries):
            raise ValueError("boom")
        return output

    async with open_system() as system:
        result = await system.run(outer(agent), 1, resources=system)
    assert (result.total_cost_usd, result.step_history[0].attempts) == (0.5, 2)
    assert [each.name for each in result.step_history[0].step_history] == ["inner", "inner"]


async def test_it_is_cancelled_with_the_run_around_it_and_named_among_what_was_running(
    autojump_clock: MockClock,
) -> None:
    async def agent(data: Any, *, resources: System) -> None:
        await resources.run(Pipeline[Any, Any, Any]("inner", [Step("sleep", trio.sleep)]), 1000)

    backend = MemoryBackend()
    async with open_system(storage=backend) as system:
        result = await system.run(outer(agent, timeout=5.0, retry=ONCE), None, resources=system)
    assert str(result.failure) == "outer: Timed out after 5.0 s (while running outer/inner/sleep)"
    (record,) = backend.list_runs()
    assert str(record.status) == "failed"
    assert Trace.of(result).statuses() == {
        "": "failed",
        "outer": "failed",
        "outer/inner": "cancelled",
        "outer/inner/sleep": "cancelled",
    }


async def test_a_part_of_it_can_be_cancelled_by_its_path(autojump_clock: MockClock) -> None:
    async def agent(data: Any, *, resources: System) -> str:
        result = await resources.run(Pipeline[Any, Any, Any]("inner", [Step("sleep", trio.sleep)]), 1000)
        return str(result.failure)

    async with open_system() as system:
        run = await system.start(outer(agent), None, resources=system)
        await trio.sleep(1)
        snapshot = run.snapshot()
        assert snapshot is not None
        assert [each.path for each in snapshot.walk()] == ["", "outer", "outer/inner", "outer/inner/sleep"]
        assert run.cancel("outer/inner/sleep", reason="enough")
        result = await run.wait()
    assert result.output == "outer/inner/sleep: Cancelled: enough"


async def test_watchers_of_the_run_around_it_see_its_events() -> None:
    async with open_system() as system:
        run = await system.start(outer(run_inner), 1, resources=system)
        async with run.events() as events:
            seen: list[RunEvent] = [event async for event in events]
    assert [event.path for event in seen if isinstance(event, StepStarted)] == [
        "",
        "outer",
        "outer/inner",
        "outer/inner/double",
    ]


async def test_its_context_is_its_own() -> None:
    async def write(data: Any, *, context: Notes) -> None:
        context.lines.append("inner")

    async def agent(data: Any, *, context: Notes, resources: System) -> list[str]:
        context.lines.append("outer")
        result = await resources.run(Step[Any, Any, Any]("write", write), data, context=context)
        lines: list[str] = result.context.lines
        return lines

    async with open_system() as system:
        result = await system.run(outer(agent), None, context=Notes(), resources=system)
    assert (result.output, result.context.lines) == (["outer", "inner"], ["outer"])


async def test_its_usage_limit_ends_it_alone_and_the_agent_may_go_on() -> None:
    async def agent(data: Any, *, resources: System) -> str:
        try:
            await resources.run(inner(), data, usage_limits=UsageLimits(total_cost_usd_limit=0.1))
        except UsageLimitExceededError as error:
            return str(error)
        return "no limit"

    async with open_system() as system:
        result = await system.run(outer(agent), 1, resources=system)
    assert (result.output, result.total_cost_usd) == ("Cost limit of $0.1 exceeded", 0.25)


async def test_the_usage_limit_of_the_run_around_it_counts_what_it_spends() -> None:
    async with open_system() as system:
        with pytest.raises(UsageLimitExceededError, match=r"Cost limit of \$0.2 exceeded") as caught:
            await system.run(outer(run_inner), 1, resources=system, usage_limits=UsageLimits(total_cost_usd_limit=0.2))
    assert caught.value.result.total_cost_usd == 0.25


async def test_it_gets_the_resources_of_the_run_around_it_unless_it_is_given_others() -> None:
    got: list[Any] = []

    async def look(data: Any, *, resources: Any) -> None:
        got.append(resources)

    async def agent(data: Any, *, resources: System) -> None:
        await resources.run(Step[Any, Any, Any]("look", look), None)
        await resources.run(Step[Any, Any, Any]("look", look), None, resources="others")

    async with open_system() as system:
        await system.run(outer(agent), None, resources=system)
        assert got == [system, "others"]


async def test_what_the_run_around_it_has_opened_is_left_open() -> None:
    log: list[str] = []

    class Client:
        async def __aenter__(self) -> Self:
            log.append("open")
            return self

        async def __aexit__(self, *details: object) -> None:
            log.append("close")

        async def get(self) -> None:
            log.append("get")

    async def get(data: Any, *, resources: Client) -> None:
        await resources.get()

    async def agent(data: Any, *, resources: Client) -> None:
        (await system.run(Step[Any, Any, Any]("get", get), data)).unwrap()
        await resources.get()

    async with open_system() as system:
        (await system.run(outer(agent), 1, resources=Client())).unwrap()
    assert log == ["open", "get", "get", "close"]


async def test_one_whose_resource_cannot_be_opened_is_in_the_trace_of_the_run_around_it() -> None:
    class Closed:
        async def __aenter__(self) -> None:
            raise OSError("no route")

        async def __aexit__(self, *details: object) -> None:
            """It never gets here."""

    async def agent(data: Any, *, resources: System) -> str:
        result = await resources.run(inner(), data, resources=Closed())
        return str(result.status)

    backend = MemoryBackend()
    async with open_system(storage=backend) as system:
        result = await system.run(outer(agent), 1, resources=system)
    assert result.output == "failed"
    assert Trace.of(result).statuses() == {"": "completed", "outer": "completed", "outer/inner": "failed"}
    assert backend.get_trace(result.run_id) == result.trace_tree


async def test_its_agents_take_no_place_of_those_of_the_run_around_it() -> None:
    async with open_system() as system:
        with trio.fail_after(5):
            assert (await system.run(outer(run_inner), 1, resources=system, max_concurrency=1)).success


async def test_a_run_on_another_system_or_one_that_was_only_started_is_a_run_of_its_own() -> None:
    backend, others = MemoryBackend(), MemoryBackend()
    started: list[Any] = []

    async def agent(data: Any, *, resources: tuple[System, System]) -> None:
        own, other = resources
        await other.run(inner(), data)
        started.append(await own.start(outer(run_inner), data, resources=own))

    async with open_system(storage=backend) as system, open_system(storage=others) as other:
        result = await system.run(outer(agent), 1, resources=(system, other))
        await started[0].wait()
    assert (result.total_cost_usd, len(Trace.of(result).paths())) == (0, 2)
    assert [record.total_cost_usd for record in others.list_runs()] == [0.25]
    assert sorted(record.total_cost_usd for record in backend.list_runs()) == [0, 0.25]


async def test_a_task_that_outlives_its_agent_starts_runs_of_their_own() -> None:
    backend, gate = MemoryBackend(), trio.Event()
    results: list[Any] = []

    async with open_system(storage=backend) as system, trio.open_nursery() as nursery:

        async def later() -> None:
            await gate.wait()
            results.append(await system.run(inner(), 1))

        async def agent(data: Any) -> None:
            nursery.start_soon(later)

        around = await system.run(outer(agent), None)
        gate.set()
    assert results[0].run_id != around.run_id
    assert len(backend.list_runs()) == 2


async def test_a_task_outside_of_its_agent_starts_runs_of_their_own_also_while_the_agent_is_at_work() -> None:
    backend, begun = MemoryBackend(), trio.Event()
    results: list[Any] = []

    async def wait_a_little(data: Any, *, usage: UsageMeter) -> None:
        usage.charge(cost_usd=0.25)
        begun.set()
        await trio.sleep(0.01)
        usage.charge(cost_usd=0.25)

    async with trio.open_nursery() as nursery, open_system(storage=backend) as system:

        async def beside() -> None:
            results.append(await system.run(Step[Any, Any, Any]("wait", wait_a_little), None))

        async def agent(data: Any) -> None:
            nursery.start_soon(beside)
            await begun.wait()

        around = await system.run(outer(agent), None)
    (beside_it,) = results
    assert (around.total_cost_usd, Trace.of(around).paths()) == (0, ["", "outer"])
    assert (beside_it.total_cost_usd, Trace.of(backend, beside_it.run_id).paths()) == (0.5, ["", "wait"])


async def test_one_begun_in_a_thread_of_the_agent_s_is_part_of_the_run_unless_the_thread_may_be_abandoned() -> None:
    results: list[Any] = []

    async def agent(data: Any, *, resources: System) -> None:
        def run() -> Any:
            return trio.from_thread.run(resources.run, inner(), 1)

        results.append(await trio.to_thread.run_sync(run))
        results.append(await trio.to_thread.run_sync(run, abandon_on_cancel=True))

    async with open_system() as system:
        around = await system.run(outer(agent), None, resources=system)
    assert around.total_cost_usd == 0.25
    assert [result.run_id == around.run_id for result in results] == [True, False]


async def test_its_spans_are_stored_in_a_file_too(tmp_path: Any) -> None:
    backend = SQLiteBackend(tmp_path / "runs.db")
    async with open_system(storage=backend) as system:
        result = await system.run(outer(run_inner), 1, resources=system)
    assert backend.get_trace(result.run_id) == result.trace_tree


async def test_context_variables_of_the_caller_are_visible_in_agents_at_any_depth() -> None:
    import contextvars  # noqa: PLC0415 - used here alone

    request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")

    async def read(data: Any) -> str:
        return request.get()

    async def agent(data: Any, *, resources: System) -> Any:
        return (await resources.run(Step[Any, Any, Any]("read", read), None)).unwrap()

    async with open_system() as system:
        request.set("mine")
        run = await system.start(outer(agent), None, resources=system)
        request.set("another")
        assert ((await run.wait()).output, (await system.run(outer(agent), None, resources=system)).output) == (
            "mine",
            "another",
        )
