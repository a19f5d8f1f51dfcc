"""A good citizen of other people's programs: threads, cancellation, crashes, interrupts, other event loops."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import asyncio  # noqa: TID251 - a program of asyncio's is one of those that may embed us
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextvars import ContextVar
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    CacheStep,
    LoopStep,
    MapStep,
    ParallelStep,
    Pipeline,
    RetryPolicy,
    SpanStatus,
    Step,
    System,
    UsageMeter,
    open_system,
    run_pipeline,
    step,
)
from flujo_actors.storage import MemoryBackend, RunRecord, SQLiteBackend, StateBackend
from flujo_actors.testing import Trace, assert_trace, in_mock_time

CENT = Decimal("0.01")
ONCE = RetryPolicy(max_attempts=1)

REQUEST: ContextVar[str] = ContextVar("request", default="none")


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


@step
async def sleep(seconds: float, *, usage: UsageMeter) -> str:
    usage.charge(cost_usd=0.01)
    await trio.sleep(seconds)
    return "slept"


def only_run(backend: StateBackend) -> RunRecord:
    (record,) = backend.list_runs()
    return record


def in_threads(*functions: Callable[[], object]) -> None:
    """Run functions side by side, and raise what they raise."""
    errors: list[BaseException] = []

    def run(function: Callable[[], object]) -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(function,)) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise BaseExceptionGroup("in threads", errors)


class TestThreads:
    """Several trio programs in one process, each with a system of its own."""

    def test_they_may_run_one_pipeline_and_write_into_one_file(self, tmp_path: Path) -> None:
        pipeline, path = sleep >> Step[str, str, object]("upper", str.upper), tmp_path / "runs.db"
        run_ids: list[str] = []

        async def main() -> None:
            async with open_system(storage=SQLiteBackend(path)) as system, trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(run, system)

        async def run(system: System) -> None:
            result = await system.run(pipeline, 0.001)
            assert (result.unwrap(), result.warnings) == ("SLEPT", ())
            run_ids.append(result.run_id)

        in_threads(*[lambda: trio.run(main)] * 4)
        with SQLiteBackend(path) as backend:
            assert {record.run_id for record in backend.list_runs(status=SpanStatus.COMPLETED)} == set(run_ids)
            assert len(run_ids) == 20
            for run_id in run_ids:
                assert Trace.of(backend, run_id).paths() == ["", "sleep", "upper"]

    @pytest.mark.parametrize("kind", ["memory", "sqlite"])
    def test_they_may_share_a_backend_object(self, kind: str, tmp_path: Path) -> None:
        backend = MemoryBackend() if kind == "memory" else SQLiteBackend(tmp_path / "runs.db")
        in_threads(*[lambda: run_pipeline(sleep, 0.001, storage=backend)] * 6)
        with backend:
            assert [str(record.status) for record in backend.list_runs()] == ["completed"] * 6

    def test_one_that_crashes_does_not_disturb_the_others(self) -> None:
        backend, crashed = MemoryBackend(), threading.Event()

        async def crash() -> None:
            async with open_system() as system:
                await system.start(sleep, 1000.0)
                crashed.set()
                raise ValueError("mine")

        async def live() -> None:
            async with open_system(storage=backend) as system:
                run = await system.start(sleep, 0.0)
                await trio.to_thread.run_sync(crashed.wait)
                assert (await run.wait()).success
                assert (await system.run(sleep, 0.0)).success

        with pytest.raises(BaseExceptionGroup) as caught:
            in_threads(lambda: trio.run(crash), lambda: trio.run(live))
        assert [repr(error) for error in caught.value.exceptions] == ["ValueError('mine')"]
        assert [str(record.status) for record in backend.list_runs()] == ["completed"] * 2


class CancelAtStep(trio.abc.Instrument):
    """Cancels a scope when the tasks of a program have made so many steps since it was entered."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.steps = 0
        self.scope: trio.CancelScope | None = None

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self.scope is not None:
            self.steps += 1
            if self.steps == self.number:
                self.scope.cancel()


