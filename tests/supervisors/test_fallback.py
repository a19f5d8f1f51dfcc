"""Fallbacks: when one runs, on what, and what its step amounts to then."""

from __future__ import annotations

import threading
from typing import Any, cast

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    Failure,
    FailureDomain,
    LoopStep,
    ParallelStep,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    Run,
    SpanStatus,
    Step,
    StepResult,
    UsageMeter,
    open_system,
)
from flujo_actors.events import StepEnded, StepStarted
from flujo_actors.storage import MemoryBackend

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


async def run(step: AnyStep, data: Any = None, **options: Any) -> PipelineResult[Any, Any]:
    async with open_system() as system:
        result: PipelineResult[Any, Any] = await system.run(step, data, **options)
    return result


async def only_result(step: AnyStep, data: Any = None, **options: Any) -> StepResult:
    return (await run(step, data, **options)).step_history[0]


def worker(name: str, *, fails: bool = False, seconds: float = 0, **options: Any) -> AnyStep:
    """Writes its name, spends a cent and two tokens, waits, gives its name and input or fails."""

    async def agent(data: Any, *, context: Notes, usage: UsageMeter) -> str:
        context.lines.append(name)
        usage.charge(cost_usd=0.01, prompt_tokens=2)
        await trio.sleep(seconds)
        if fails:
            raise ValueError(f"{name} failed")
        return f"{name} {data}"

    given: dict[str, Any] = {"retry": ONCE, **options}
    return Step(name, agent, **given)


def failed_with(name: str) -> str:
    return f"Agent execution failed with ValueError: {name} failed"


class TestSuccess:
    async def test_a_step_that_succeeds_needs_no_fallback(self) -> None:
        result = await run(worker("a").with_fallback(worker("b")), 1, context=Notes())
        assert result.output == "a 1"
        assert result.context.lines == ["a"]
        assert "fallback_triggered" not in result.step_history[0].metadata
        assert [span.name for span in result.spans] == ["a", "pipeline_run"]

    async def test_the_result_has_the_step_s_name_and_the_fallback_s_output(self) -> None:
        result = await run(worker("a", fails=True).with_fallback(worker("b")), 1, context=Notes())
        assert result.success
        a = result.step_history[0]
        assert (a.name, a.success, a.output, a.feedback, a.failure) == ("a", True, "b 1", None, None)
        assert a.metadata["fallback_triggered"] is True
        assert a.metadata["original_error"] == failed_with("a")

    async def test_its_writes_stay_and_the_step_s_do_not(self) -> None:
        seen: list[list[str]] = []

        async def agent(data: Any, *, context: Notes) -> None:
            seen.append(list(context.lines))
            context.lines.append("b")

        pipeline = Pipeline("p", [worker("before"), worker("a", fails=True).with_fallback(Step("b", agent))])
        result = await run(pipeline, 1, context=Notes())
        assert seen == [["before"]]
        assert result.context.lines == ["before", "b"]
        assert result.step_history[1].branch_context == Notes(["before", "b"])

    async def test_blame_names_the_fallback(self) -> None:
        result = await run(worker("a", fails=True).with_fallback(worker("b")), 1, context=Notes())
        origin = result.blame("lines[0]")
        assert origin is not None
        assert origin.step == "a/b"

    async def test_it_gets_the_input_that_the_step_got(self) -> None:
        inner = Pipeline[Any, Any, Any]("inner", [worker("a"), worker("b", fails=True)], fallback=worker("c"))
        result = await run(inner >> worker("after"), 1, context=Notes())
        assert result.output == "after c 1"
        assert result.context.lines == ["c", "after"]

    async def test_what_its_agent_does_to_its_context_later_reaches_nobody(self) -> None:
        kept: list[Notes] = []

        async def keep(data: Any, *, context: Notes) -> None:
            kept.append(context)

        async def meddle(data: Any, *, context: Notes) -> None:
            for each in kept:
                each.lines.append("meddled")

        async def keep_and_fail(data: Any, *, context: Notes) -> None:
            kept.append(context)
            raise ValueError

        primary = Step("a", keep_and_fail, retry=ONCE, fallback=Step("b", keep))
        result = await run(Pipeline("p", [primary, Step("meddle", meddle)]), context=Notes())
        assert len(kept) == 2
        assert result.context == Notes()
        assert result.step_history[0].branch_context == Notes()

    async def test_a_loop_s_remark_is_not_its_step_s_feedback(self) -> None:
        loop = LoopStep[Any, Any, Any]("loop", worker("b"), exit_condition=lambda output, context: True)
        a = await only_result(worker("a", fails=True).with_fallback(loop), 1, context=Notes())
        assert (a.success, a.feedback) == (True, None)
        assert a.step_history[0].feedback == "loop exited by condition"

    async def test_writes_that_the_context_cannot_keep_are_a_failure_that_has_a_fallback(self) -> None:
        async def bad(data: Any, *, context: Notes) -> None:
            context.lines.append(cast("str", threading.Lock()))

        result = await run(Step("a", bad, fallback=worker("b")), 1, context=Notes())
        assert result.output == "b 1"
        assert result.context.lines == ["b"]
        a = result.step_history[0]
        assert a.metadata["original_error"].startswith("Context validation failed: ")
        assert len(result.spans) == 3

    async def test_writes_of_a_fallback_that_the_context_cannot_keep_fail_the_step_once(self) -> None:
        async def bad(data: Any, *, context: Notes) -> None:
            context.lines.append(cast("str", threading.Lock()))

        result = await run(worker("a", fails=True).with_fallback(Step("b", bad)), 1, context=Notes())
        a = result.step_history[0]
        assert a.failure is not None
        assert a.failure.domain is FailureDomain.CONTEXT
        assert a.attempts == 2
        assert result.context.lines == []


