"""`ParallelStep`: branches side by side on forks of their own, what their failures mean, and how they are merged."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    BranchFailureStrategy,
    FailureDomain,
    MergeStrategy,
    ParallelStep,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    SpanStatus,
    Step,
    StepResult,
    UsageMeter,
    open_system,
)
from flujo_actors.storage import MemoryBackend

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    n: int = 0
    lines: list[str] = attrs.Factory(list[str])
    by_name: dict[str, Any] = attrs.Factory(dict[str, Any])


@attrs.define
class Report:
    executed_branches: list[str] = attrs.Factory(list[str])
    branch_results: dict[str, Any] = attrs.Factory(dict[str, Any])


@dataclasses.dataclass
class DataReport:
    executed_branches: list[str] = dataclasses.field(default_factory=list[str])
    branch_results: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])


def report_of(context: Any) -> tuple[Any, Any]:
    if isinstance(context, dict):
        return context["executed_branches"], context["branch_results"]
    return context.executed_branches, context.branch_results


async def run(step: AnyStep, data: Any = None, **options: Any) -> Any:
    async with open_system(random_seed=1) as system:
        return await system.run(step, data, **options)


def parallel(branches: Mapping[Any, AnyStep], **options: Any) -> ParallelStep[Any, Any, Any]:
    return ParallelStep("p", branches, **options)


def leaf(agent: Callable[..., Any], **options: Any) -> AnyStep:
    return Step[Any, Any, Any]("leaf", agent, retry=ONCE, **options)


def gives(value: Any, after: float = 0) -> AnyStep:
    async def agent(data: Any) -> Any:
        await trio.sleep(after)
        return value

    return leaf(agent)


def fails(text: str = "boom", after: float = 0, cost_usd: float = 0) -> AnyStep:
    async def agent(data: Any, *, usage: UsageMeter) -> Any:
        usage.charge(cost_usd=cost_usd)
        await trio.sleep(after)
        raise ValueError(text)

    return leaf(agent)


def writes(after: float = 0, output: Any = None, **values: Any) -> AnyStep:
    """Sets fields of the context."""

    async def agent(data: Any, *, context: Any) -> Any:
        await trio.sleep(after)
        for name, value in values.items():
            setattr(context, name, value)
        return output

    return leaf(agent)


def writes_and_fails(**values: Any) -> AnyStep:
    return Pipeline[Any, Any, Any]("both", [writes(**values), fails()])


def feedback(name: str, text: str = "boom") -> str:
    return f"branch '{name}' failed: Agent execution failed with ValueError: {text}"


def only(result: PipelineResult[Any, Any]) -> StepResult:
    [step] = result.step_history
    return step


class TestRunning:
    async def test_every_branch_gets_the_same_input(self) -> None:
        given_to: list[Any] = []
        data = {"a": 1}
        await run(parallel({"a": leaf(given_to.append), "b": leaf(given_to.append)}), data)
        assert given_to == [data, data]

    async def test_no_branch_sees_what_another_writes(self, autojump_clock: MockClock) -> None:
        async def look(data: Any, *, context: Notes) -> list[str]:
            await trio.sleep(5)
            return list(context.lines)

        def write(data: Any, *, context: Notes) -> None:
            context.lines.append("written")

        result = await run(parallel({"a": leaf(write), "b": leaf(look)}), context=Notes())
        assert result.output == {"a": None, "b": []}
        assert result.context.lines == ["written"]

    async def test_branches_run_at_once(self, autojump_clock: MockClock) -> None:
        result = await run(parallel({name: gives(name, after=10) for name in "abcd"}))
        assert trio.current_time() == 10
        assert only(result).latency_s == 10

    @pytest.mark.parametrize(("at_once", "seconds"), [(1, 50), (2, 30), (4, 20), (5, 10), (99, 10), (None, 10)])
    async def test_max_concurrency_bounds_how_many_run_at_once(
        self, at_once: int | None, seconds: float, autojump_clock: MockClock
    ) -> None:
        now, most, order = 0, 0, list[str]()

        def branch(name: str) -> AnyStep:
            async def agent(data: Any) -> None:
                nonlocal now, most
                order.append(name)
                now += 1
                most = max(most, now)
                await trio.sleep(10)
                now -= 1

            return leaf(agent)

        result = await run(parallel({name: branch(name) for name in "abcde"}, max_concurrency=at_once))
        assert result.success
        assert most == min(at_once or 5, 5)
        assert trio.current_time() == seconds
        if at_once == 1:
            assert order == list("abcde")

    async def test_a_place_that_a_failed_branch_leaves_is_filled(self, autojump_clock: MockClock) -> None:
        result = await run(parallel({"a": fails(), "b": gives(1), "c": gives(2)}, max_concurrency=1))
        assert only(result).metadata["succeeded_branches"] == ["b", "c"]

    @pytest.mark.parametrize("delays", [(1, 2, 3), (3, 2, 1), (2, 3, 1)])
    async def test_outputs_and_history_are_in_declared_order(
        self, delays: tuple[float, ...], autojump_clock: MockClock
    ) -> None:
        names = ("c", "a", "b")
        branches = {name: gives(name, after) for name, after in zip(names, delays, strict=True)}
        result = await run(parallel(branches))
        assert list(result.output.items()) == [("c", "c"), ("a", "a"), ("b", "b")]
        assert [each.output for each in only(result).step_history] == list(names)
        assert only(result).metadata["executed_branches"] == list(names)

    async def test_two_hundred_branches(self) -> None:
        def count(data: Any, *, context: Notes) -> int:
            context.by_name[str(data)] = data
            return int(data)

        branches = {f"b{index}": leaf(lambda data, index=index: index) >> leaf(count) for index in range(200)}
        result = await run(parallel(branches), context=Notes())
        assert result.output == {f"b{index}": index for index in range(200)}
        assert result.context.by_name == {str(index): index for index in range(200)}

    async def test_other_tasks_get_their_turn_while_many_branches_end_at_once(self) -> None:
        step = parallel({f"b{number}": gives(number) for number in range(640)})
        turns = 0

        async def count_turns(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
            nonlocal turns
            task_status.started()
            while True:
                await trio.lowlevel.checkpoint()
                turns += 1

        async with trio.open_nursery() as nursery, open_system() as system:
            await nursery.start(count_turns)
            await system.run(step, 1)
            nursery.cancel_scope.cancel()
        assert turns >= 640 / 32

    async def test_without_a_context_nothing_is_merged_and_all_else_is_the_same(self) -> None:
        result = await run(parallel({"a": gives(1), "b": fails()}, on_branch_failure="ignore"))
        assert result.success
        assert result.output["a"] == 1
        assert result.context is None

    async def test_keys_that_are_no_texts_are_named_by_their_text(self) -> None:
        step = parallel({1: writes(n=1), 2: writes(n=2)}, field_mapping={2: ["n"]})
        result = await run(step, context=Notes())
        assert result.output == {"1": None, "2": None}
        assert result.context.n == 2

    async def test_a_retried_parallel_step_runs_all_branches_again_on_fresh_forks(self) -> None:
        tries = 0

        def flaky(data: Any) -> None:
            nonlocal tries
            tries += 1
            if tries == 1:
                raise ValueError

        def write(data: Any, *, context: Notes) -> None:
            context.n += 1

        step = parallel({"a": leaf(write), "b": leaf(flaky)}, retry=RetryPolicy(max_attempts=2))
        result = await run(step, context=Notes())
        assert result.success
        assert result.context.n == 1
        assert only(result).attempts == 2
        assert len(only(result).step_history) == 4


class TestBranchFailures:
    @pytest.mark.parametrize("strategy", [BranchFailureStrategy.PROPAGATE, "propagate"])
    async def test_propagate_fails_the_step_and_the_others_finish_and_are_merged(
        self, strategy: Any, autojump_clock: MockClock
    ) -> None:
        branches = {"a": writes(after=9, output="A", n=7), "b": writes_and_fails(lines=["no"])}
        result = await run(parallel(branches, on_branch_failure=strategy), context=Notes())
        step = only(result)
        assert not result.success
        assert step.feedback == feedback("b")
        assert step.failure is not None
        assert (step.failure.domain, step.failure.step) == (FailureDomain.AGENT, "p")
        assert result.context == Notes(n=7)
        assert step.branch_context == Notes(n=7)
        assert step.output["a"] == "A"

    async def test_a_failed_branch_s_entry_is_its_result(self) -> None:
        result = await run(parallel({"a": fails("x"), "b": gives(2)}))
        output = only(result).output
        assert list(output) == ["a", "b"]
        assert output["b"] == 2
        assert output["a"] is only(result).step_history[0]
        assert output["a"].feedback == "Agent execution failed with ValueError: x"

    @pytest.mark.parametrize("strategy", [BranchFailureStrategy.IGNORE, "ignore"])
    async def test_ignore_succeeds_when_one_branch_did(self, strategy: Any) -> None:
        branches = {"a": fails(), "b": gives(2), "c": fails()}
        result = await run(parallel(branches, on_branch_failure=strategy))
        assert result.success
        step = only(result)
        assert step.feedback is None
        assert step.failure is None
        assert result.output["b"] == 2
        assert dict(step.metadata) == {
            "executed_branches": ["a", "b", "c"],
            "succeeded_branches": ["b"],
            "failed_branches": ["a", "c"],
        }

    async def test_ignore_fails_when_no_branch_succeeded(self) -> None:
        result = await run(parallel({"a": fails("x"), "b": fails("y")}, on_branch_failure="ignore"))
        assert not result.success
        assert only(result).feedback == (
            "Parallel step failed: 2 of 2 branches failed. "
            "Failures: branch 'a' failed: Agent execution failed with ValueError: x; "
            "branch 'b' failed: Agent execution failed with ValueError: y"
        )

    @pytest.mark.parametrize("strategy", [BranchFailureStrategy.CANCEL, "cancel"])
    async def test_cancel_stops_the_siblings_at_the_first_failure(
        self, strategy: Any, autojump_clock: MockClock
    ) -> None:
        async def slow(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=0.25, prompt_tokens=5)
            await trio.sleep_forever()

        branches = {"a": leaf(slow), "b": fails(after=3, cost_usd=0.5), "c": writes(output="C", n=1), "d": leaf(slow)}
        result = await run(parallel(branches, on_branch_failure=strategy), context=Notes())
        assert trio.current_time() == 3
        step = only(result)
        assert not step.success
        assert step.metadata["succeeded_branches"] == ["c"]
        assert step.metadata["failed_branches"] == ["a", "b", "d"]
        stopped = step.output["a"]
        assert stopped.feedback == "Cancelled: branch 'b' failed"
        assert stopped.failure.domain is FailureDomain.CANCELLED
        assert (step.cost_usd, step.token_counts) == (1.0, 10)
        assert result.total_cost_usd == 1.0
        assert result.context.n == 1
        assert step.failure is not None
        assert step.failure.domain is FailureDomain.AGENT
        assert step.failure.cause is step.output["b"].failure
        assert step.failure.others == (step.output["a"].failure, step.output["d"].failure)
        by_branch = {span.attributes.get("branch"): span.status for span in result.spans}
        assert by_branch["a"] is by_branch["d"] is SpanStatus.CANCELLED
        assert by_branch["b"] is SpanStatus.FAILED

    async def test_cancel_starts_no_branch_that_was_waiting(self) -> None:
        called: list[str] = []
        branches = {"a": fails(), "b": leaf(called.append), "c": leaf(called.append)}
        result = await run(parallel(branches, on_branch_failure="cancel", max_concurrency=1))
        assert called == []
        assert only(result).metadata["executed_branches"] == ["a"]
        assert only(result).feedback == feedback("a")

    async def test_several_failures_are_all_told_in_declared_order(self, autojump_clock: MockClock) -> None:
        result = await run(parallel({"a": fails("x", after=5), "b": gives(1), "c": fails("y")}))
        step = only(result)
        assert step.feedback == (
            "Parallel step failed: 2 of 3 branches failed. "
            "Failures: branch 'a' failed: Agent execution failed with ValueError: x; "
            "branch 'c' failed: Agent execution failed with ValueError: y"
        )
        assert step.failure is not None
        assert step.failure.cause is not None
        assert step.failure.cause.step == "p/a"
        assert [each.step for each in step.failure.others] == ["p/c"]

    async def test_the_step_after_a_failed_one_does_not_run(self) -> None:
        called: list[Any] = []
        await run(parallel({"a": fails()}) >> leaf(called.append))
        assert called == []

    async def test_a_branch_that_is_cancelled_counts_as_failed_and_its_siblings_go_on(
        self, autojump_clock: MockClock
    ) -> None:
        result = await run(
            parallel({"a": Step("slow", trio.sleep, timeout=1.0, retry=ONCE), "b": gives("B", after=5)}), 60
        )
        step = only(result)
        assert step.feedback == "branch 'a' failed: Timed out after 1.0 s"
        assert step.failure is not None
        assert step.failure.domain is FailureDomain.TIMEOUT
        assert step.output["b"] == "B"

    async def test_a_timeout_of_the_step_stops_all_branches_and_merges_none(self, autojump_clock: MockClock) -> None:
        async def slow(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=0.25)
            await trio.sleep_forever()

        branches = {"a": leaf(slow), "b": writes(n=1), "c": leaf(slow)}
        result = await run(parallel(branches, timeout=2), context=Notes())
        step = only(result)
        assert step.feedback == "Timed out after 2.0 s"
        assert step.failure is not None
        assert sorted(step.failure.running) == ["p/a", "p/c"]
        assert step.cost_usd == 0.5
        assert len(step.step_history) == 3
        assert result.context == Notes()

    async def test_a_run_that_is_cancelled_keeps_the_branches_accounts_and_spans(
        self, autojump_clock: MockClock
    ) -> None:
        async def slow(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=0.25)
            await trio.sleep_forever()

        async with open_system() as system:
            handle = await system.start(parallel({"a": leaf(slow), "b": gives(1, after=1), "c": leaf(slow)}), None)
            await trio.sleep(5)
            handle.cancel(reason="enough")
            result: Any = await handle.wait()
        step = only(result)
        assert step.feedback == "Cancelled: enough"
        assert (step.cost_usd, result.total_cost_usd) == (0.5, 0.5)
        by_branch = {span.attributes.get("branch"): str(span.status) for span in result.spans}
        assert by_branch == {"a": "cancelled", "b": "completed", "c": "cancelled", None: "cancelled"}


class TestMerging:
    async def test_writes_to_different_paths_all_arrive(self) -> None:
        def put(data: Any, *, context: Notes) -> None:
            context.by_name[str(len(context.by_name))] = 1

        branches = {"a": writes(n=1), "b": writes(lines=["x"]), "c": leaf(put)}
        result = await run(parallel(branches), context=Notes())
        assert result.context == Notes(1, ["x"], {"0": 1})

    async def test_a_conflict_fails_the_step_and_nothing_is_merged(self) -> None:
        branches = {"a": writes(n=1), "b": writes(n=2), "c": writes(lines=["x"])}
        result = await run(parallel(branches), context=Notes())
        step = only(result)
        assert not step.success
        assert step.failure is not None
        assert step.failure.domain is FailureDomain.MERGE
        assert step.feedback is not None
        assert step.feedback.startswith("Merge conflict for key 'n': branches 'a' and 'b'")
        assert result.context == Notes()
        assert step.metadata["executed_branches"] == ["a", "b", "c"]

    async def test_a_conflict_is_not_forgiven_by_ignore(self) -> None:
        branches = {"a": writes(n=1), "b": writes(n=2)}
        result = await run(parallel(branches, on_branch_failure="ignore"), context=Notes())
        assert not result.success

    async def test_a_conflict_with_a_branch_that_failed_is_none(self) -> None:
        branches = {"a": writes(n=1), "b": writes_and_fails(n=2)}
        result = await run(parallel(branches, on_branch_failure="ignore"), context=Notes())
        assert result.success
        assert result.context.n == 1

    @pytest.mark.parametrize("strategy", [MergeStrategy.OVERWRITE, "overwrite"])
    async def test_overwrite_takes_what_the_last_successful_branch_changed(
        self, strategy: Any, autojump_clock: MockClock
    ) -> None:
        branches = {
            "a": writes(n=1, lines=["a"]),
            "b": writes(n=2),
            "c": writes_and_fails(n=3),
        }
        options = {"merge_strategy": strategy, "on_branch_failure": "ignore"}
        result = await run(parallel(branches, **options), context=Notes())
        assert result.context == Notes(n=2)

    @pytest.mark.parametrize("strategy", [MergeStrategy.KEEP_FIRST, "keep_first"])
    async def test_keep_first_is_first_in_declared_order_not_in_time(
        self, strategy: Any, autojump_clock: MockClock
    ) -> None:
        branches = {"a": writes(after=9, n=1), "b": writes(n=2, lines=["b"])}
        result = await run(parallel(branches, merge_strategy=strategy), context=Notes())
        assert result.context == Notes(1, ["b"])

    @pytest.mark.parametrize("strategy", [MergeStrategy.ERROR_ON_CONFLICT, "error_on_conflict"])
    async def test_error_on_conflict_refuses_equal_values_too(self, strategy: Any) -> None:
        result = await run(parallel({"a": writes(n=1), "b": writes(n=1)}, merge_strategy=strategy), context=Notes())
        assert only(result).feedback is not None
        assert str(only(result).feedback).startswith("Merge conflict for key 'n': branches 'a' and 'b'")
        assert result.context == Notes()

    async def test_equal_texts_are_no_conflict_by_default_and_are_one_with_error_on_conflict(self) -> None:
        context = {"kept": 1, "text": ""}
        branches = {name: leaf(lambda data, *, context: context.update(text="same")) for name in "ab"}
        assert (await run(parallel(branches), context=context)).context == {"kept": 1, "text": "same"}
        strict = await run(parallel(branches, merge_strategy="error_on_conflict"), context=context)
        assert strict.context == context
        assert str(only(strict).feedback).startswith("Merge conflict for key")

    @pytest.mark.parametrize("strategy", [MergeStrategy.NO_MERGE, "no_merge"])
    async def test_no_merge_merges_nothing(self, strategy: Any) -> None:
        result = await run(parallel({"a": writes(n=1), "b": writes(n=2)}, merge_strategy=strategy), context=Notes())
        assert result.success
        assert result.context == Notes()

    async def test_a_function_merges_the_contexts_of_the_successful_branches(self) -> None:
        def total(context: Notes, branches: Mapping[str, Notes]) -> None:
            context.n = sum(branch.n for branch in branches.values())
            context.lines.extend(branches)

        branches = {"a": writes(n=1), "b": writes(n=2), "c": writes_and_fails(n=100)}
        options = {"merge_strategy": total, "on_branch_failure": "ignore"}
        result = await run(parallel(branches, **options), context=Notes())
        assert result.context == Notes(3, ["a", "b"])

    async def test_a_function_that_raises_fails_the_step_and_nothing_is_merged(self) -> None:
        def broken(context: Notes, branches: Mapping[str, Notes]) -> None:
            context.n = 99
            raise ValueError("cannot")

        result = await run(parallel({"a": writes(n=1)}, merge_strategy=broken), context=Notes())
        step = only(result)
        assert step.failure is not None
        assert step.failure.domain is FailureDomain.MERGE
        assert step.feedback == "Merging the branches failed with ValueError: cannot"
        assert result.context == Notes()

    async def test_field_mapping_takes_fields_as_they_are_before_conflicts(self) -> None:
        branches = {"a": writes(n=1, lines=["a"]), "b": writes(n=2)}
        step = parallel(branches, field_mapping={"b": ["n"]})
        result = await run(step, context=Notes())
        assert result.context == Notes(2, ["a"])

    async def test_context_include_keys_are_all_that_is_merged(self) -> None:
        branches = {"a": writes(n=1, lines=["a"]), "b": writes(n=2)}
        result = await run(parallel(branches, context_include_keys=["lines"]), context=Notes())
        assert result.context == Notes(0, ["a"])

    async def test_what_was_merged_is_blamed_on_the_branch(self) -> None:
        result = await run(parallel({"a": writes(n=1), "b": writes(lines=["x"])}), context=Notes())
        origin = result.blame("n")
        assert origin is not None
        assert (origin.step, origin.branch) == ("p/a", "a")

    @given(
        st.dictionaries(
            st.sampled_from("abcdefg"),
            st.tuples(st.booleans(), st.lists(st.sampled_from("xyz"), max_size=3), st.integers(0, 4)),
            min_size=1,
        )
    )
    def test_the_merge_does_not_depend_on_who_finishes_first(
        self, plan: dict[str, tuple[bool, list[str], int]]
    ) -> None:
        def branch(name: str, ok: bool, keys: list[str], after: int) -> AnyStep:
            async def agent(data: Any, *, context: Notes) -> str:
                await trio.sleep(after)
                context.by_name.update(dict.fromkeys(keys, name))
                if not ok:
                    raise ValueError(name)
                return name

            return leaf(agent)

        async def outcome(times: float) -> tuple[Any, ...]:
            branches = {name: branch(name, ok, keys, int(after * times)) for name, (ok, keys, after) in plan.items()}
            step = parallel(branches, merge_strategy="keep_first", on_branch_failure="ignore")
            result = await run(step, context=Notes())
            return (
                result.success,
                list(only(result).output),
                result.context,
                only(result).feedback,
                dict(only(result).metadata),
            )

        expected = dict[str, str]()
        for name, (ok, keys, _) in plan.items():
            for key in keys if ok else ():
                expected.setdefault(key, name)

        at_once, later = (trio.run(outcome, times, clock=MockClock(autojump_threshold=0)) for times in (0, 1))
        assert at_once == later
        assert at_once[0] is any(ok for ok, _, _ in plan.values())
        assert at_once[1] == list(plan)
        assert at_once[2].by_name == expected


class TestReportingFields:
    @pytest.mark.parametrize(
        "context",
        [Report(), DataReport(), {"executed_branches": [], "branch_results": {}}],
        ids=["attrs", "dataclass", "dict"],
    )
    async def test_they_are_filled_in_where_the_context_declares_them(self, context: Any) -> None:
        branches = {"a": gives(1), "b": fails(), "c": gives(None)}
        result = await run(parallel(branches, on_branch_failure="ignore"), context=context)
        assert report_of(result.context) == (["a", "c"], {"a": 1, "c": None})
        assert report_of(context) == ([], {})

    async def test_a_context_with_only_one_of_them_gets_that_one(self) -> None:
        result = await run(parallel({"a": gives(1)}), context={"executed_branches": None})
        assert result.context == {"executed_branches": ["a"]}

    @pytest.mark.parametrize("context", [Notes(), {"x": 1}])
    async def test_it_is_no_error_when_the_context_declares_none(self, context: Any) -> None:
        result = await run(parallel({"a": gives(1)}), context=context)
        assert result.success
        assert result.context == context

    async def test_overwrite_names_the_last_successful_branch_alone(self) -> None:
        branches = {"a": gives(1), "b": gives(2), "c": fails()}
        options = {"merge_strategy": "overwrite", "on_branch_failure": "ignore"}
        result = await run(parallel(branches, **options), context=Report())
        assert result.context == Report(["b"], {"b": 2})

    async def test_what_a_branch_wrote_there_itself_stays(self) -> None:
        def own(data: Any, *, context: Report) -> str:
            context.branch_results["a"] = "mine"
            return "output"

        result = await run(parallel({"a": leaf(own), "b": gives(2)}), context=Report())
        assert result.context == Report(["a", "b"], {"a": "mine", "b": 2})

    async def test_a_second_run_of_the_step_reports_its_own_outputs(self) -> None:
        tell = parallel({"a": leaf(lambda data: data), "b": leaf(lambda data: -data)})
        step = Pipeline[Any, Any, Any]("twice", [tell, leaf(lambda outputs: outputs["a"] + 1), tell])
        result = await run(step, 1, context=Report())
        assert result.output == {"a": 2, "b": -2}
        assert result.context.branch_results == {"a": 2, "b": -2}

    @pytest.mark.parametrize(
        "context",
        [{"branch_results": 5}, {"branch_results": ["a"]}, {"branch_results": "a text"}],
    )
    async def test_a_field_of_another_kind_is_replaced(self, context: Any) -> None:
        result = await run(parallel({"a": gives(1)}), context=context)
        assert result.success
        assert result.context == {"branch_results": {"a": 1}}

    async def test_a_frozen_context_that_declares_them_is_a_failure(self) -> None:
        @attrs.frozen
        class Frozen:
            executed_branches: tuple[str, ...] = ()

        result = await run(parallel({"a": gives(1)}), context=Frozen())
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.CONTEXT
        assert result.failure.feedback.startswith("Context validation failed: field 'executed_branches' cannot be set")

    async def test_a_context_that_refuses_them_by_any_exception_is_a_failure(self) -> None:
        def refuse(account: Any, attribute: Any, value: Any) -> Any:
            raise LookupError("not here")

        @attrs.define
        class Strict:
            executed_branches: list[str] = attrs.field(factory=list[str], on_setattr=refuse)

        result = await run(parallel({"a": gives(1)}), context=Strict())
        assert result.failure is not None
        assert result.failure.feedback == "Context validation failed: not here"

    async def test_a_field_that_was_declared_and_never_set_is_set(self) -> None:
        @attrs.define
        class Late:
            branch_results: dict[str, Any] = attrs.field(init=False)

        result = await run(parallel({"a": gives(1)}), context=Late())
        assert result.success
        assert result.context.branch_results == {"a": 1}

    async def test_a_property_of_that_name_is_no_field(self) -> None:
        @attrs.define(slots=False)
        class Stubborn:
            n: int = 0

            @property
            def executed_branches(self) -> list[str]:
                return []

        result = await run(parallel({"a": writes(n=1)}), context=Stubborn())
        assert result.success
        assert result.context.n == 1


class TestInside:
    async def test_parallel_steps_nest(self, autojump_clock: MockClock) -> None:
        def put(name: str) -> AnyStep:
            async def agent(data: Any, *, context: Notes, usage: UsageMeter) -> str:
                await trio.sleep(1)
                usage.charge(cost_usd=0.1, prompt_tokens=1)
                context.by_name[name] = data
                return name

            return leaf(agent)

        inner = ParallelStep[Any, Any, Any]("inner", {"x": put("x"), "y": put("y")})
        result = await run(parallel({"a": inner, "b": put("b")}), 7, context=Notes())
        assert result.output == {"a": {"x": "x", "y": "y"}, "b": "b"}
        assert result.context.by_name == {"x": 7, "y": 7, "b": 7}
        assert (result.total_cost_usd, result.total_tokens) == (0.3, 3)
        assert trio.current_time() == 1
        spans = {span.attributes["path"]: span for span in result.spans}
        assert spans["p/a/x"].parent_span_id == spans["p/a"].span_id
        assert spans["p/a/x"].attributes["branch"] == "x"
        assert spans["p/a"].attributes["branch"] == "a"

    async def test_texts_of_nested_failures_nest(self) -> None:
        inner = ParallelStep[Any, Any, Any]("inner", {"x": fails(), "y": gives(1)})
        result = await run(parallel({"a": inner}))
        assert only(result).feedback == f"branch 'a' failed: {feedback('x')}"

    async def test_what_a_failed_nested_step_had_merged_is_not_merged_above(self) -> None:
        inner = ParallelStep[Any, Any, Any]("inner", {"x": fails(), "y": writes(n=1)})
        result = await run(parallel({"a": inner, "b": gives(1)}, on_branch_failure="ignore"), context=Notes())
        assert result.success
        assert result.context == Notes()

    async def test_a_branch_is_retried_and_falls_back_on_its_own(self) -> None:
        calls: list[str] = []

        def flaky(data: Any, *, context: Notes) -> str:
            calls.append("flaky")
            context.n += 1
            if len(calls) == 1:
                raise ValueError
            return "second try"

        broken = fails().with_fallback(writes(output="instead", lines=["fallback"]))
        result = await run(parallel({"a": Step("flaky", flaky), "b": broken}), context=Notes())
        assert result.output == {"a": "second try", "b": "instead"}
        assert result.context == Notes(1, ["fallback"])
        assert only(result).step_history[0].attempts == 2
        assert only(result).step_history[1].metadata["fallback_triggered"] is True

    async def test_each_branch_s_result_has_its_own_context(self) -> None:
        result = await run(parallel({"a": writes(n=1), "b": writes(lines=["x"])}), context=Notes())
        step = only(result)
        assert [each.branch_context for each in step.step_history] == [Notes(n=1), Notes(lines=["x"])]
        assert step.branch_context == Notes(1, ["x"])

    async def test_a_failed_branch_s_spending_counts(self) -> None:
        def spend(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=0.5, completion_tokens=3)

        result = await run(parallel({"a": fails(cost_usd=0.25), "b": leaf(spend)}))
        assert (only(result).cost_usd, only(result).token_counts) == (0.75, 3)
        assert [each.cost_usd for each in only(result).step_history] == [0.25, 0.5]

    async def test_the_stored_trace_has_a_span_for_each_branch(self) -> None:
        backend = MemoryBackend()
        async with open_system(storage=backend) as system:
            result = await system.run(parallel({"a": gives(1), "b": fails()}), None)
        trace = backend.get_trace(result.run_id)
        assert trace is not None
        [step] = trace["children"]
        assert [(each["name"], each["attributes"]["branch"], each["status"]) for each in step["children"]] == [
            ("a", "a", "completed"),
            ("b", "b", "failed"),
        ]
