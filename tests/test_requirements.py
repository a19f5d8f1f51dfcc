"""The named requirements, each in the words it was asked for (docs/explanation/requirements.md)."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest

from flujo_actors import (
    AnyStep,
    DynamicParallelRouterStep,
    FailureDomain,
    LoopStep,
    MergeStrategy,
    ParallelStep,
    Pipeline,
    PluginOutcome,
    RefinementCheck,
    RetryPolicy,
    Step,
    StepResult,
    UsageMeter,
    ValidationResult,
    refine_until,
    run_pipeline,
)
from flujo_actors.storage import MemoryBackend

ONCE = RetryPolicy(max_attempts=1)


def first(result: Any) -> StepResult:
    step: StepResult = result.step_history[0]
    return step


@attrs.define
class Report:
    executed_branches: list[str] = attrs.Factory(list[str])
    branch_results: dict[str, str] = attrs.Factory(dict[str, str])


def reporting(name: str, *, fails: bool = False) -> AnyStep:
    async def agent(data: Any, *, context: Report) -> str:
        context.executed_branches.append(name)
        context.branch_results[name] = f"{name}'s"
        if fails:
            raise ValueError("boom")
        return f"{name}'s"

    return Step(name, agent, retry=ONCE)


def routed(*chosen: str, fails: str = "") -> Any:
    step = DynamicParallelRouterStep[Any, Any, Any](
        "route",
        lambda data: list(chosen),
        {name: reporting(name, fails=name == fails) for name in ("branch1", "branch2", "branch3")},
        merge_strategy=MergeStrategy.OVERWRITE,
        on_branch_failure="ignore",
    )
    return run_pipeline(step, "in", context=Report())


class TestReqState001:
    def test_every_attempt_the_failed_primary_and_its_fallback_are_in_every_total(self) -> None:
        def charging(cents: int, *, fails: bool) -> Callable[..., Any]:
            def agent(data: Any, *, usage: UsageMeter) -> Any:
                usage.charge(cost_usd=cents / 100, prompt_tokens=cents)
                if fails:
                    raise ValueError("boom")
                return data

            return agent

        primary = Step[Any, Any, Any]("primary", charging(1, fails=True), retry=RetryPolicy(max_attempts=3))
        guarded = primary.with_fallback(Step[Any, Any, Any]("fallback", charging(10, fails=False)))
        loop = LoopStep[Any, Any, Any](
            "loop", guarded, exit_condition=lambda data, context: False, max_loops=2, on_max_loops="succeed"
        )
        result = run_pipeline(ParallelStep[Any, Any, Any]("fan", {"a": loop, "b": loop}), "in")
        fan = first(result)
        assert (result.total_cost_usd, result.total_tokens) == (0.52, 52)
        assert (fan.cost_usd, fan.token_counts) == (0.52, 52)
        assert [(branch.cost_usd, branch.attempts) for branch in fan.step_history] == [(0.26, 2), (0.26, 2)]
        assert [step.attempts for branch in fan.step_history for step in branch.step_history] == [4] * 4


class TestReqContext001:
    def test_iterations_over_a_context_with_very_many_keys_lose_none_of_them(self) -> None:
        """The load test: three iterations that each add PERFORMANCE_TEST_LOOP_COUNT keys."""
        count = int(os.environ.get("PERFORMANCE_TEST_LOOP_COUNT", "20000"))

        @attrs.define
        class Load:
            counter: int = 0
            keys: dict[str, int] = attrs.Factory(dict[str, int])

        async def add(data: int, *, context: Load) -> int:
            context.counter += 1
            for number in range(count):
                context.keys[f"{context.counter}-{number}"] = number
            return context.counter

        loop = LoopStep[Any, Any, Any](
            "load", Step("add", add), exit_condition=lambda output, context: output >= 3, max_loops=10
        )
        given = Load()
        result = run_pipeline(loop, 0, context=given)
        assert result.success
        assert (result.context.counter, len(result.context.keys)) == (3, 3 * count)
        assert result.context.keys[f"3-{count - 1}"] == count - 1
        assert (given.counter, given.keys) == (0, {})


class TestReqFailure001:
    @pytest.mark.parametrize(
        ("domain", "options", "feedback"),
        [
            (FailureDomain.AGENT, {}, "Agent execution failed with ValueError: boom"),
            (FailureDomain.PROCESSOR, {"prompt_processors": ["raise"]}, "Processor failed: boom"),
            (FailureDomain.PLUGIN, {"plugins": ["raise"]}, "Plugin validation failed after max retries: boom"),
            (FailureDomain.VALIDATOR, {"validators": ["raise"]}, "Validation failed after max retries: boom"),
        ],
    )
    def test_what_raises_decides_the_domain_and_the_text(
        self, domain: FailureDomain, options: dict[str, Any], feedback: str
    ) -> None:
        def boom(data: Any) -> Any:
            raise ValueError("boom")

        options = {name: [boom] for name in options}
        agent: Callable[..., Any] = (lambda data: data) if options else boom
        step = first(run_pipeline(Step[Any, Any, Any]("a", agent, retry=ONCE, **options), "in"))
        assert step.failure is not None
        assert (step.failure.domain, step.feedback, step.failure.exception_type) == (domain, feedback, "ValueError")
        assert step.failure.traceback is not None
        assert "in boom" in step.failure.traceback


class TestTaskState003:
    def test_a_refinement_that_reaches_its_maximum_gives_the_last_check(self) -> None:
        count = 0

        async def generate(request: dict[str, Any]) -> str:
            nonlocal count
            count += 1
            return f"value_{count}"

        async def criticise(value: str) -> RefinementCheck:
            return RefinementCheck(is_complete=value == "value_10", feedback=value)

        step: AnyStep = refine_until(
            "refine", Step("generate", generate), Step("criticise", criticise), max_refinements=2
        )
        result = run_pipeline(step, "goal")
        assert not result.success
        assert first(result).output == RefinementCheck(is_complete=False, feedback="value_2")

    @pytest.mark.parametrize("target", [2, 100])
    def test_the_output_mapper_is_called_by_condition_and_by_maximum(self, target: int) -> None:
        loop = LoopStep[Any, Any, Any](
            "loop",
            Step[Any, Any, Any]("add", lambda number: number + 1),
            exit_condition=lambda number, context: number >= target,
            max_loops=3,
            loop_output_mapper=lambda number, context: f"mapped {number}",
        )
        assert first(run_pipeline(loop, 0)).output == f"mapped {min(target, 3)}"


class TestTaskContext003:
    def test_dynamic_parallel_with_a_failing_branch(self) -> None:
        result = routed("branch1", "branch2", "branch3", fails="branch3")
        assert result.success
        assert result.context.executed_branches == ["branch2"]
        assert "branch2" in result.context.branch_results
        assert list(result.output) == ["branch1", "branch2", "branch3"]
        assert first(result).branch_context.executed_branches == ["branch2"]

    def test_dynamic_parallel_selective(self) -> None:
        result = routed("branch1", "branch3")
        assert result.context.executed_branches == ["branch3"]
        assert "branch1" not in result.context.branch_results

    def test_dynamic_parallel_empty(self) -> None:
        result = routed()
        assert (result.success, result.output) == (True, {})
        assert result.context == Report()


class TestTaskFailure003:
    @pytest.mark.parametrize("max_attempts", [1, 5])
    def test_a_validator_s_no_is_one_attempt(self, max_attempts: int) -> None:
        calls: list[Any] = []

        def agent(data: Any) -> str:
            calls.append(data)
            return "kept"

        async def refuse(output: Any) -> ValidationResult:
            return ValidationResult(is_valid=False, feedback="bad")

        step = first(
            run_pipeline(
                Step[Any, Any, Any]("a", agent, validators=[refuse], retry=RetryPolicy(max_attempts=max_attempts)), "in"
            )
        )
        assert (step.attempts, len(calls), step.output) == (1, 1, "kept")
        assert step.feedback == "Validation failed after max retries: bad"

    def test_a_validator_s_no_calls_the_primary_s_agent_once_with_a_fallback_too(self) -> None:
        calls: list[str] = []

        def agent(name: str) -> Callable[[Any], str]:
            def call(data: Any) -> str:
                calls.append(name)
                return name

            return call

        step = Step[Any, Any, Any]("a", agent("primary"), validators=[lambda output: False])
        result = first(run_pipeline(step.with_fallback(Step[Any, Any, Any]("b", agent("fallback"))), "in"))
        assert (calls, result.output) == (["primary", "fallback"], "fallback")


class TestTaskFailure004:
    def refused(self) -> AnyStep:
        async def refuse(output: Any) -> PluginOutcome:
            return PluginOutcome(success=False, feedback="bad")

        return Step[Any, Any, Any]("body", lambda data: data, plugins=[refuse])

    def loop(self, exit_condition: Callable[[Any, Any], bool | Awaitable[bool]]) -> StepResult:
        return first(run_pipeline(LoopStep[Any, Any, Any]("loop", self.refused(), exit_condition=exit_condition), 1))

    def test_a_body_that_fails_with_a_robust_exit_condition(self) -> None:
        result = self.loop(lambda output, context: output is not None)
        assert not result.success
        assert result.feedback == "Loop body failed: Plugin validation failed after max retries: bad"
        assert result.metadata["exit_reason"] == "body_step_error"

    def test_a_body_that_fails_is_not_shown_to_an_exit_condition_that_could_not_bear_it(self) -> None:
        result = self.loop(lambda output, context: output["missing"])
        assert result.feedback == "Loop body failed: Plugin validation failed after max retries: bad"

    def test_nested_loops_nest_the_text(self) -> None:
        def never(output: Any, context: Any) -> bool:
            return False

        inner = LoopStep[Any, Any, Any]("inner", self.refused(), exit_condition=never)
        outer = LoopStep[Any, Any, Any]("outer", inner, exit_condition=never)
        assert first(run_pipeline(outer, 1)).feedback == (
            "Loop body failed: Loop body failed: Plugin validation failed after max retries: bad"
        )


class TestTaskObservability001:
    def test_every_actor_has_a_span_below_that_of_its_supervisor_and_the_root_has_ended(self) -> None:
        backend = MemoryBackend()
        loop = LoopStep[Any, Any, Any](
            "grow", Step[Any, Any, Any]("double", lambda n: n * 2), exit_condition=lambda n, context: n > 10
        )
        step = Pipeline[Any, Any, Any]("all", [loop, ParallelStep[Any, Any, Any]("fan", {"a": loop, "b": loop})])
        result = run_pipeline(step, 2, storage=backend)
        trace = backend.get_trace(result.run_id)
        assert trace is not None
        assert (trace["name"], trace["status"], trace["end_time"] is not None) == ("pipeline_run", "completed", True)

        def paths(node: dict[str, Any]) -> list[str]:
            return [node["attributes"]["path"], *(path for child in node["children"] for path in paths(child))]

        assert paths(trace) == [
            "",
            "grow",
            *(f"grow[{number}]/double" for number in (1, 2, 3)),
            "fan",
            "fan/a",
            "fan/a[1]/double",
            "fan/b",
            "fan/b[1]/double",
        ]