class TestBothFail:
    async def test_both_are_told(self) -> None:
        result = await run(worker("a", fails=True).with_fallback(worker("b", fails=True)), 1, context=Notes())
        assert not result.success
        a = result.step_history[0]
        assert (a.name, a.success, a.output) == ("a", False, None)
        assert a.feedback == f"Original error: {failed_with('a')}; Fallback error: {failed_with('b')}"
        assert a.failure is not None
        assert a.failure.feedback == a.feedback
        assert a.failure.step == "a"
        assert a.failure.cause is not None
        assert a.failure.cause.feedback == failed_with("a")
        assert a.metadata["fallback_triggered"] is True
        assert a.metadata["original_error"] == failed_with("a")
        assert result.context.lines == []

    async def test_a_fallback_may_have_a_fallback_of_its_own(self) -> None:
        chain = worker("a", fails=True).with_fallback(worker("b", fails=True).with_fallback(worker("c")))
        result = await run(chain, 1, context=Notes())
        assert result.output == "c 1"
        assert result.context.lines == ["c"]
        a = result.step_history[0]
        assert (a.attempts, a.cost_usd, a.token_counts) == (3, 0.03, 6)
        assert a.metadata["original_error"] == failed_with("a")
        (b,) = a.step_history
        assert (b.name, b.output, b.attempts, b.cost_usd) == ("b", "c 1", 2, 0.02)
        assert b.metadata["original_error"] == failed_with("b")
        assert [span.attributes["path"] for span in result.spans] == ["a/b/c", "a/b", "a", ""]

    async def test_all_of_a_chain_are_told_when_all_fail(self) -> None:
        chain = worker("a", fails=True).with_fallback(worker("b", fails=True).with_fallback(worker("c", fails=True)))
        a = await only_result(chain, 1, context=Notes())
        inner = f"Original error: {failed_with('b')}; Fallback error: {failed_with('c')}"
        assert a.feedback == f"Original error: {failed_with('a')}; Fallback error: {inner}"

    async def test_the_fallback_s_own_failure_is_kept_with_all_that_led_to_it(self) -> None:
        backup = ParallelStep[Any, Any, Any]("backup", {name: worker(name, fails=True) for name in "bc"})
        a = await only_result(worker("a", fails=True).with_fallback(backup), 1, context=Notes())
        assert a.failure is not None
        (of_backup,) = a.failure.others
        assert (of_backup.step, of_backup.feedback) == ("a/backup", a.step_history[-1].feedback)
        assert of_backup.cause is not None
        assert [each.step for each in (of_backup.cause, *of_backup.others)] == ["a/backup/b", "a/backup/c"]
        assert isinstance(of_backup.cause.exception, ValueError)

    @pytest.mark.parametrize("primary_is_composite", [True, False])
    async def test_a_leaf_s_writes_are_out_when_it_fails_as_a_fallback(self, primary_is_composite: bool) -> None:
        primary = worker("a", fails=True)
        if primary_is_composite:
            primary = Pipeline("p", [worker("first"), primary])
        result = await run(primary.with_fallback(worker("b", fails=True)), 1, context=Notes())
        assert result.context.lines == []

    async def test_a_pipeline_that_fails_as_a_fallback_keeps_what_it_had_done(self) -> None:
        backup = Pipeline[Any, Any, Any]("backup", [worker("b"), worker("c", fails=True)])
        result = await run(worker("a", fails=True).with_fallback(backup), 1, context=Notes())
        assert result.context.lines == ["b"]


