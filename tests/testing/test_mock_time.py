"""Virtual time: waiting takes none, and neither do threads."""

from __future__ import annotations

import inspect
import threading
import time
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from flujo_actors import (
    InvalidPipelineError,
    Pipeline,
    RetryPolicy,
    Step,
    UsageLimitExceededError,
    UsageLimits,
    UsageMeter,
    open_system,
    step,
)
from flujo_actors.storage import MemoryBackend, SQLiteBackend
from flujo_actors.testing import in_mock_time, mock_time, run_in_mock_time

ONCE = RetryPolicy(max_attempts=1)
HOUR = 3600.0


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


@step
async def wait(seconds: float) -> float:
    await trio.sleep(seconds)
    return trio.current_time()


@step(timeout=1.0, retry=ONCE)
async def use_a_thread(data: int) -> int:
    await trio.to_thread.run_sync(time.sleep, 0.02, abandon_on_cancel=True)
    return data


class TestRunning:
    def test_an_hour_takes_no_time(self) -> None:
        began = time.monotonic()
        result = run_in_mock_time(wait, HOUR)
        assert (result.unwrap(), result.step_history[0].latency_s) == (HOUR, HOUR)
        assert time.monotonic() - began < HOUR / 10

    def test_it_takes_what_a_run_takes(self) -> None:
        async def note(data: str, *, context: Notes, resources: str) -> str:
            context.lines.append(resources)
            return data

        backend = MemoryBackend()
        result = run_in_mock_time(Step("note", note), "x", context=Notes(), resources="mine", storage=backend)
        assert result.context == Notes(["mine"])
        assert backend.get_trace(result.run_id) == result.trace_tree

    def test_errors_are_those_of_a_run(self) -> None:
        def spend(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=2)

        with pytest.raises(UsageLimitExceededError):
            run_in_mock_time(Step("spend", spend), None, usage_limits=UsageLimits(total_cost_usd_limit=1))
        with pytest.raises(InvalidPipelineError):
            run_in_mock_time(Pipeline[int, int, None]("empty", []), 1)

    def test_two_runs_do_not_share_their_time(self) -> None:
        assert [run_in_mock_time(wait, 5.0).unwrap() for _ in range(2)] == [5.0, 5.0]


class TestThreads:
    def test_a_step_s_time_does_not_run_out_while_a_thread_works_for_it(self) -> None:
        result = run_in_mock_time(use_a_thread, 1)
        assert (result.success, result.step_history[0].latency_s) == (True, 0.0)

    def test_left_to_itself_an_autojump_clock_does_not_see_threads(self) -> None:
        over = threading.Event()

        async def agent(data: int) -> int:
            await trio.to_thread.run_sync(over.wait, abandon_on_cancel=True)
            return data

        async def main() -> bool:
            async with open_system() as system:
                return (await system.run(Step("thread", agent, timeout=1.0, retry=ONCE), 1)).success

        try:
            assert not trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        finally:
            over.set()

    def test_a_database_takes_no_time(self, tmp_path: Path) -> None:
        backend = SQLiteBackend(tmp_path / "runs.db")

        @in_mock_time
        async def main() -> float:
            with trio.fail_after(0.5):
                async with open_system(storage=backend) as system:
                    for _ in range(5):
                        assert (await system.run(Step[int, int, object]("add", (1).__add__), 1)).success
            return trio.current_time()

        assert main() <= 5 * 0.02  # the moments for which the storage actor lets spans gather
        with backend:
            assert len(backend.list_runs()) == 5

    def test_a_thread_that_waits_for_the_event_loop_does_not_stop_the_time_for_good(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mock_time, "PATIENCE", 0.01)

        def from_a_thread() -> None:
            trio.from_thread.run(trio.sleep, 7)

        async def agent(data: Any) -> float:
            await trio.to_thread.run_sync(from_a_thread)
            return trio.current_time()

        assert run_in_mock_time(Step("call back", agent), None).unwrap() == 7


class TestFunctions:
    @in_mock_time
    async def test_a_test_of_plain_pytest_may_be_async(self) -> None:
        async with open_system() as system:
            run = await system.start(wait, HOUR)
            await trio.sleep(10)
            run.cancel(reason="enough")
            assert (await run.wait()).step_history[0].latency_s == 10

    @pytest.mark.parametrize("seconds", [1.0, 2.0])
    @in_mock_time
    async def test_it_takes_fixtures_and_parameters(self, seconds: float, tmp_path: Path) -> None:
        await trio.sleep(seconds)
        assert trio.current_time() == seconds
        assert tmp_path.name

    def test_it_is_a_plain_function_with_the_name_the_words_and_the_arguments_of_the_async_one(self) -> None:
        async def add(one: int, two: int = 2) -> int:
            """Words."""
            await trio.sleep(1)
            return one + two

        plain = in_mock_time(add)
        assert plain(1, two=3) == 4
        assert not inspect.iscoroutinefunction(plain)
        assert (plain.__name__, plain.__doc__) == ("add", "Words.")
        assert list(inspect.signature(plain).parameters) == ["one", "two"]

    def test_what_it_raises_comes_out_as_it_is(self) -> None:
        error = ValueError("boom")

        @in_mock_time
        async def fail() -> None:
            await trio.sleep(1)
            raise error

        with pytest.raises(ValueError, match="boom") as caught:
            fail()
        assert caught.value is error

    def test_several_threads_may_each_be_in_their_own_time(self) -> None:
        ends: list[float] = []

        @in_mock_time
        async def sleep(seconds: float) -> None:
            await trio.sleep(seconds)
            ends.append(trio.current_time())

        threads = [threading.Thread(target=sleep, args=(float(number),)) for number in range(1, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(ends) == [1.0, 2.0, 3.0]
