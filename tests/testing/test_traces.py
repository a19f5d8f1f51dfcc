"""Traces: looking things up, drawing them, and what is said when they are not as they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from flujo_actors import (
    AnyStep,
    LoopStep,
    ParallelStep,
    Pipeline,
    PipelineResult,
    RefinementCheck,
    RetryPolicy,
    Step,
    open_system,
    refine_until,
    run_pipeline,
)
from flujo_actors.spans import Span, SpanStatus
from flujo_actors.storage import MemoryBackend, RunRecord, SQLiteBackend
from flujo_actors.testing import (
    Raise,
    Reply,
    ScriptedAgent,
    Trace,
    assert_trace,
    in_mock_time,
    record_events,
    run_in_mock_time,
)

ONCE = RetryPolicy(max_attempts=1)


def ask(name: str, *turns: Any, then: Any = None, **options: Any) -> AnyStep:
    return Step[Any, Any, Any](name, ScriptedAgent(*turns, then=then), **options)


def failing_run() -> PipelineResult[Any, Any]:
    """A run with something of everything in it."""
    loop = LoopStep[Any, Any, Any](
        "grow",
        ask("write", Reply("a", cost_usd=0.01, prompt_tokens=20), then=Raise(ValueError("boom"), cost_usd=0.01)),
        exit_condition=lambda text, context: False,
    )
    fan = ParallelStep[Any, Any, Any]("fan", {"slow": ask("x", Reply(1, after=5)), "quick": ask("y", Reply(2))})
    return run_in_mock_time(Pipeline[Any, Any, Any]("all", [fan, ask("fetch", Reply("text", after=1.5)), loop]), None)


DRAWING = """
    pipeline_run: failed, $0.03, 20 tokens
      fan: completed
        slow: completed
        quick: completed
      fetch: completed
      grow: failed, $0.03, 20 tokens
        [1]/write: completed, $0.01, 20 tokens
        [2]/write: failed, 2 attempts, $0.02
