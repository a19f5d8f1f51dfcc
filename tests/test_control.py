"""Control over every subtree of a run: stopping a part of it, bounding its time, looking at it."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    DynamicParallelRouterStep,
    FailureDomain,
    LoopStep,
    MapStep,
    ParallelStep,
    Pipeline,
    RetryPolicy,
    Run,
    Step,
    StepResult,
    UsageMeter,
    open_system,
)
from flujo_actors.events import AttemptFailed, RunEvent, StepFellBack, StepRetried, StepStarted
from flujo_actors.snapshots import ActorState
from flujo_actors.storage import MemoryBackend
from flujo_actors.testing import Trace

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


def sleeper(name: str = "sleep", seconds: float = 100.0, **options: Any) -> AnyStep:
    async def sleep(data: Any, *, usage: UsageMeter) -> str:
        usage.charge(prompt_tokens=1)
        await trio.sleep(seconds)
        return name

    return Step[Any, Any, Any](name, sleep, **options)


@asynccontextmanager
async def running(step: AnyStep, after: float = 1.0, **options: Any) -> AsyncGenerator[Run[Any, Any], None]:
    """A run that has been going on for a while."""
    async with open_system(storage=MemoryBackend()) as system:
        run = await system.start(step, None, **options)
        await trio.sleep(after)
        yield run


def fan(**branches: AnyStep) -> AnyStep:
    return ParallelStep[Any, Any, Any]("fan", branches, on_branch_failure="ignore")


class TestCancellingAPart:
    async def test_one_branch_stops_and_its_siblings_go_on(self, autojump_clock: MockClock) -> None:
        async with running(fan(a=sleeper("a"), b=sleeper("b", 5.0))) as run:
            assert run.cancel("fan/a", reason="too slow")
            result = await run.wait()
        a = result.unwrap()["a"]
        assert isinstance(a, StepResult)
        assert (a.feedback, a.token_counts, a.attempts) == ("Cancelled: too slow", 1, 1)
        assert (result.success, result.unwrap()["b"], result.total_tokens) == (True, "b", 2)
        statuses = Trace.of(result).statuses()
        assert statuses == {"": "completed", "fan": "completed", "fan/a": "cancelled", "fan/b": "completed"}

    async def test_a_whole_subtree_stops_with_every_account_and_span(self, autojump_clock: MockClock) -> None:
        inner = Pipeline[Any, Any, Any]("p", [sleeper("first", 0.5), fan(x=sleeper("x"), y=sleeper("y"))])
        async with running(fan(a=inner, b=sleeper("b", 5.0))) as run:
            assert run.cancel("fan/a", reason="enough")
            result = await run.wait()
        a = result.unwrap()["a"]
        assert (a.token_counts, result.total_tokens) == (3, 4)
        assert sorted(a.failure.running) == ["fan/a/fan/x", "fan/a/fan/y"]
        statuses = Trace.of(result).statuses()
        assert {path for path, status in statuses.items() if status == "cancelled"} == {
            "fan/a",
            "fan/a/fan",
            "fan/a/fan/x",
            "fan/a/fan/y",
        }

    async def test_a_part_may_be_named_by_the_id_of_its_span(self, autojump_clock: MockClock) -> None:
        async with running(fan(a=sleeper("a"), b=sleeper("b", 5.0))) as run:
            snapshot = run.snapshot()
            assert snapshot is not None
            (span_id,) = [actor.span_id for actor in snapshot.walk() if actor.path == "fan/a"]
            assert run.cancel(span_id, reason="enough")
            assert (await run.wait()).unwrap()["a"].feedback == "Cancelled: enough"

    async def test_an_iteration_or_item_may_be_named_by_its_number(self, autojump_clock: MockClock) -> None:
        each = MapStep[Any, Any, Any](
            "map",
            sleeper(seconds=5.0),
            over=lambda data, context: range(3),
            max_concurrency=3,
            on_item_failure="ignore",
        )
        async with running(each) as run:
            assert run.cancel("map[2]", reason="enough")
            result = await run.wait()
        assert [isinstance(each, StepResult) for each in result.step_history[0].output] == [False, True, False]

    @pytest.mark.parametrize("max_concurrency", [1, 3])
    async def test_a_stopped_item_is_ignored_where_failed_items_are(
        self, autojump_clock: MockClock, max_concurrency: int
    ) -> None:
        each = MapStep[Any, Any, Any](
            "map",
            sleeper(seconds=5.0),
            over=lambda data, context: range(3),
            max_concurrency=max_concurrency,
            on_item_failure="ignore",
        )
        async with running(each) as run:
            assert run.cancel("map[1]", reason="enough")
            result = await run.wait()
        stopped, *others = result.unwrap()
        assert stopped.feedback == "Cancelled: enough"
        assert others == ["sleep", "sleep"]
        assert result.total_tokens == 3

    @pytest.mark.parametrize("max_concurrency", [1, 2])
    async def test_a_stopped_item_fails_a_map_in_the_map_s_words(
        self, autojump_clock: MockClock, max_concurrency: int
    ) -> None:
        def items(data: Any, context: Any) -> range:
            return range(max_concurrency)

        each = MapStep[Any, Any, Any]("map", sleeper(), over=items, max_concurrency=max_concurrency, timeout=9.0)
        async with running(each) as run:
            for number in range(max_concurrency):
                assert run.cancel(f"map[{number + 1}]", reason="enough")
            result = await run.wait()
        step = result.step_history[0]
        assert step.feedback == "Item 1 failed: Cancelled: enough"
        assert [item.feedback for item in step.output] == ["Cancelled: enough"] * max_concurrency
        assert step.metadata == {"items": max_concurrency}

    async def test_a_stopped_router_fails_its_step_in_the_step_s_words(self, autojump_clock: MockClock) -> None:
        step = DynamicParallelRouterStep[Any, Any, Any]("route", sleeper("ask"), {"a": sleeper("a")})
        async with running(step) as run:
            assert run.cancel("route/ask", reason="enough")
            result = await run.wait()
        assert result.step_history[0].feedback == "Router agent failed: Cancelled: enough"

    async def test_stopped_branches_of_a_router_fail_its_step_as_branches_that_fail_do(
        self, autojump_clock: MockClock
    ) -> None:
        choose = Step[Any, Any, Any]("choose", lambda data: ["a", "b"])
        step = DynamicParallelRouterStep[Any, Any, Any]("route", choose, {"a": sleeper("a")})
        async with running(step) as run:
            assert run.cancel("route/branches", reason="enough")
            result = await run.wait()
        assert result.failure is not None
        assert (result.failure.step, result.failure.feedback) == ("route", "Cancelled: enough")
        assert result.step_history[0].metadata == {"unknown_branches": ["b"]}

    async def test_a_step_of_a_sequence_that_is_stopped_ends_the_sequence(self, autojump_clock: MockClock) -> None:
        pipeline = Pipeline[Any, Any, Any]("p", [sleeper("a"), sleeper("b")])
        async with running(pipeline) as run:
            assert run.cancel("a", reason="enough")
            result = await run.wait()
        assert result.failure is not None
        assert (result.failure.domain, str(result.status)) == (FailureDomain.CANCELLED, "failed")
        assert [step.name for step in result.step_history] == ["a"]

    async def test_it_is_not_tried_again_and_no_fallback_runs(self, autojump_clock: MockClock) -> None:
        step = sleeper("a", retry=RetryPolicy(max_attempts=5)).with_fallback(sleeper("b"))
        async with running(fan(a=step)) as run:
            run.cancel("fan/a", reason="enough")
            result = await run.wait()
        (a,) = result.step_history[0].step_history
        assert (a.attempts, a.metadata.get("fallback_triggered")) == (1, None)

    async def test_stopped_while_it_backs_off_it_ends_at_once(self, autojump_clock: MockClock) -> None:
        def fail(data: Any) -> None:
            raise ValueError("boom")

        async with running(Step[Any, Any, Any]("a", fail, retry=RetryPolicy(backoff=60.0))) as run:
            assert run.cancel("a", reason="enough")
            result = await run.wait()
            assert trio.current_time() < 5
        assert (result.step_history[0].attempts, result.step_history[0].feedback) == (1, "Cancelled: enough")

    async def test_the_fallback_is_stopped_by_the_path_of_its_step_or_by_its_own(
        self, autojump_clock: MockClock
    ) -> None:
        def fail(data: Any) -> None:
            raise ValueError("boom")

        step = Step[Any, Any, Any]("a", fail, retry=ONCE).with_fallback(sleeper("b"))
        for path in ("a", "a/b"):
            async with running(Pipeline[Any, Any, Any]("p", [step])) as run:
                assert run.cancel(path, reason="enough")
                result = await run.wait()
            assert result.step_history[0].failure is not None
            assert result.step_history[0].failure.domain is FailureDomain.CANCELLED

    async def test_shielded_clean_up_is_done(self, autojump_clock: MockClock) -> None:
        done: list[float] = []

        async def agent(data: Any) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(2)
                    done.append(trio.current_time())

        async with running(fan(a=Step[Any, Any, Any]("a", agent), b=sleeper("b", 1.5))) as run:
            began = trio.current_time()
            run.cancel("fan/a")
            await run.wait()
            assert done == [began + 2]

    async def test_what_is_not_running_is_not_cancelled_and_the_answer_says_so(self, autojump_clock: MockClock) -> None:
        async with running(Pipeline[Any, Any, Any]("p", [sleeper("a", 0.5), sleeper("b", 2.0)])) as run:
            assert [run.cancel(path) for path in ("a", "c", "b/c", "0123456789abcdef", "b[1]")] == [False] * 5
            assert (await run.wait()).success
            assert not run.cancel("b")
            assert not run.cancel()

    async def test_one_that_is_stopped_before_its_turn_has_come_calls_no_agent(self) -> None:
        called: list[str] = []

        def agent(name: str) -> AnyStep:
            return Step[Any, Any, Any](name, lambda data: called.append(name))

        names = [f"s{number}" for number in range(40)]  # trio lets tasks run in an order that nobody knows
        fan = ParallelStep[Any, Any, Any]("fan", {name: agent(name) for name in names}, on_branch_failure="ignore")
        stopped: set[str] = set()

        def stop_what_has_started(event: RunEvent, events: trio.MemoryReceiveChannel[RunEvent]) -> None:
            with suppress(trio.WouldBlock, trio.EndOfChannel):
                while True:
                    if isinstance(event, StepStarted) and "/" in event.path and run.cancel(event.path):
                        stopped.add(event.path.removeprefix("fan/"))
                    event = events.receive_nowait()

        async with open_system() as system:
            run = await system.start(fan, 1)
            async with run.events() as events:
                async for event in events:
                    stop_what_has_started(event, events)
            result = await run.wait()
        assert not stopped & set(called)
        assert {branch.name for branch in result.step_history[0].step_history if not branch.success} == stopped

    async def test_a_name_that_begins_like_another_is_not_mistaken_for_it(self, autojump_clock: MockClock) -> None:
        async with running(fan(a=sleeper("a", 2.0), ab=sleeper("ab", 2.0))) as run:
            run.cancel("fan/a", reason="enough")
            assert (await run.wait()).unwrap()["ab"] == "ab"

    async def test_writes_of_the_part_are_out_and_those_of_its_siblings_in(self, autojump_clock: MockClock) -> None:
        def writer(name: str, seconds: float) -> AnyStep:
            async def write(data: Any, *, context: Notes) -> None:
                context.lines.append(name)
                await trio.sleep(seconds)

            return Step[Any, Any, Any](name, write)

        async with running(fan(a=writer("a", 100), b=writer("b", 2)), context=Notes()) as run:
            run.cancel("fan/a")
            assert (await run.wait()).context.lines == ["b"]


class TestTimeLimits:
    async def test_a_limit_bounds_the_whole_subtree_and_says_what_was_running(self, autojump_clock: MockClock) -> None:
        step = Pipeline[Any, Any, Any]("p", [fan(x=sleeper("x"), y=sleeper("y", 1.0), z=sleeper("z"))], timeout=3.0)
        async with open_system() as system:
            result = await system.run(step, None)
        assert result.failure is not None
        assert str(result.failure).startswith("the pipeline: Timed out after 3.0 s (while running fan/")
        assert sorted(result.failure.running) == ["fan/x", "fan/z"]

    async def test_a_limit_above_is_never_lengthened_by_one_below(self, autojump_clock: MockClock) -> None:
        step = Pipeline[Any, Any, Any]("p", [sleeper("a", timeout=50.0)], timeout=2.0)
        async with open_system() as system:
            began = trio.current_time()
            result = await system.run(step, None)
            assert trio.current_time() - began == pytest.approx(2.0)
        assert result.step_history[0].feedback == "Cancelled: the run ran out of time"

    async def test_each_attempt_gets_the_limit_afresh(self, autojump_clock: MockClock) -> None:
        async with open_system() as system:
            result = await system.run(sleeper("a", timeout=2.0, retry=RetryPolicy(max_attempts=3)), None)
        (step,) = result.step_history
        assert (step.attempts, round(step.latency_s, 3), step.token_counts) == (3, 6.0, 3)


class TestSnapshots:
    async def test_the_tree_of_actors_is_told_with_states_times_and_mailboxes(self, autojump_clock: MockClock) -> None:
        def fail(data: Any) -> None:
            raise ValueError("boom")

        flaky = Step[Any, Any, Any]("flaky", fail, retry=RetryPolicy(backoff=60.0))
        step = Pipeline[Any, Any, Any](
            "p",
            [fan(a=sleeper("a", timeout=50.0), b=flaky, c=Pipeline[Any, Any, Any]("c", [sleeper("d")]))],
            timeout=20.0,
        )
        async with running(step, after=5.0) as run:
            root = run.snapshot()
            assert root is not None
            seen = {
                actor.path: (actor.kind, actor.state, actor.attempt, round(actor.running_s, 3), actor.mailbox_length)
                for actor in root.walk()
            }
            assert seen == {
                "": ("Pipeline", ActorState.RUNNING, 1, 5.0, 0),
                "fan": ("ParallelStep", ActorState.RUNNING, 1, 5.0, 0),
                "fan/a": ("Step", ActorState.RUNNING, 1, 5.0, 0),
                "fan/b": ("Step", ActorState.WAITING, 2, 5.0, 0),
                "fan/c": ("Pipeline", ActorState.RUNNING, 1, 5.0, 0),
                "fan/c/d": ("Step", ActorState.RUNNING, 1, 5.0, 0),
            }
            assert {round(actor.time_left_s or 0, 3) for actor in root.walk()} == {15.0}
            assert {actor.path: dict(actor.attributes) for actor in root.walk()}["fan/a"] == {"branch": "a"}
            run.cancel()

    async def test_no_limit_is_told_as_none_and_a_limit_of_its_own_is_told(self, autojump_clock: MockClock) -> None:
        async with running(fan(a=sleeper("a", timeout=10.0), b=sleeper("b"))) as run:
            root = run.snapshot()
            assert root is not None
            left = {actor.path: actor.time_left_s for actor in root.walk()}
            assert left == {"": None, "fan": None, "fan/a": pytest.approx(9.0), "fan/b": None}
            run.cancel()

    async def test_one_that_cleans_up_is_cancelling_and_its_fallback_stands_beside_a_step_that_ended(
        self, autojump_clock: MockClock
    ) -> None:
        async def stubborn(data: Any) -> None:
            with trio.CancelScope(shield=True):
                await trio.sleep(5)

        def fail(data: Any) -> None:
            raise ValueError("boom")

        primary = Step[Any, Any, Any]("primary", fail, retry=ONCE).with_fallback(sleeper("other"))
        async with running(fan(a=Step[Any, Any, Any]("a", stubborn), b=primary)) as run:
            run.cancel("fan/a")
            await trio.sleep(1)
            root = run.snapshot()
            assert root is not None
            assert {actor.path: str(actor.state) for actor in root.walk()} == {
                "": "running",
                "fan": "running",
                "fan/a": "cancelling",
                "fan/b": "ended",
                "fan/b/other": "running",
            }
            run.cancel()

    async def test_an_agent_that_waits_for_its_turn_is_waiting(self, autojump_clock: MockClock) -> None:
        async with running(fan(a=sleeper("a"), b=sleeper("b")), max_concurrency=1) as run:
            root = run.snapshot()
            assert root is not None
            assert sorted(str(actor.state) for actor in root.walk() if actor.kind == "Step") == ["running", "waiting"]
            run.cancel()
            result = await run.wait()
        assert sorted(step.attempts for step in result.step_history[0].step_history) == [0, 1]

    async def test_before_a_run_has_begun_and_after_it_has_ended_there_is_none(self) -> None:
        async with open_system() as system:
            run = await system.start(Step[Any, Any, Any]("a", lambda data: data), 1)
            assert run.snapshot() is None
            await run.wait()
            assert run.snapshot() is None


async def test_decisions_are_told_before_they_are_acted_on(autojump_clock: MockClock) -> None:
    calls: list[str] = []

    def fail(data: Any) -> None:
        calls.append("primary")
        raise ValueError("boom")

    async def fallback(data: Any) -> str:
        await trio.sleep(1)
        calls.append("fallback")
        return "ok"

    step = Step[Any, Any, Any]("a", fail, retry=RetryPolicy(backoff=1.0)).with_fallback(
        Step[Any, Any, Any]("b", fallback)
    )
    async with open_system() as system:
        run = await system.start(step, None)
        async with run.events() as events:
            told = [
                (type(event).__name__, len(calls))
                async for event in events
                if isinstance(event, AttemptFailed | StepRetried | StepFellBack) and event.path
            ]
    assert told == [("AttemptFailed", 1), ("StepRetried", 1), ("AttemptFailed", 2), ("StepFellBack", 2)]
    assert calls == ["primary", "primary", "fallback"]


async def test_a_loop_is_stopped_in_the_middle_and_earlier_iterations_count(autojump_clock: MockClock) -> None:
    loop = LoopStep[Any, Any, Any]("grow", sleeper("s", 2.0), exit_condition=lambda output, context: False, max_loops=9)
    async with running(fan(a=loop, b=sleeper("b", 9.0)), after=5.0) as run:
        assert run.cancel("fan/a[3]/s", reason="enough")
        result = await run.wait()
    a = result.unwrap()["a"]
    assert (a.attempts, a.metadata["exit_reason"], a.token_counts) == (3, "body_step_error", 3)
    assert a.feedback == "Loop body failed: Cancelled: enough"