def everything(ledger: list[int]) -> AnyStep:
    """A pipeline of every kind of step. The agents note what they charge, a cent for each call."""

    def leaf(name: str, seconds: float = 0.5, fails: int = 0, **options: Any) -> AnyStep:
        calls: list[int] = []

        async def agent(data: Any, *, context: Notes, usage: UsageMeter) -> str:
            calls.append(1)
            ledger.append(1)
            usage.charge(cost_usd=CENT)
            context.lines.append(name)
            await trio.sleep(seconds)
            if len(calls) <= fails:
                raise ValueError("boom")
            return name

        return Step[Any, Any, Any](name, agent, **options)

    async def stream(data: Any, *, usage: UsageMeter) -> AsyncIterator[str]:
        ledger.append(1)
        usage.charge(cost_usd=CENT)
        for letter in "abc":
            yield letter
            await trio.sleep(0.1)

    async def threaded(data: Any, *, usage: UsageMeter) -> int:
        ledger.append(1)
        usage.charge(cost_usd=CENT)
        return await trio.to_thread.run_sync(lambda: 1)

    async def nested(data: Any, *, resources: System) -> Any:
        return (await resources.run(leaf("inside"), data, context=Notes())).output

    async def stubborn(data: Any, *, usage: UsageMeter) -> None:
        try:
            await trio.sleep(0.3)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.2)
                ledger.append(1)
                usage.charge(cost_usd=CENT)

    fan = ParallelStep[Any, Any, Any](
        "fan",
        {
            "retry": leaf("r", fails=1, retry=RetryPolicy(backoff=0.2)),
            "fallback": leaf("f", fails=2).with_fallback(leaf("g")),
            "late": leaf("t", seconds=9.0, timeout=0.7, retry=ONCE),
            "stream": Step("s", stream),
            "thread": Step("w", threaded),
            "nested": Step("n", nested),
            "stubborn": Step("b", stubborn),
        },
        on_branch_failure="ignore",
        merge_strategy="no_merge",
    )
    loop = LoopStep[Any, Any, Any]("loop", leaf("l"), exit_condition=lambda output, notes: len(notes.lines) > 1)
    each = MapStep[Any, Any, Any](
        "map", CacheStep[Any, Any, Any]("c", leaf("m")), over=lambda data, context: [1, 2, 1], max_concurrency=2
    )
    return Pipeline[Any, Any, Any]("everything", [fan, loop, each])


@attrs.frozen
class Outcome:
    """What became of a run whose host was cancelled."""

    steps: int
    """How many steps all tasks made."""
    cancelled: bool
    """Whether the cancellation reached the host before its block had ended."""
    spent: float
    """What the agents say they have spent in it, in US dollars."""


def run_and_cancel(backend: StateBackend, number: int) -> Outcome:
    """Run everything in a system, cancel the host's scope after so many steps, and go on using the system."""
    instrument, ledger = CancelAtStep(number), list[int]()

    async def main() -> tuple[bool, int]:
        async with open_system(storage=backend) as system:
            with trio.CancelScope() as scope:
                instrument.scope = scope
                await system.run(everything(ledger), None, context=Notes(), resources=system)
            instrument.scope, calls = None, len(ledger)
            assert (await system.run(sleep, 1.0)).success
        return scope.cancelled_caught, calls

    cancelled, calls = trio.run(main, clock=MockClock(autojump_threshold=0), instruments=[instrument])
    assert len(ledger) == calls  # nothing of it went on afterwards
    return Outcome(instrument.steps, cancelled, float(calls * CENT))