class TestRetriesAndTime:
    async def test_it_runs_when_all_attempts_have_failed(self) -> None:
        primary = worker("a", fails=True, retry=RetryPolicy(max_attempts=3))
        a = await only_result(primary.with_fallback(worker("b")), 1, context=Notes())
        assert (a.success, a.attempts, a.cost_usd, a.token_counts) == (True, 4, 0.04, 8)

    async def test_it_keeps_its_own_retries_and_wait(self, autojump_clock: MockClock) -> None:
        backup = worker("b", fails=True, seconds=1, retry=RetryPolicy(max_attempts=3, backoff=1.0))
        result = await run(worker("a", fails=True, seconds=2).with_fallback(backup), 1, context=Notes())
        assert trio.current_time() == 2 + 1 + 1 + 1 + 2 + 1
        a = result.step_history[0]
        assert (a.attempts, a.cost_usd, a.latency_s) == (4, 0.04, 8)
        (span,) = result.trace_tree["children"]
        assert [entry["number"] for entry in span["attributes"]["attempts"]] == [1]
        (backup_span,) = span["children"]
        assert [entry["number"] for entry in backup_span["attributes"]["attempts"]] == [1, 2, 3]

    async def test_a_timeout_is_a_failure_that_has_a_fallback(self, autojump_clock: MockClock) -> None:
        primary = worker("a", seconds=9, timeout=2)
        a = await only_result(primary.with_fallback(worker("b", seconds=5)), 1, context=Notes())
        assert (a.success, a.latency_s) == (True, 7)
        assert a.metadata["original_error"] == "Timed out after 2.0 s"

    async def test_it_keeps_its_own_timeout(self, autojump_clock: MockClock) -> None:
        a = await only_result(
            worker("a", fails=True).with_fallback(worker("b", seconds=9, timeout=3)), 1, context=Notes()
        )
        assert trio.current_time() == 3
        assert a.feedback == f"Original error: {failed_with('a')}; Fallback error: Timed out after 3.0 s"

    async def test_the_time_of_the_step_above_ends_it(self, autojump_clock: MockClock) -> None:
        pipeline = Pipeline[Any, Any, Any](
            "p", [worker("a", fails=True, seconds=1).with_fallback(worker("b", seconds=9))], timeout=4
        )
        result = await run(pipeline, 1, context=Notes())
        assert trio.current_time() == 4
        assert result.failure is not None
        assert result.failure.feedback == "Timed out after 4.0 s"
        assert result.failure.running == ("a/b",)
        a = result.step_history[0]
        assert (a.name, a.attempts, a.cost_usd, a.latency_s) == ("a", 2, 0.02, 4)
        assert result.context.lines == []
        (span,) = result.trace_tree["children"]
        assert span["status"] == span["children"][0]["status"] == "cancelled"


