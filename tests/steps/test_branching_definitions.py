"""What a parallel step, a router or a leaf with helpers cannot be built from, and that the error names the step."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs
import pytest

from flujo_actors import (
    BranchFailureStrategy,
    DynamicParallelRouterStep,
    FailureDomain,
    MergeStrategy,
    ParallelStep,
    PluginOutcome,
    RetryPolicy,
    Step,
    StepDefinitionError,
)


def same(data: Any) -> Any:
    return data


OK = Step("ok", same)


def parallel(branches: Any = None, **options: Any) -> Any:
    return ParallelStep[Any, Any, Any]("both", {"a": OK, "b": OK} if branches is None else branches, **options)


def router(branches: Any = None, **options: Any) -> Any:
    options = {"router": same, **options}
    branches = {"a": OK, "b": OK} if branches is None else branches
    return DynamicParallelRouterStep[Any, Any, Any]("both", branches=branches, **options)


def refused(problem: str, build: Callable[[], object]) -> None:
    with pytest.raises(StepDefinitionError, match=f"^Step 'both': {re.escape(problem)}") as caught:
        build()
    assert caught.value.step == "both"


@pytest.mark.parametrize("kind", [parallel, router])
class TestBranches:
    @pytest.mark.parametrize("branches", [{}, [], [OK], OK, "ab", 3])
    def test_they_are_a_dict_of_one_or_more(self, kind: Any, branches: Any) -> None:
        problem = "branches is empty" if branches == {} else "branches is a dict of name and step, got "
        refused(problem, lambda: kind(branches))

    @pytest.mark.parametrize("value", [same, None, "step", Step])
    def test_each_is_a_step(self, kind: Any, value: Any) -> None:
        refused("branch 'b' is no step but ", lambda: kind({"a": OK, "b": value}))

    @pytest.mark.parametrize("name", ["", " ", "a/b", "a[1]", "a\n", "a#2"])
    def test_names_fit_into_paths(self, kind: Any, name: str) -> None:
        refused(f"the branch name {name!r} is not printable or holds one of ", lambda: kind({name: OK}))

    def test_names_differ_as_texts(self, kind: Any) -> None:
        refused("two branches are called '1'", lambda: kind({1: OK, "1": OK}))

    def test_nobody_can_change_them_afterwards(self, kind: Any) -> None:
        branches = {"a": OK}
        step = kind(branches)
        branches["b"] = OK
        assert list(step.branches) == ["a"]
        with pytest.raises(TypeError):
            step.branches["b"] = OK


@pytest.mark.parametrize("kind", [parallel, router])
class TestOptions:
    @pytest.mark.parametrize("value", ["last", None, 3, BranchFailureStrategy.CANCEL])
    def test_the_merge_strategy_is_known(self, kind: Any, value: Any) -> None:
        refused("merge_strategy is one of 'context_update', ", lambda: kind(merge_strategy=value))

    @pytest.mark.parametrize("value", ["stop", None, 3, same, MergeStrategy.NO_MERGE])
    def test_the_failure_strategy_is_known(self, kind: Any, value: Any) -> None:
        problem = "on_branch_failure is one of 'propagate', 'ignore', 'cancel', got "
        refused(problem, lambda: kind(on_branch_failure=value))

    @pytest.mark.parametrize("value", [0, -1, 1.5, True, "2"])
    def test_max_concurrency_is_one_or_more(self, kind: Any, value: Any) -> None:
        refused("max_concurrency is a whole number, 1 or more, got ", lambda: kind(max_concurrency=value))

    @pytest.mark.parametrize("value", ["n", 3, [3], [None]])
    def test_context_include_keys_is_a_list_of_names(self, kind: Any, value: Any) -> None:
        refused("context_include_keys is a list of field names, got ", lambda: kind(context_include_keys=value))

    @pytest.mark.parametrize("value", [["a"], None, "a", 3])
    def test_field_mapping_is_a_dict(self, kind: Any, value: Any) -> None:
        refused("field_mapping is a dict of branch and fields, got ", lambda: kind(field_mapping=value))

    def test_field_mapping_names_branches(self, kind: Any) -> None:
        mapping = {"a": ["n"], "x": ["n"], "y": []}
        refused("field_mapping names x, y, which are no branches", lambda: kind(field_mapping=mapping))

    @pytest.mark.parametrize("fields", ["name", 3, None, [3]])
    def test_field_mapping_lists_fields(self, kind: Any, fields: Any) -> None:
        refused("field_mapping['a'] is a list of field names, got ", lambda: kind(field_mapping={"a": fields}))

    def test_an_unknown_keyword_is_refused(self, kind: Any) -> None:
        with pytest.raises(TypeError, match="branch_failure"):
            kind(branch_failure="ignore")

    def test_a_text_is_the_strategy_of_that_value(self, kind: Any) -> None:
        step = kind(merge_strategy="no_merge", on_branch_failure="cancel")
        assert step.merge_strategy is MergeStrategy.NO_MERGE
        assert step.on_branch_failure is BranchFailureStrategy.CANCEL
        assert step == kind(merge_strategy=MergeStrategy.NO_MERGE, on_branch_failure=BranchFailureStrategy.CANCEL)

    def test_a_step_can_be_evolved(self, kind: Any) -> None:
        step = kind(field_mapping={"a": ["n"]}, context_include_keys=["n"])
        assert attrs.evolve(attrs.evolve(step, name="other"), name="both") == step

    def test_a_merge_function_that_is_async_is_refused(self, kind: Any) -> None:
        async def merge(context: Any, branches: Any) -> None: ...

        refused("merge_strategy is called between two steps and cannot be async", lambda: kind(merge_strategy=merge))


def test_a_router_is_an_agent_or_a_step() -> None:
    with pytest.raises(StepDefinitionError, match="3 is no agent"):
        router(router=3)


HELPERS = ("prompt_processors", "output_processors", "plugins", "validators")


def leaf(**options: Any) -> Any:
    step: Any = Step
    return step("both", same, **options)


@pytest.mark.parametrize("field", HELPERS)
class TestHelpers:
    @pytest.mark.parametrize("value", ["text", 3, None, same])
    def test_they_come_in_a_list(self, field: str, value: Any) -> None:
        refused(f"{field} is a list, got ", lambda: leaf(**{field: value}))

    @pytest.mark.parametrize("value", [3, None, "text", ("text", 1)])
    def test_each_can_be_called(self, field: str, value: Any) -> None:
        method = "process" if field.endswith("processors") else "validate"
        wanted = f"{value!r} is none; pass a function, or an object with `{method}`"
        refused(f"{field}: {wanted}", lambda: leaf(**{field: [value]}))

    def test_a_class_is_refused(self, field: str) -> None:
        class Tone:
            async def validate(self, output: Any) -> None: ...

            async def process(self, output: Any) -> None: ...

        refused(f"{field}: ", lambda: leaf(**{field: [Tone]}))

    def test_each_takes_one_value(self, field: str) -> None:
        refused(f"{field}: ", lambda: leaf(**{field: [lambda: None]}))
        refused(f"{field}: ", lambda: leaf(**{field: [lambda one, two: None]}))

    def test_a_step_with_them_can_be_evolved(self, field: str) -> None:
        step = leaf(**{field: [same]})
        assert attrs.evolve(attrs.evolve(step, name="other"), name="both") == step


@pytest.mark.parametrize("field", ["prompt_processors", "output_processors", "validators"])
def test_only_plugins_have_priorities(field: str) -> None:
    refused(f"{field}: ", lambda: leaf(**{field: [(same, 1)]}))
    step = leaf(plugins=[same, (lambda output: PluginOutcome(success=True), 5)])
    assert [plugin.priority for plugin in step.plugins] == [5, 0]


@pytest.mark.parametrize("priority", ["high", 1.5, None])
def test_a_priority_is_a_whole_number(priority: Any) -> None:
    refused("plugins: ", lambda: leaf(plugins=[(same, priority)]))


def test_retrying_validators_is_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="trying again does not help a VALIDATOR failure"):
        RetryPolicy(on=frozenset({FailureDomain.AGENT, FailureDomain.VALIDATOR}))


@pytest.mark.parametrize("domain", [FailureDomain.PLUGIN, FailureDomain.PROCESSOR])
def test_plugins_and_processors_may_be_retried(domain: FailureDomain) -> None:
    assert RetryPolicy(on=frozenset({domain})).on == {domain}
