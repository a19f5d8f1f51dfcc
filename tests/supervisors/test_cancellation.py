"""Cancelling: a run by its handle, the host around it, one child by its actor; and what goes through unharmed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from flujo_actors import (
    AnyStep,
    BaseStep,
    FailureDomain,
    ParallelStep,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    Run,
    Span,
    SpanStatus,
    Step,
    StepResult,
    System,
    UsageMeter,
    open_system,
)
from flujo_actors.events import AttemptFailed, StepEnded, StepRetried
from flujo_actors.storage import MemoryBackend
from flujo_actors.supervisors import Children, StepActor, Supervisor

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


def note(line: str) -> AnyStep:
    async def agent(data: Any, *, context: Notes, usage: UsageMeter) -> Any:
        context.lines.append(line)
        usage.charge(cost_usd=0.1)
        return data

    return Step(line, agent)


async def wait_forever(data: Any, *, usage: UsageMeter) -> None:
    usage.charge(cost_usd=0.2)
    await trio.sleep_forever()


async def cancelled_after(
    seconds: float, pipeline: AnyStep, data: Any = None, **options: Any
) -> PipelineResult[Any, Any]:
    """The result of a run that is cancelled for `enough` after so many seconds."""
    async with open_system() as system:
        run = await system.start(pipeline, data, **options)
        await trio.sleep(seconds)
        run.cancel(reason="enough")
        result: PipelineResult[Any, Any] = await run.wait()
    return result


def status_by_path(spans: tuple[Span, ...]) -> dict[str, str]:
    return {span.attributes["path"]: str(span.status) for span in spans}


def all_results(result: PipelineResult[Any, Any] | StepResult) -> Iterator[StepResult]:
    for each in result.step_history:
        yield each
        yield from all_results(each)


class TestRunCancel:
    async def test_a_running_run_ends_with_the_reason_and_all_that_was_done(self, autojump_clock: MockClock) -> None:
        inner = Pipeline[Any, Any, Any]("inner", [note("b"), Step("wait", wait_forever), note("c")])
        result = await cancelled_after(5, Pipeline("p", [note("a"), inner]), context=Notes())
        assert result.status is SpanStatus.CANCELLED
        assert not result.success
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.CANCELLED
        assert result.failure.feedback == "Cancelled: enough"
        assert result.failure.running == ("inner/wait",)
        assert str(result.failure) == "the pipeline: Cancelled: enough (while running inner/wait)"
        assert result.context == Notes(["a", "b"])
        assert result.total_cost_usd == 0.4
        assert [each.name for each in result.step_history] == ["a", "inner"]
        stopped = result.step_history[1].step_history[1]
        assert (stopped.name, stopped.feedback, stopped.cost_usd) == ("wait", "Cancelled: enough", 0.2)
        assert status_by_path(result.spans) == {
            "a": "completed",
            "inner/b": "completed",
            "inner/wait": "cancelled",
            "inner": "cancelled",
            "": "cancelled",
        }

    @pytest.mark.parametrize("kind", ["async", "sync"])
    async def test_a_run_cancelled_before_it_begins_calls_no_agent(self, kind: str) -> None:
        called: list[str] = []

        async def async_agent(data: Any) -> None:
            called.append("async")

        agent: Callable[[Any], Any] = async_agent if kind == "async" else called.append
        async with open_system() as system:
            run = await system.start(Step[Any, Any, object]("a", agent) >> Step("b", agent), "sync")
            run.cancel(reason="changed my mind")
            result = await run.wait()
        assert called == []
        assert result.status is SpanStatus.CANCELLED
        assert result.failure is not None
        assert result.failure.feedback == "Cancelled: changed my mind"

    async def test_cancelling_a_run_that_has_ended_changes_nothing(self) -> None:
        async with open_system() as system:
            run = await system.start(Step("a", str.upper), "x")
            result = await run.wait()
            run.cancel(reason="too late")
            assert await run.wait() is result
        assert result.output == "X"

    async def test_the_first_reason_counts(self) -> None:
        async with open_system() as system:
            run = await system.start(Step("wait", wait_forever), None)
            run.cancel(reason="first")
            run.cancel(reason="second")
            early = await run.wait()
            run = await system.start(Step("wait", wait_forever), None)
            await wait_all_tasks_blocked()
            run.cancel(reason="first")
            run.cancel(reason="second")
            late = await run.wait()
        for result in (early, late):
            assert result.failure is not None
            assert result.failure.feedback == "Cancelled: first"

    async def test_without_a_reason_it_says_who(self) -> None:
        async with open_system() as system:
            run = await system.start(Step("wait", wait_forever), None)
            run.cancel()
            result = await run.wait()
        assert result.failure is not None
        assert result.failure.feedback == "Cancelled: cancelled by the caller"

    async def test_cancelled_during_a_back_off_only_what_was_begun_counts(self, autojump_clock: MockClock) -> None:
        calls: list[Any] = []

        def fail(data: Any) -> None:
            calls.append(data)
            raise ValueError("boom")

        flaky = Step("flaky", fail, retry=RetryPolicy(max_attempts=9, backoff=10))
        result = await cancelled_after(5, Pipeline("p", [flaky]), 1)
        assert trio.current_time() == 5
        assert calls == [1]
        assert result.status is SpanStatus.CANCELLED
        assert (result.step_history[0].attempts, result.step_history[0].feedback) == (1, "Cancelled: enough")
        leaf = result.trace_tree["children"][0]
        assert [entry["failure"]["message"] for entry in leaf["attributes"]["attempts"]] == ["boom"]
        assert leaf["status"] == "cancelled"

    async def test_cancelled_during_the_back_off_of_the_pipeline_itself(self, autojump_clock: MockClock) -> None:
        def fail(data: Any) -> None:
            raise ValueError("boom")

        policy = RetryPolicy(max_attempts=9, backoff=10)
        result = await cancelled_after(5, Pipeline("p", [Step[Any, Any, Any]("a", fail, retry=ONCE)], retry=policy))
        assert trio.current_time() == 5
        assert result.status is SpanStatus.CANCELLED
        assert [each.feedback for each in result.step_history] == ["Agent execution failed with ValueError: boom"]

    async def test_an_attempt_that_fails_while_it_is_cancelled_is_not_tried_again(
        self, autojump_clock: MockClock
    ) -> None:
        calls: list[Any] = []

        async def agent(data: Any) -> None:
            calls.append(data)
            try:
                await trio.sleep_forever()
            finally:
                raise OSError("while cleaning up")

        result = await cancelled_after(5, Step("a", agent, retry=RetryPolicy(max_attempts=9)), 1)
        assert calls == [1]
        failure = result.step_history[0].failure
        assert failure is not None
        assert failure.feedback == "Cancelled: enough"
        assert failure.cause is not None
        assert failure.cause.message == "while cleaning up"

    @pytest.mark.parametrize("wait_turns", range(8))
    async def test_a_cancellation_at_the_moment_an_attempt_fails_is_not_lost(self, wait_turns: int) -> None:
        # The turns walk through the moments between the agent's error and the next attempt.
        calls: list[Any] = []
        failing = trio.Event()

        async def agent(data: Any) -> None:
            calls.append(data)
            failing.set()
            if len(calls) > 1:
                await trio.sleep_forever()
            raise ValueError("boom")

        policy = RetryPolicy(max_attempts=3)
        pipeline = Pipeline[Any, Any, Any]("p", [Step("a", agent, retry=ONCE)], retry=policy)
        async with open_system() as system:
            run = await system.start(pipeline, 1)
            await failing.wait()
            for _ in range(wait_turns):
                await trio.lowlevel.checkpoint()
            run.cancel(reason="enough")
            with trio.fail_after(5):
                result = await run.wait()
        assert not result.success
        assert len(calls) <= 2

    async def test_a_cancellation_between_two_attempts_of_the_pipeline_ends_it(self) -> None:
        calls: list[Any] = []
        runs: list[Run[Any, Any]] = []

        def fail(data: Any) -> None:
            calls.append(data)
            raise ValueError("boom")

        pipeline = Pipeline[Any, Any, Any]("p", [Step("a", fail, retry=ONCE)], retry=RetryPolicy(max_attempts=3))

        def cancel_when_the_pipeline_has_failed(failure: Any) -> bool:
            # Asked when the first attempt's actor has stopped and the next one is not yet there.
            runs[0].cancel(reason="enough")
            return True

        pipeline = attrs.evolve(
            pipeline, retry=RetryPolicy(max_attempts=3, retry_if=cancel_when_the_pipeline_has_failed)
        )
        async with open_system() as system:
            runs.append(await system.start(pipeline, 1))
            result = await runs[0].wait()
        assert calls == [1]
        assert result.status is SpanStatus.CANCELLED
        assert result.failure is not None
        assert (result.failure.feedback, result.failure.cause is not None) == ("Cancelled: enough", True)

    @pytest.mark.parametrize("tried_again", [True, False])
    @pytest.mark.parametrize("side_by_side", [False, True])
    async def test_a_step_stopped_between_two_attempts_or_before_its_fallback_was_cancelled(
        self, tried_again: bool, side_by_side: bool
    ) -> None:
        calls: list[str] = []
        stopped: list[bool] = []
        runs: list[Run[Any, Any]] = []
        path = "p/a" if side_by_side else "a"

        def fail(data: Any) -> None:
            calls.append("step")
            raise ValueError("boom")

        def cancel(failure: Any) -> bool:
            # Asked when the first attempt's actor has stopped and nothing has come after it yet.
            stopped.append(runs[0].cancel(path, reason="enough"))
            return tried_again

        fallback = Step[Any, Any, Any]("f", lambda data: calls.append("fallback"))
        step: AnyStep = Step[Any, Any, Any]("a", fail, retry=RetryPolicy(retry_if=cancel), fallback=fallback)
        async with open_system() as system:
            runs.append(await system.start(ParallelStep("p", {"a": step}) if side_by_side else step, 1))
            result = await runs[0].wait()
        assert (calls, stopped) == (["step"], [True])
        failure = {each.failure.step: each.failure for each in all_results(result) if each.failure}[path]
        assert (failure.domain, failure.feedback) == (FailureDomain.CANCELLED, "Cancelled: enough")
        assert failure.cause is not None
        assert failure.cause.message == "boom"

    async def test_cleaning_up_may_take_its_time_in_a_shield(self, autojump_clock: MockClock) -> None:
        cleaned: list[float] = []

        async def agent(data: Any) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(3)
                    cleaned.append(trio.current_time())

        result = await cancelled_after(5, Step("a", agent))
        assert cleaned == [8]
        assert result.status is SpanStatus.CANCELLED

    async def test_an_agent_that_completes_in_spite_of_it_keeps_its_writes(self, autojump_clock: MockClock) -> None:
        async def agent(data: Any, *, context: Notes) -> str:
            with trio.CancelScope(shield=True):
                await trio.sleep(10)
            context.lines.append("stubborn")
            return "done"

        result = await cancelled_after(5, Pipeline("p", [Step("a", agent), note("b")]), context=Notes())
        assert result.status is SpanStatus.CANCELLED
        assert [(each.name, each.success) for each in result.step_history] == [("a", True)]
        assert result.context == Notes(["stubborn"])
        assert status_by_path(result.spans) == {"a": "completed", "": "cancelled"}


class TestHostCancellation:
    async def test_cancelling_around_run_cancels_the_run_and_goes_on(self, autojump_clock: MockClock) -> None:
        backend = MemoryBackend()
        cleaned: list[str] = []

        async def agent(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=0.5)
            try:
                await trio.sleep_forever()
            finally:
                cleaned.append("yes")

        async with open_system(storage=backend) as system:
            with trio.move_on_after(5) as scope:
                await system.run(note("a") >> Step("wait", agent), None, context=Notes())
            assert scope.cancelled_caught
            (record,) = backend.list_runs()
        assert cleaned == ["yes"]
        assert record.status is SpanStatus.CANCELLED
        assert record.error == "Cancelled: stopped by the program around the run"
        assert record.total_cost_usd == 0.6
        trace = backend.get_trace(record.run_id)
        assert trace is not None
        assert trace["status"] == "cancelled"
        assert [(child["name"], child["status"]) for child in trace["children"]] == [
            ("a", "completed"),
            ("wait", "cancelled"),
        ]
        assert trace["children"][1]["attributes"]["failure"]["feedback"] == (
            "Cancelled: stopped by the program around the run"
        )

    async def test_cancelling_around_the_system_ends_its_runs_with_records(self) -> None:
        backend = MemoryBackend()
        with trio.CancelScope() as scope:
            async with open_system(storage=backend) as system:
                await system.start(Step("one", wait_forever), None)
                await system.start(Step("two", wait_forever), None)
                await wait_all_tasks_blocked()
                scope.cancel()
        assert scope.cancelled_caught
        assert [run.status for run in backend.list_runs()] == [SpanStatus.CANCELLED] * 2
        assert all(len(backend.get_spans(run.run_id)) == 2 for run in backend.list_runs())

    async def test_a_run_in_a_cancelled_scope_calls_no_agent(self) -> None:
        called: list[Any] = []
        async with open_system() as system:
            with trio.CancelScope() as scope:
                scope.cancel()
                await system.run(Step("a", called.append), 1)
        assert scope.cancelled_caught
        assert called == []

    async def test_cancelling_wait_leaves_the_run_alone(self, autojump_clock: MockClock) -> None:
        async with open_system() as system:
            run = await system.start(Step("sleep", trio.sleep), 5)
            with trio.move_on_after(1) as scope:
                await run.wait()
            assert scope.cancelled_caught
            assert (await run.wait()).success

    async def test_an_error_in_a_finally_does_not_replace_the_cancellation(self, autojump_clock: MockClock) -> None:
        async def agent(data: Any) -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise OSError("while cleaning up")

        async with open_system() as system:
            with trio.move_on_after(5) as scope:
                await system.run(Step("a", agent), None)
        assert scope.cancelled_caught


class TestSystemExit:
    @pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)])
    async def test_what_ends_the_program_goes_through_as_it_was(self, error: BaseException) -> None:
        async def agent(data: Any) -> None:
            await trio.lowlevel.checkpoint()
            raise error

        backend = MemoryBackend()
        pipeline: AnyStep = Pipeline("p", [Pipeline("q", [Step("a", agent)])])
        with pytest.raises(type(error)) as caught:
            async with open_system(storage=backend) as system:
                await system.run(pipeline, None)
        assert caught.value is error
        (record,) = backend.list_runs()
        assert record.status in {SpanStatus.CANCELLED, SpanStatus.FAILED}
        root, *inner = backend.get_spans(record.run_id)
        assert root.status is record.status
        assert {span.status for span in inner} == {SpanStatus.CANCELLED}

    async def test_it_goes_through_an_agent_s_own_nursery_as_the_agent_s_group(self) -> None:
        async def interrupt() -> None:
            raise KeyboardInterrupt

        async def agent(data: Any) -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(interrupt)
                nursery.start_soon(trio.sleep_forever)

        with pytest.raises(BaseExceptionGroup) as caught:
            async with open_system() as system:
                await system.run(Step("a", agent), None)
        assert [type(each) for each in caught.value.exceptions] == [KeyboardInterrupt]

    async def test_it_ends_a_run_that_was_started(self) -> None:
        async def agent(data: Any) -> None:
            raise SystemExit(3)

        with pytest.raises(SystemExit):
            async with open_system() as system:
                await system.start(Step("a", agent), None)


@attrs.frozen(slots=False)
class Together(BaseStep[Any, Any, Any]):
    """A composite of the test's own: all at once, outputs as a list."""

    parts: tuple[AnyStep, ...] = ()

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        return tuple((part.name, part) for part in self.parts)