class TestCancellation:
    async def cancelled_at(self, seconds: float, step: AnyStep) -> PipelineResult[Any, Any]:
        async with open_system() as system:
            handle = await system.start(step, 1, context=Notes())
            await trio.sleep(seconds)
            handle.cancel(reason="enough")
            result: PipelineResult[Any, Any] = await handle.wait()
        return result

    async def test_a_step_that_is_cancelled_gets_no_fallback(self, autojump_clock: MockClock) -> None:
        result = await self.cancelled_at(1, worker("a", seconds=9).with_fallback(worker("b")))
        assert result.status is SpanStatus.CANCELLED
        assert [span.attributes["path"] for span in result.spans] == ["a", ""]
        assert result.step_history[0].feedback == "Cancelled: enough"

    async def test_a_pipeline_that_is_cancelled_gets_no_fallback(self, autojump_clock: MockClock) -> None:
        pipeline = Pipeline[Any, Any, Any]("p", [worker("a", seconds=9)], fallback=worker("b"))
        result = await self.cancelled_at(1, pipeline)
        assert result.status is SpanStatus.CANCELLED
        assert [span.attributes["path"] for span in result.spans] == ["a", ""]

    async def test_a_pipeline_that_is_cancelled_as_it_fails_gets_no_fallback(self) -> None:
        handles: list[Run[Any, Any]] = []

        def cancel_instead(failure: Failure) -> bool:
            handles[0].cancel(reason="enough")
            return False

        pipeline = Pipeline[Any, Any, Any](
            "p", [worker("a", fails=True)], retry=RetryPolicy(retry_if=cancel_instead), fallback=worker("b")
        )
        async with open_system() as system:
            handles.append(await system.start(pipeline, 1, context=Notes()))
            result = await handles[0].wait()
        assert [span.attributes["path"] for span in result.spans] == ["a", ""]

    async def test_a_fallback_that_is_cancelled_ends_its_step(self, autojump_clock: MockClock) -> None:
        step = worker("a", fails=True, seconds=1).with_fallback(worker("b", seconds=9))
        result = await self.cancelled_at(3, step)
        assert result.status is SpanStatus.CANCELLED
        a = result.step_history[0]
        assert (a.feedback, a.attempts, a.cost_usd, a.latency_s) == ("Cancelled: enough", 2, 0.02, 3)
        assert a.failure is not None
        assert a.failure.domain is FailureDomain.CANCELLED
        assert a.failure.running == ("a/b",)
        assert a.metadata["original_error"] == failed_with("a")
        assert result.context.lines == []
        assert [(span.name, str(span.status)) for span in result.spans] == [
            ("b", "cancelled"),
            ("a", "cancelled"),
            ("pipeline_run", "cancelled"),
        ]

    async def test_the_fallback_of_a_cancelled_fallback_does_not_run(self, autojump_clock: MockClock) -> None:
        chain = worker("a", fails=True).with_fallback(worker("b", seconds=9).with_fallback(worker("c")))
        result = await self.cancelled_at(3, chain)
        assert [span.name for span in result.spans] == ["b", "a", "pipeline_run"]