def hold_record_and_trace(backend: StateBackend, outcome: Outcome) -> None:
    """What must hold whenever the host was cancelled."""
    records = backend.list_runs(pipeline="everything")
    if not records:  # it had not begun
        assert (outcome.cancelled, outcome.spent) == (True, 0.0)
        return
    (record,) = records
    assert record.ended_at is not None
    assert record.total_cost_usd == outcome.spent
    trace = Trace.of(backend, record.run_id)
    trace.assert_step("", cost_usd=outcome.spent)
    assert set(trace.statuses().values()) <= {"completed", "failed", "cancelled"}
    for each in trace.root.walk():
        if each.children and each.kind != "Step":  # which may spend itself, before its fallback does
            assert sum(Decimal(str(child.cost_usd)) for child in each.children) == Decimal(str(each.cost_usd))
    if not outcome.cancelled:
        assert record.status is SpanStatus.COMPLETED
    if record.status is SpanStatus.CANCELLED:
        assert record.error == "Cancelled: stopped by the program around the run"


class CancelAtTheEndOf(trio.abc.Instrument):
    """Cancels a scope when a task of a name has ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.scope = trio.CancelScope()

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        if task.name == self.name:
            self.scope.cancel()


class TestCancellingTheHost:
    def test_at_whatever_moment_the_record_the_trace_and_the_accounts_are_whole(self) -> None:
        steps = run_and_cancel(MemoryBackend(), 0).steps
        assert steps > 50
        statuses: set[str] = set()
        for number in range(1, steps + 1):
            backend = MemoryBackend()
            hold_record_and_trace(backend, run_and_cancel(backend, number))
            statuses |= {str(record.status) for record in backend.list_runs(pipeline="everything")}
        assert "cancelled" in statuses

    def test_a_run_whose_work_is_done_when_its_host_is_cancelled_has_a_record_and_a_trace_that_agree(self) -> None:
        backend, instrument = MemoryBackend(), CancelAtTheEndOf("last")

        async def main() -> None:
            with instrument.scope:
                async with open_system(storage=backend) as system:
                    await system.run(Step("last", lambda data: data), 1)

        trio.run(main, instruments=[instrument])
        Trace.of(backend, only_run(backend).run_id).assert_step("", status=str(only_run(backend).status))

    def test_a_file_is_left_with_all_of_it(self, tmp_path: Path) -> None:
        steps = run_and_cancel(MemoryBackend(), 0).steps
        for number in range(1, steps, 8):
            with SQLiteBackend(tmp_path / f"{number}.db") as backend:
                outcome = run_and_cancel(backend, number)
                hold_record_and_trace(backend, outcome)

    @in_mock_time
    async def test_a_run_that_was_started_belongs_to_the_system_and_not_to_who_started_it(self) -> None:
        async with open_system() as system:
            run = await system.start(sleep, 5.0)
            with trio.move_on_after(1):
                await run.wait()
            assert trio.current_time() == 1
            assert (await run.wait()).success

    @in_mock_time
    async def test_the_deadline_of_a_host_s_scope_ends_the_system_s_block_and_the_runs_in_it(self) -> None:
        backend = MemoryBackend()
        with trio.move_on_after(2) as scope:
            async with open_system(storage=backend) as system:
                await system.start(sleep, 100.0)
        assert scope.cancelled_caught
        assert trio.current_time() == 2
        assert_trace(
            Trace.of(backend, only_run(backend).run_id),
            "pipeline_run: cancelled, $0.01\n  sleep: cancelled, $0.01",
        )


class TestTasksThatOutliveTheBlock:
    """`System.run` runs in the task that calls it, which need not be one of the block's."""

    def test_leaving_waits_for_their_runs_too(self) -> None:
        backend, results = MemoryBackend(), list[Any]()

        async def use(system: System) -> None:
            results.append(await system.run(sleep, 5.0))

        @in_mock_time
        async def main() -> float:
            async with trio.open_nursery() as nursery:
                async with open_system(storage=backend) as system:
                    nursery.start_soon(use, system)
                    await trio.sleep(1)
                return trio.current_time()

        assert main() == 5
        assert [str(result.status) for result in results] == ["completed"]
        assert only_run(backend).status is SpanStatus.COMPLETED