"""


class TestLookingThingsUp:
    def test_the_paths_of_what_ran_are_in_the_order_of_the_tree(self) -> None:
        assert Trace.of(failing_run()).paths() == [
            "",
            "fan",
            "fan/slow",
            "fan/quick",
            "fetch",
            "grow",
            "grow[1]/write",
            "grow[2]/write",
        ]

    def test_statuses_are_told_by_path(self) -> None:
        statuses = Trace.of(failing_run()).statuses()
        assert {path for path, status in statuses.items() if status == "failed"} == {"", "grow", "grow[2]/write"}

    def test_a_step_is_found_by_its_path_with_all_its_figures(self) -> None:
        trace = Trace.of(failing_run())
        write = trace.find("grow[2]/write")
        assert (write.status, write.attempts, write.cost_usd, write.tokens) == ("failed", 2, 0.02, 0)
        assert write.failure == "Agent execution failed with ValueError: boom"
        assert (write.kind, write.name, write.attributes["iteration"]) == ("Step", "write", 2)
        assert trace.find("fetch").duration == 1.5
        assert (trace.find("").tokens, trace.find("").duration) == (20, 6.5)
        assert [child.path for child in trace.find("fan").children] == ["fan/slow", "fan/quick"]

    def test_a_step_that_did_not_run_is_missed_with_the_tree_of_those_that_did(self) -> None:
        trace = Trace.of(failing_run())
        with pytest.raises(AssertionError, match=r"no step 'grow\[3\]/write' ran; this did:") as caught:
            trace.find("grow[3]/write")
        assert str(caught.value).endswith(str(trace))

    @pytest.mark.parametrize("kind", ["memory", "sqlite"])
    def test_a_stored_trace_is_the_one_in_the_result(self, kind: str, tmp_path: Path) -> None:
        backend = MemoryBackend() if kind == "memory" else SQLiteBackend(tmp_path / "runs.db")
        result = run_pipeline(ask("a", Reply(1, cost_usd=0.1)) >> ask("b", Reply(2)), None, storage=backend)
        with backend:
            assert str(Trace.of(backend, result.run_id)) == str(Trace.of(result))
            assert Trace.of(backend, result.run_id) == Trace.of(result)

    def test_a_run_that_is_not_stored_is_missed_with_those_that_are(self) -> None:
        backend = MemoryBackend()
        with pytest.raises(AssertionError, match="there is no run 'x' in storage; the latest there are: none"):
            Trace.of(backend, "x")
        result = run_pipeline(ask("a", Reply(1)), None, storage=backend)
        with pytest.raises(AssertionError, match=result.run_id):
            Trace.of(backend, "x")

    def test_a_run_that_goes_on_has_a_trace_of_what_has_ended(self) -> None:
        backend = MemoryBackend()
        backend.record_run_start(RunRecord("run", SpanStatus.RUNNING, "p", 100.0))
        backend.record_spans("run", [Span("01", "00", "a", 101.0, 102.0, SpanStatus.COMPLETED, {"path": "a"})])
        trace = Trace.of(backend, "run")
        assert_trace(trace, "pipeline_run: running\n  a: completed")
        assert trace.find("").duration is None


class TestAssertingAStep:
    def test_what_is_as_expected_passes(self) -> None:
        trace = Trace.of(failing_run())
        trace.assert_step("fetch", status="completed", attempts=1, cost_usd=0, tokens=0, failure=None, duration=1.5)
        trace.assert_step("", cost_usd=0.03, tokens=20)
        trace.assert_step("fan")

    def test_everything_that_is_not_is_said_with_the_tree_and_the_reasons(self) -> None:
        trace = Trace.of(failing_run())
        with pytest.raises(AssertionError) as caught:
            trace.assert_step("grow[2]/write", status="completed", attempts=1, cost_usd=0.02)
        first, *rest = str(caught.value).splitlines()
        assert first == "grow[2]/write: status is 'failed', not 'completed'; attempts is 2, not 1"
        assert rest == [*str(trace).splitlines(), "", "grow[2]/write: Agent execution failed with ValueError: boom"]

    def test_the_run_as_a_whole_is_called_so(self) -> None:
        with pytest.raises(AssertionError, match=r"^the run: cost_usd is 0.03, not 0.04"):
            Trace.of(failing_run()).assert_step("", cost_usd=0.04)

    def test_one_that_did_not_run_is_missed(self) -> None:
        with pytest.raises(AssertionError, match="no step 'b' ran"):
            Trace.of(failing_run()).assert_step("b", status="completed")


class TestDrawing:
    def test_a_run_that_went_as_drawn_passes(self) -> None:
        assert_trace(failing_run(), DRAWING)

    def test_the_drawing_of_a_trace_is_its_text(self) -> None:
        result = failing_run()
        assert_trace(result, str(Trace.of(result)))
        assert_trace(Trace.of(result), DRAWING)

    def test_a_difference_is_shown_line_by_line_with_the_reasons_of_failures(self) -> None:
        expected = DRAWING.replace("fetch: completed", "fetch: completed, 2 attempts").replace("2 attempts, $0", "$0")
        with pytest.raises(AssertionError) as caught:
            assert_trace(failing_run(), expected)
        lines = [line for line in str(caught.value).splitlines() if not line.startswith("?")]
        assert lines == [
            "the trace is not as drawn (- expected, + found)",
            "  pipeline_run: failed, $0.03, 20 tokens",
            "    fan: completed",
            "      slow: completed",
            "      quick: completed",
            "-   fetch: completed, 2 attempts",
            "+   fetch: completed",
            "    grow: failed, $0.03, 20 tokens",
            "      [1]/write: completed, $0.01, 20 tokens",
            "-     [2]/write: failed, $0.02",
            "+     [2]/write: failed, 2 attempts, $0.02",
            "",
            "grow[2]/write: Agent execution failed with ValueError: boom",
        ]

    @pytest.mark.parametrize(
        "wrong",
        [
            DRAWING.replace("slow: completed", "slow: cancelled"),
            DRAWING.replace("$0.01", "$0.02"),
            DRAWING.replace("      fetch: completed\n", ""),
            DRAWING.replace("        quick", "      quick"),
            DRAWING + "      more: completed\n",
            "",
        ],
        ids=["a status", "a cost", "a step too few", "a step elsewhere", "a step too many", "nothing"],
    )
    def test_whatever_is_different_fails(self, wrong: str) -> None:
        with pytest.raises(AssertionError, match="the trace is not as drawn"):
            assert_trace(failing_run(), wrong)

    @pytest.mark.parametrize(
        ("cost", "drawn"), [(0.000001, "$0.000001"), (2.0, "$2"), (10, "$10"), (1e-9, "$0.000000001"), (0.1, "$0.1")]
    )
    def test_a_cost_is_written_as_a_person_would(self, cost: float, drawn: str) -> None:
        result = run_pipeline(ask("a", Reply(1, cost_usd=cost)), None)
        assert_trace(result, f"pipeline_run: completed, {drawn}\n  a: completed, {drawn}")

    def test_fallbacks_refinements_and_namesakes_are_drawn_with_their_paths(self) -> None:
        checks = (Reply(RefinementCheck(is_complete=False)), Reply(RefinementCheck(is_complete=True)))
        refine = refine_until("refine", ask("write", then=Reply("x")), ask("check", *checks))
        broken = ask("a", Raise(ValueError("boom")), retry=ONCE).with_fallback(ask("b", Reply(1)))
        assert_trace(
            run_pipeline(Pipeline[Any, Any, Any]("p", [broken, refine, ask("a", Reply(1))]), None),
            """
            pipeline_run: completed
              a: completed
                b: completed
              refine: completed
                [1]/round: completed
                  write: completed
                  check: completed
                [2]/round: completed
                  write: completed
                  check: completed
              a#2: completed
            """,
        )

    async def test_a_run_inside_an_agent_is_drawn_below_it_and_as_a_run_of_its_own(self) -> None:
        inside: list[Any] = []

        async def agent(data: Any) -> None:
            inside.append(await system.run(Pipeline[Any, Any, Any]("inner", [ask("a", Reply(1))]), data))

        async with open_system() as system:
            result = await system.run(Step("outer", agent), None)
        assert_trace(result, "pipeline_run: completed\n  outer: completed\n    inner: completed\n      a: completed")
        assert_trace(inside[0], "inner: completed\n  a: completed")

    @in_mock_time
    async def test_what_was_cancelled_is_drawn_so(self) -> None:
        fan = ParallelStep[Any, Any, Any]("fan", {"a": ask("a", Reply(1, after=9)), "b": ask("b", Reply(2, after=1))})
        async with open_system() as system:
            run = await system.start(fan, None)
            async with record_events(run) as seen:
                await trio.sleep(2)
                run.cancel("fan/a", reason="enough")
        assert len(seen) > 0
        assert_trace(
            await run.wait(),
            "pipeline_run: failed\n  fan: failed\n    a: cancelled\n    b: completed",
        )


def test_a_traced_step_shows_what_matters_when_an_assertion_fails() -> None:
    step = attrs.evolve(Trace.of(failing_run()).find("fetch"), duration=1.0)
    assert repr(step) == (
        "TracedStep(path='fetch', status=<SpanStatus.COMPLETED: 'completed'>, attempts=1, cost_usd=0.0, tokens=0, "
        "failure=None, duration=1.0)"
    )
