"""The entry: systems in any trio program, side by side and inside each other; errors come out as they were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    ContextError,
    Pipeline,
    RetryPolicy,
    RunFailedError,
    SpanStatus,
    Step,
    System,
    UsageMeter,
    open_system,
    run_pipeline,
)
from flujo_actors.errors import SystemClosedError
from flujo_actors.run import Run, RunAbortedError
from flujo_actors.storage import MemoryBackend, SQLiteBackend, StateBackend


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


def iter_nothing() -> Iterator[None]:
    """A generator, which cannot be copied."""
    yield from ()


def increment() -> AnyStep:
    return Step("increment", (1).__add__)


class TestBlock:
    @pytest.mark.parametrize("storage", [None, MemoryBackend()])
    @pytest.mark.parametrize(
        "error",
        [
            ValueError("mine"),
            KeyboardInterrupt(),
            ExceptionGroup("of one", [ValueError("mine")]),
            ExceptionGroup("nested", [ExceptionGroup("of one", [ValueError("mine")])]),
            StopIteration(1),
        ],
        ids=repr,
    )
    async def test_an_exception_in_the_block_comes_out_as_it_was(
        self, error: BaseException, storage: StateBackend | None
    ) -> None:
        cause = LookupError("before")
        error.__context__ = cause
        with pytest.raises(type(error)) as caught:  # noqa: PT012 - the block is what is tested
            async with open_system(storage=storage) as system:
                await system.start(Step("sleep", trio.sleep), 1000)
                raise error
        # Trio takes groups apart to look for cancellations, and puts them together as equal ones.
        assert caught.value is error or repr(caught.value) == repr(error) != repr(error.args[1][0])
        assert caught.value.__context__ is cause

    async def test_a_nursery_of_the_host_s_own_raises_as_nurseries_do(self) -> None:
        async def fail() -> None:
            raise ValueError("mine")

        with pytest.raises(ExceptionGroup) as caught:
            async with open_system(), trio.open_nursery() as nursery:
                nursery.start_soon(fail)
        assert [str(each) for each in caught.value.exceptions] == ["mine"]

    async def test_leaving_waits_for_runs_that_were_started(self, autojump_clock: MockClock) -> None:
        async with open_system() as system:
            run = await system.start(Step("sleep", trio.sleep), 5)
        assert trio.current_time() == 5
        assert (await run.wait()).success

    async def test_leaving_by_an_exception_cancels_runs_and_waiters_are_told(self) -> None:
        waiters_told: list[str] = []
        async with trio.open_nursery() as nursery:
            started = trio.Event()

            async def host() -> None:
                async with open_system() as system:
                    runs.append(await system.start(Step("sleep", trio.sleep), 1000))
                    started.set()
                    await trio.testing.wait_all_tasks_blocked()
                    raise ValueError("mine")

            runs: list[Any] = []

            async def wait() -> None:
                await started.wait()
                with pytest.raises(RunAbortedError) as caught:
                    await runs[0].wait()
                waiters_told.append(str(caught.value))

            nursery.start_soon(wait)
            with pytest.raises(ValueError, match="mine"):
                await host()
        assert waiters_told == [f"Run {runs[0].run_id} was ended together with the system that ran it"]
        assert repr(runs[0]) == f"<Run {runs[0].run_id} of 'sleep', aborted>"

    async def test_a_closed_system_runs_nothing(self) -> None:
        async with open_system() as system:
            pass
        with pytest.raises(SystemClosedError, match="start runs inside its `async with open_system"):
            await system.run(increment(), 1)
        with pytest.raises(SystemClosedError):
            await system.start(increment(), 1)

    async def test_a_closing_system_finishes_what_runs_and_what_its_agents_start_and_takes_nothing_new(
        self, autojump_clock: MockClock
    ) -> None:
        refused: list[str] = []

        async def agent(data: Any, *, resources: System) -> Any:
            await trio.sleep(1)
            try:
                await resources.start(increment(), 1)
            except SystemClosedError as error:
                refused.append(str(error))
            return (await resources.run(increment(), 1)).unwrap()

        async with open_system() as system:
            run = await system.start(Step("late", agent), None, resources=system)
        assert (await run.wait()).output == 2
        assert len(refused) == 1


class TestRunsThatAreGoingOn:
    async def test_a_system_knows_them_in_the_order_of_their_start(self) -> None:
        async with open_system() as system:
            started = [await system.start(Step("sleep", trio.sleep), 1000) for _ in range(3)]
            assert list(system.runs) == started
            async with trio.open_nursery() as nursery:
                nursery.start_soon(system.run, Step("fourth", trio.sleep), 1000)
                await trio.testing.wait_all_tasks_blocked()
                assert [run.record.pipeline for run in system.runs] == ["sleep", "sleep", "sleep", "fourth"]
                nursery.cancel_scope.cancel()
            started[1].cancel()
            await started[1].wait()
            assert list(system.runs) == [started[0], started[2]]
            for run in started:
                run.cancel()
        assert list(system.runs) == []

    async def test_one_that_an_agent_starts_is_part_of_the_run_around_it(self) -> None:
        seen: list[int] = []

        async def outer(data: Any, *, resources: System) -> Any:
            async def inner(data: Any) -> None:
                seen.append(len(resources.runs))
                await trio.lowlevel.checkpoint()

            await resources.run(Step("inner", inner), data)

        async with open_system() as system:
            await system.run(Step("outer", outer), None, resources=system)
            assert seen == [1]
            assert not system.runs

    async def test_its_record_says_what_was_spent_so_far_and_in_the_end_how_it_ended(self) -> None:
        gate = trio.Event()

        async def spend(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=0.5, prompt_tokens=3)
            await gate.wait()
            raise ValueError("boom")

        backend = MemoryBackend()
        async with open_system(storage=backend) as system:
            run = await system.start(Step("spend", spend, retry=RetryPolicy(max_attempts=1)), None)
            await trio.testing.wait_all_tasks_blocked()
            record = run.record
            assert (record.status, record.ended_at) == (SpanStatus.RUNNING, None)
            assert (record.total_cost_usd, record.total_tokens) == (0.5, 3)
            gate.set()
            await run.wait()
        assert run.record == backend.get_run(run.run_id)
        assert run.record.error == "spend: Agent execution failed with ValueError: boom"

    async def test_the_record_of_a_run_that_never_began_says_so_too(self) -> None:
        runs: list[Run[int, None]] = []
        with trio.CancelScope() as scope:
            async with open_system(storage=MemoryBackend()) as system:
                runs.append(await system.start(increment(), 1))
                scope.cancel()
        assert runs[0].record.status is SpanStatus.CANCELLED
        assert runs[0].record.ended_at is not None


class TestSideBySide:
    async def test_several_systems_stand_side_by_side(self) -> None:
        first_backend, second_backend = MemoryBackend(), MemoryBackend()
        async with open_system(storage=first_backend) as first, open_system(storage=second_backend) as second:
            one, two = await first.run(increment(), 1), await second.run(increment(), 2)
        assert (one.output, two.output) == (2, 3)
        assert [run.run_id for run in first_backend.list_runs()] == [one.run_id]
        assert [run.run_id for run in second_backend.list_runs()] == [two.run_id]

    @pytest.mark.parametrize("kind", ["memory", "sqlite"])
    async def test_two_hundred_runs_at_once_keep_everything_apart(self, kind: str, tmp_path: Path) -> None:
        backend = MemoryBackend() if kind == "memory" else SQLiteBackend(tmp_path / "runs.db")
        runs, steps = 200, 20
        results: dict[int, Any] = {}

        def part(number: int) -> AnyStep:
            async def agent(data: int, *, context: Notes, usage: UsageMeter) -> int:
                context.lines.append(f"{context.lines[0]}.{number}")
                usage.charge(cost_usd=0.01, prompt_tokens=int(context.lines[0]))
                await trio.lowlevel.checkpoint()
                return data + 1

            return Step(f"step{number}", agent)

        pipeline = Pipeline[Any, Any, Any]("many", [part(number) for number in range(steps)])

        async def run_one(number: int) -> None:
            results[number] = await system.run(pipeline, number * 1000, context=Notes([str(number)]))

        async with open_system(storage=backend) as system, trio.open_nursery() as nursery:
            for number in range(runs):
                nursery.start_soon(run_one, number)
        with backend:
            for number, result in results.items():
                assert result.output == number * 1000 + steps
                assert result.context.lines == [str(number), *(f"{number}.{step}" for step in range(steps))]
                assert result.total_cost_usd == 0.2
                assert result.total_tokens == number * steps
                assert result.warnings == ()
                assert len(result.step_history) == steps
            assert len({result.run_id for result in results.values()}) == runs
            assert len(backend.list_runs(status=SpanStatus.COMPLETED)) == runs
            for number in range(0, runs, 20):
                assert backend.get_trace(results[number].run_id) == results[number].trace_tree


class TestArguments:
    @pytest.mark.parametrize("context", ["text", 3, [1], object()])
    async def test_a_context_of_an_unsupported_kind_is_refused_before_anything_happens(self, context: Any) -> None:
        backend = MemoryBackend()
        async with open_system(storage=backend) as system:
            with pytest.raises(ContextError, match="pass an attrs or dataclass instance, a pydantic model or a dict"):
                await system.run(increment(), 1, context=context)
            with pytest.raises(ContextError):
                await system.start(increment(), 1, context=context)
        assert backend.list_runs() == []

    async def test_a_context_that_cannot_be_copied_is_refused_with_its_place(self) -> None:
        async with open_system() as system:
            with pytest.raises(ContextError, match="generator"):
                await system.run(increment(), 1, context={"stream": iter_nothing()})

    async def test_resources_are_handed_on_as_they_are(self) -> None:
        resources = object()
        seen: list[object] = []

        async def agent(data: Any, *, resources: object) -> None:
            seen.append(resources)

        async with open_system() as system:
            await system.run(Step("a", agent) >> Step("b", agent), None, resources=resources)
        assert seen[0] is seen[1] is resources

    async def test_a_handle_says_what_it_is_of_and_how_far(self) -> None:
        async with open_system() as system:
            run = await system.start(increment() >> increment(), 1)
            assert repr(run) == f"<Run {run.run_id} of 'pipeline', running>"
            await run.wait()
        assert repr(run) == f"<Run {run.run_id} of 'pipeline', completed>"


class TestRunPipeline:
    def test_it_runs_where_there_is_no_loop(self) -> None:
        assert run_pipeline(increment() >> increment(), 1).unwrap() == 3

    def test_it_takes_a_context_resources_and_storage(self) -> None:
        async def agent(data: int, *, context: Notes, resources: list[str]) -> int:
            context.lines.extend(resources)
            return data

        backend = MemoryBackend()
        result = run_pipeline(Step("a", agent), 1, context=Notes(), resources=["x"], storage=backend)
        assert result.context == Notes(["x"])
        assert backend.get_trace(result.run_id) == result.trace_tree

    def test_a_failed_run_raises_only_when_it_is_unwrapped(self) -> None:
        result = run_pipeline(Step[Any, Any, object]("a", ["a"].index), "x")
        assert not result.success
        with pytest.raises(RunFailedError, match="ValueError: 'x' is not in list"):
            result.unwrap()

    async def test_inside_a_loop_it_says_that_there_is_one(self) -> None:
        with pytest.raises(RuntimeError, match="run"):
            run_pipeline(increment(), 1)