class TogetherSupervisor(Supervisor[Together]):
    """Spawns all, and hands the actors of the children to the test."""

    actors: dict[str, StepActor[Any]]
    spawned: Callable[[dict[str, StepActor[Any]]], Awaitable[object] | None] | None = None

    async def supervise(self, children: Children, data: Any) -> StepResult:
        actors = {name: children.spawn(name, step, data) for name, step in self.step.children}
        hook = type(self).spawned
        if hook is not None:
            hook(actors)
        results: dict[str, StepResult] = {}
        for _ in actors:
            settled = await children.next_settled()
            result = await children.settle(settled, children.adopt(settled))
            results[result.name] = result
        failures = [result.failure for result in results.values() if result.failure is not None]
        if failures:
            return self.failed(failures[0], output={name: each.output for name, each in results.items()})
        return self.completed([results[name].output for name, _ in self.step.children])


class TestOneChild:
    async def test_cancelling_one_child_by_its_actor_leaves_its_siblings_alone(self, autojump_clock: MockClock) -> None:
        class Cancelling(TogetherSupervisor):
            @staticmethod
            def spawned(actors: dict[str, StepActor[Any]]) -> None:
                actors["wait"].cancel("not needed")

        together = Together("t", parts=(Step("wait", wait_forever), Step("sleep", trio.sleep)))
        async with open_system(actors={Together: Cancelling}) as system:
            result = await system.run(together, 5)
        assert trio.current_time() == 5
        assert result.failure is not None
        assert result.failure.feedback == "Cancelled: not needed"
        assert status_by_path(result.spans) == {
            "t/wait": "cancelled",
            "t/sleep": "completed",
            "t": "failed",
            "": "failed",
        }

    @pytest.mark.parametrize("limit", [None, 100.0])
    async def test_cancelling_the_only_child_of_a_sequence_fails_the_sequence(
        self, autojump_clock: MockClock, limit: float | None
    ) -> None:
        # Without a timeout the child shares its supervisor's scope, with one it has a scope of its own.
        async def cancel_myself(data: Any) -> None:
            task = trio.lowlevel.current_task()
            assert task.coro.cr_frame is not None
            actor = task.coro.cr_frame.f_locals["self"]
            actor.cancel("by its actor")
            await trio.sleep_forever()

        after: list[Any] = []
        inner = Pipeline[Any, Any, Any](
            "inner", [note("a"), Step("b", cancel_myself, timeout=limit), Step("c", after.append)]
        )
        async with open_system() as system:
            result = await system.run(inner, None, context=Notes())
        assert result.status is SpanStatus.FAILED
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.CANCELLED
        assert (result.failure.step, result.failure.feedback) == ("b", "Cancelled: by its actor")
        assert result.context == Notes(["a"])
        assert after == []
        assert status_by_path(result.spans) == {"a": "completed", "b": "cancelled", "": "failed"}