class TestCrashingHosts:
    @in_mock_time
    async def test_runs_that_were_going_on_are_recorded_as_cancelled_with_spans_and_spending(self) -> None:
        backend, closed = MemoryBackend(), list[float]()

        async def clean_up(data: Any) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(3)
                    closed.append(trio.current_time())

        fan = ParallelStep[Any, Any, Any]("fan", {"sleep": sleep, "clean": Step("clean", clean_up)})
        with pytest.raises(ValueError, match=r"^mine$") as caught:  # noqa: PT012 - the block is what is tested
            async with open_system(storage=backend) as system:
                await system.run(sleep, 1.0)
                await system.start(fan, 100.0)
                await trio.sleep(1)
                raise ValueError("mine")
        assert caught.value.__context__ is None
        assert closed == [5.0]
        crashed, before = backend.list_runs()
        assert (str(before.status), str(crashed.status), crashed.total_cost_usd) == ("completed", "cancelled", 0.01)
        assert crashed.error == "Cancelled: stopped by the program around the run"
        assert_trace(
            Trace.of(backend, crashed.run_id),
            """
            pipeline_run: cancelled, $0.01
              fan: cancelled, $0.01
                sleep: cancelled, $0.01
                clean: cancelled
            """,
        )

    @in_mock_time
    async def test_a_task_beside_the_system_that_crashes_ends_it_as_a_cancellation(self) -> None:
        backend = MemoryBackend()

        async def crash() -> None:
            await trio.sleep(1)
            raise ValueError("beside")

        with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - the block is what is tested
            async with trio.open_nursery() as nursery:
                nursery.start_soon(crash)
                async with open_system(storage=backend) as system:
                    await system.run(sleep, 100.0)
        assert [repr(error) for error in caught.value.exceptions] == ["ValueError('beside')"]
        assert only_run(backend).status is SpanStatus.CANCELLED

    @in_mock_time
    async def test_an_error_in_reading_events_leaves_the_run_to_the_block_s_end(self) -> None:
        backend = MemoryBackend()
        with pytest.raises(LookupError, match="mine"):  # noqa: PT012 - the block is what is tested
            async with open_system(storage=backend) as system:
                run = await system.start(sleep, 100.0)
                async for _ in run.events():
                    raise LookupError("mine")
        assert only_run(backend).status is SpanStatus.CANCELLED

    async def test_a_database_that_cannot_be_opened_is_raised_before_the_block(self, tmp_path: Path) -> None:
        (tmp_path / "runs.db").write_text("no database at all, but a text of some length" * 100)
        entered = False
        with pytest.raises(Exception, match=r"runs\.db"):
            async with open_system(storage=SQLiteBackend(tmp_path / "runs.db")):
                entered = True
        assert not entered


class TestInterrupts:
    """A KeyboardInterrupt comes out as it is, wherever it struck, and the runs are recorded as cancelled."""

    def interrupted(self, main: Callable[[StateBackend], Any]) -> StateBackend:
        backend = MemoryBackend()
        with pytest.raises(KeyboardInterrupt):
            trio.run(main, backend)
        return backend

    def test_in_the_host_s_code(self) -> None:
        async def main(backend: StateBackend) -> None:
            async with open_system(storage=backend) as system:
                await system.start(sleep, 1000.0)
                await trio.testing.wait_all_tasks_blocked()
                signal.raise_signal(signal.SIGINT)
                await trio.sleep_forever()

        backend = self.interrupted(main)
        assert_trace(
            Trace.of(backend, only_run(backend).run_id), "pipeline_run: cancelled, $0.01\n  sleep: cancelled, $0.01"
        )
        assert (only_run(backend).status, only_run(backend).total_cost_usd) == (SpanStatus.CANCELLED, 0.01)

    @pytest.mark.parametrize("method", ["run", "start"])
    def test_in_an_agent_s_code(self, method: str) -> None:
        def interrupt(data: Any, *, usage: UsageMeter) -> float:
            usage.charge(cost_usd=0.5)
            signal.raise_signal(signal.SIGINT)
            return 1000.0

        async def main(backend: StateBackend) -> None:
            async with open_system(storage=backend) as system:
                await system.start(sleep, 1000.0)
                await getattr(system, method)(
                    Pipeline[Any, Any, Any]("struck", [Step("interrupt", interrupt), sleep]), 1
                )
                await trio.sleep_forever()

        backend = self.interrupted(main)
        assert {str(record.status) for record in backend.list_runs()} == {"cancelled"}
        (struck,) = backend.list_runs(pipeline="struck")
        assert struck.total_cost_usd == 0.5
        Trace.of(backend, struck.run_id).assert_step("interrupt", status="cancelled", cost_usd=0.5)

    def test_an_agent_that_exits_the_program_leaves_a_record_and_a_trace_that_agree(self) -> None:
        def leave(data: Any) -> None:
            raise SystemExit(3)

        async def main(backend: StateBackend) -> None:
            async with open_system(storage=backend) as system:
                await system.run(Step("leave", leave), None)

        backend = MemoryBackend()
        with pytest.raises(SystemExit):
            trio.run(main, backend)
        Trace.of(backend, only_run(backend).run_id).assert_step("", status=str(only_run(backend).status))