class TestRecords:
    async def test_a_fallback_called_like_a_child_has_a_path_of_its_own(self) -> None:
        pipeline = Pipeline[Any, Any, Any]("p", [worker("a"), worker("a", fails=True)], fallback=worker("a"))
        result = await run(Pipeline("outer", [pipeline]), 1, context=Notes())
        assert [span.attributes["path"] for span in result.spans] == ["p/a", "p/a#2", "p/a#3", "p", ""]

    async def test_the_fallback_s_span_is_in_the_step_s_and_within_its_time(self, autojump_clock: MockClock) -> None:
        backend = MemoryBackend()
        step = worker("a", fails=True, seconds=1).with_fallback(worker("b", seconds=2))
        async with open_system(storage=backend) as system:
            result: PipelineResult[Any, Any] = await system.run(step, 1, context=Notes())
        root = result.trace_tree
        assert backend.get_trace(result.run_id) == root
        (a,) = root["children"]
        (b,) = a["children"]
        begin = root["start_time"]
        assert (a["name"], a["status"], a["start_time"] - begin, a["end_time"] - begin) == ("a", "completed", 0, 3)
        assert (b["name"], b["status"], b["start_time"] - begin, b["end_time"] - begin) == ("b", "completed", 1, 3)
        assert b["attributes"]["path"] == "a/b"
        (attempt,) = a["attributes"]["attempts"]
        assert (attempt["number"], attempt["status"], attempt["cost_usd"]) == (1, "failed", 0.01)
        assert (attempt["start_time"] - begin, attempt["end_time"] - begin) == (0, 1)
        assert a["attributes"]["cost_usd"] == 0.02

    async def test_the_history_holds_the_children_of_both(self) -> None:
        primary = Pipeline[Any, Any, Any]("p", [worker("a"), worker("b", fails=True)])
        backup = Pipeline[Any, Any, Any]("backup", [worker("c")])
        outer = await run(Pipeline("outer", [primary.with_fallback(backup)]), 1, context=Notes())
        p = outer.step_history[0]
        assert [each.name for each in p.step_history] == ["a", "b", "backup"]
        assert [each.name for each in p.step_history[2].step_history] == ["c"]
        assert (p.attempts, p.cost_usd) == (2, 0.03)

    async def test_both_starts_and_ends_are_events(self) -> None:
        async with open_system() as system:
            handle = await system.start(worker("a", fails=True).with_fallback(worker("b")), 1, context=Notes())
            seen = [
                (type(event).__name__, event.path)
                async for event in handle.events()
                if isinstance(event, StepStarted | StepEnded)
            ]
        assert seen == [
            ("StepStarted", ""),
            ("StepStarted", "a"),
            ("StepStarted", "a/b"),
            ("StepEnded", "a/b"),
            ("StepEnded", "a"),
            ("StepEnded", ""),
        ]

    async def test_a_loop_s_iterations_and_its_fallback_s_attempts_add_up(self) -> None:
        loop = LoopStep[Any, Any, Any](
            "loop", worker("a"), exit_condition=lambda output, context: False, max_loops=3, fallback=worker("b")
        )
        result = await only_result(loop, 1, context=Notes())
        assert (result.success, result.output) == (True, "b 1")
        assert result.attempts == 4
        assert result.metadata["original_error"] == "reached max_loops"
        assert [each.name for each in result.step_history] == ["a", "a", "a", "b"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3)), min_size=1, max_size=4))
def test_a_chain_is_worth_its_first_success_and_costs_all_its_attempts(chain: list[tuple[bool, int]]) -> None:
    step: AnyStep | None = None
    for number, (fails, attempts) in reversed(list(enumerate(chain))):
        step = worker(f"s{number}", fails=fails, retry=RetryPolicy(max_attempts=attempts), fallback=step)
    tried = 0
    winner: str | None = None
    for number, (fails, attempts) in enumerate(chain):
        tried += attempts if fails else 1
        if not fails:
            winner = f"s{number}"
            break

    async def main() -> PipelineResult[Any, Any]:
        assert step is not None
        return await run(step, 1, context=Notes())

    result = trio.run(main)
    first = result.step_history[0]
    assert result.output == (None if winner is None else f"{winner} 1")
    assert result.context.lines == ([] if winner is None else [winner])
    assert first.attempts == tried
    assert result.total_cost_usd == first.cost_usd == round(tried * 0.01, 2)