class TestOwnSteps:
    async def test_a_composite_of_one_s_own_runs_with_its_supervisor(self, autojump_clock: MockClock) -> None:
        parts = tuple(Step[Any, Any, Any](f"s{factor}", factor.__mul__) for factor in (1, 2, 3))
        async with open_system(actors={Together: TogetherSupervisor}) as system:
            result = await system.run(Together("t", parts=parts) >> Step[Any, Any, Any]("sum", sum), 10)
        assert result.output == 60
        assert {each.name for each in result.step_history[0].step_history} == {"s1", "s2", "s3"}

    async def test_children_side_by_side_are_tried_again_each_by_its_own_policy(
        self, autojump_clock: MockClock
    ) -> None:
        remaining = {"a": 2, "b": 0}

        def flaky(name: str) -> AnyStep:
            async def agent(data: Any) -> str:
                await trio.sleep(1)
                remaining[name] -= 1
                if remaining[name] >= 0:
                    raise ValueError(name)
                return name

            return Step(name, agent, retry=RetryPolicy(max_attempts=3, backoff=1))

        async with open_system(actors={Together: TogetherSupervisor}) as system:
            result = await system.run(Together("t", parts=(flaky("a"), flaky("b"))), None)
        assert result.output == ["a", "b"]
        assert [each.attempts for each in result.step_history[0].step_history] == [1, 3]
        assert trio.current_time() == 6

    async def test_a_step_without_a_registered_actor_is_a_problem(self) -> None:
        async with open_system() as system:
            with pytest.raises(ValueError, match=r"p/t: Step 't' is a Together, and no actor is registered for it"):
                await system.run(Pipeline("root", [Pipeline("p", [Together("t")])]), None)

    async def test_a_subclass_runs_with_the_actor_of_its_base(self) -> None:
        @attrs.frozen(slots=False)
        class Special(Together):
            pass

        async with open_system(actors={Together: TogetherSupervisor}) as system:
            result = await system.run(Special("t"), None)
        assert result.output == []

    async def test_a_bug_in_an_actor_propagates_and_is_no_step_failure(self) -> None:
        class Buggy(TogetherSupervisor):
            async def supervise(self, children: Children, data: Any) -> StepResult:
                await trio.lowlevel.checkpoint()
                raise LookupError("a bug")

        backend = MemoryBackend()
        with pytest.raises(LookupError, match="a bug"):
            async with open_system(storage=backend, actors={Together: Buggy}) as system:
                await system.run(Pipeline("p", [Together("t")]), None)
        (record,) = backend.list_runs()
        assert record.status is SpanStatus.FAILED
        assert record.error == "the runtime stopped with LookupError: a bug"

    async def test_a_bug_while_children_run_stops_them_and_is_alone_in_what_is_raised(self) -> None:
        class Buggy(TogetherSupervisor):
            async def supervise(self, children: Children, data: Any) -> StepResult:
                children.spawn("wait", self.step.parts[0], data)
                await trio.lowlevel.checkpoint()
                raise LookupError("a bug")

        with pytest.raises(LookupError, match="a bug"):
            async with open_system(actors={Together: Buggy}) as system:
                await system.run(Together("t", parts=(Step("wait", wait_forever),)), None)


async def test_events_tell_of_attempts_and_ends(autojump_clock: MockClock) -> None:
    def fail(data: Any) -> None:
        raise ValueError("boom")

    async def started(system: System) -> Run[Any, Any]:
        return await system.start(Step[Any, Any, object]("a", fail, retry=RetryPolicy(backoff=2.0)), 1)

    async with open_system() as system:
        run = await started(system)
        async with run.events() as events:
            seen = [event async for event in events]
    failed = [event for event in seen if isinstance(event, AttemptFailed) and event.path]
    assert [(event.path, event.attempt, event.failure.message) for event in failed] == [
        ("a", 1, "boom"),
        ("a", 2, "boom"),
    ]
    (retried,) = [event for event in seen if isinstance(event, StepRetried)]
    assert (retried.path, retried.attempt, retried.delay, retried.failure) == ("a", 2, 2.0, failed[0].failure)
    assert [event.path for event in seen if isinstance(event, StepEnded)] == ["a", ""]