class TestSystemsInAgents:
    """An agent may open a system of its own: its runs are runs of their own."""

    @in_mock_time
    async def test_its_runs_have_their_own_records_and_accounts(self) -> None:
        outer_backend, inner_backend = MemoryBackend(), MemoryBackend()

        async def agent(seconds: float) -> Any:
            async with open_system(storage=inner_backend) as inner:
                return (await inner.run(sleep, seconds)).unwrap()

        async with open_system(storage=outer_backend) as system:
            result = await system.run(Step("outer", agent), 1.0)
        assert (result.unwrap(), result.total_cost_usd) == ("slept", 0.0)
        assert Trace.of(result).paths() == ["", "outer"]
        assert only_run(inner_backend).total_cost_usd == 0.01
        assert only_run(inner_backend).run_id != result.run_id

    @in_mock_time
    async def test_they_are_stopped_with_the_agent_and_recorded_as_cancelled(self) -> None:
        outer_backend, inner_backend = MemoryBackend(), MemoryBackend()

        async def agent(seconds: float) -> None:
            async with open_system(storage=inner_backend) as inner:
                await inner.start(sleep, seconds)

        async with open_system(storage=outer_backend) as system:
            result = await system.run(Step("outer", agent, timeout=2.0, retry=ONCE), 100.0)
        assert str(result.failure) == "outer: Timed out after 2.0 s"
        assert only_run(inner_backend).status is SpanStatus.CANCELLED
        assert only_run(inner_backend).total_cost_usd == 0.01

    @in_mock_time
    async def test_both_may_keep_their_runs_in_one_backend(self) -> None:
        backend = MemoryBackend()

        async def agent(seconds: float) -> Any:
            async with open_system(storage=backend) as inner:
                return (await inner.run(sleep, seconds)).unwrap()

        async with open_system(storage=backend) as system:
            assert (await system.run(Step("outer", agent), 1.0)).success
        assert sorted(record.pipeline for record in backend.list_runs()) == ["outer", "sleep"]


class TestContextVariables:
    async def test_every_run_sees_those_of_who_began_it(self) -> None:
        async def handle(request: str) -> None:
            REQUEST.set(request)
            seen[request] = (await system.run(Step("read", lambda data: REQUEST.get()), None)).output

        seen: dict[str, Any] = {}
        async with open_system() as system, trio.open_nursery() as nursery:
            for request in "abc":
                nursery.start_soon(handle, request)
        assert seen == {"a": "a", "b": "b", "c": "c"}

    async def test_functions_of_composites_and_threads_of_agents_see_them_too(self) -> None:
        async def in_a_thread(data: Any) -> str:
            return await trio.to_thread.run_sync(REQUEST.get)

        loop = LoopStep[Any, Any, Any](
            "loop", Step("read", in_a_thread), exit_condition=lambda output, context: output == REQUEST.get() == "mine"
        )
        REQUEST.set("mine")
        async with open_system() as system:
            assert (await system.run(loop, None)).unwrap() == "mine"

    async def test_what_an_agent_sets_stays_with_it(self) -> None:
        def change(data: Any) -> str:
            before = REQUEST.get()
            REQUEST.set("changed")
            return before

        REQUEST.set("mine")
        async with open_system() as system:
            result = await system.run(Step("a", change) >> Step("b", change), None)
        assert (result.unwrap(), REQUEST.get()) == ("mine", "mine")


class TestPrograms:
    """What is no trio program, and what is one already."""

    def test_a_thread_of_any_program_may_run_a_pipeline(self) -> None:
        outputs: list[Any] = []
        in_threads(*[lambda: outputs.append(run_pipeline(sleep, 0.0).unwrap())] * 3)
        assert outputs == ["slept"] * 3

    async def test_a_thread_of_a_trio_program_may_too(self) -> None:
        result = await trio.to_thread.run_sync(run_pipeline, sleep, 0.0)
        assert result.unwrap() == "slept"

    def test_inside_a_trio_program_run_pipeline_says_what_to_use(self) -> None:
        async def main() -> None:
            run_pipeline(sleep, 0.0)

        with pytest.raises(RuntimeError, match="open_system"):
            trio.run(main)

    def test_inside_a_program_of_asyncio_s_open_system_says_what_it_needs(self) -> None:
        async def main() -> None:
            async with open_system():
                pass

        with pytest.raises(RuntimeError, match="trio program"):
            asyncio.run(main())


class TestAsyncio:
    """Programs of asyncio's: a pipeline in a thread, or trio as a guest of its loop."""

    def test_a_pipeline_runs_in_a_thread_while_the_loop_goes_on(self) -> None:
        async def main() -> tuple[str | None, bool]:
            event = asyncio.Event()
            asyncio.get_running_loop().call_later(0, event.set)
            result = await asyncio.to_thread(run_pipeline, sleep, 0.05)
            return result.output, event.is_set()

        assert asyncio.run(main()) == ("slept", True)

    def test_as_a_guest_a_system_runs_in_the_loop_s_own_thread(self, tmp_path: Path) -> None:
        threads: set[threading.Thread] = set()

        def note_thread(data: Any) -> Any:
            threads.add(threading.current_thread())
            return data

        async def use() -> Any:
            async with open_system(storage=SQLiteBackend(tmp_path / "runs.db")) as system:
                return await system.run(sleep >> Step("note", note_thread), 0.01)

        async def main() -> Any:
            loop = asyncio.get_running_loop()
            done: asyncio.Future[Any] = loop.create_future()
            trio.lowlevel.start_guest_run(
                use, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=done.set_result
            )
            return (await done).unwrap()

        result = asyncio.run(main())
        assert (result.unwrap(), threads) == ("slept", {threading.current_thread()})
        with SQLiteBackend(tmp_path / "runs.db") as backend:
            assert backend.get_trace(result.run_id) == result.trace_tree


class TestPytestTrio:
    """Systems as fixtures, and pytest-trio's clock."""

    @pytest.fixture
    async def system(self) -> AsyncGenerator[System, None]:
        async with open_system(storage=MemoryBackend()) as system:
            yield system

    async def test_a_system_may_be_an_async_fixture(self, system: System, autojump_clock: MockClock) -> None:
        result = await system.run(sleep, 60.0)
        assert (result.unwrap(), result.step_history[0].latency_s) == ("slept", 60)

    async def test_and_be_left_with_runs_that_go_on(self, system: System, autojump_clock: MockClock) -> None:
        await system.start(sleep, 60.0)

    async def test_its_nursery_may_run_pipelines(
        self, system: System, nursery: trio.Nursery, autojump_clock: MockClock
    ) -> None:
        nursery.start_soon(system.run, sleep, 1000.0)
        await trio.sleep(1)
