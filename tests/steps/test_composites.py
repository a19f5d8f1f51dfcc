"""Composite steps as data: loops, refinements, conditionals and fallbacks, checked when they are built."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_type, cast

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flujo_actors import (
    AnyStep,
    CacheStep,
    ConditionalStep,
    DynamicParallelRouterStep,
    InvalidPipelineError,
    LoopStep,
    MapStep,
    ParallelStep,
    Pipeline,
    Problem,
    RefinementCheck,
    RefinementStep,
    Step,
    StepDefinitionError,
    UsageLimits,
    open_system,
    refine_until,
)


def double(data: int) -> int:
    return data * 2


def shout(data: str) -> str:
    return data.upper()


def leaf(name: str = "double") -> Step[int, int, object]:
    return Step(name, double)


def never(output: Any, context: Any) -> bool:
    return False


def loop(body: AnyStep | None = None, **options: Any) -> LoopStep[Any, Any, Any]:
    given: dict[str, Any] = {"exit_condition": never, **options}
    return LoopStep("l", leaf() if body is None else body, **given)


def conditional(branches: Any = None, **options: Any) -> ConditionalStep[Any, Any, Any]:
    return ConditionalStep("c", never, {"a": leaf("a"), "b": leaf("b")} if branches is None else branches, **options)


def parallel(branches: Any) -> AnyStep:
    return ParallelStep[Any, Any, Any]("f", branches, field_mapping={min(branches): ["n"]})


def router(chooser: AnyStep, branches: Any) -> AnyStep:
    return DynamicParallelRouterStep[Any, Any, Any]("t", chooser, branches)


def refinement(**options: Any) -> RefinementStep[Any, Any, Any]:
    return refine_until("r", leaf("generate"), leaf("criticise"), **options)


EMPTY = Pipeline[Any, Any, Any]("empty", [])


class TestBadDefinitions:
    @pytest.mark.parametrize("count", [0, -1, 1.5, "3", None, True])
    def test_a_number_of_rounds_below_one_or_none_at_all_is_refused(self, count: Any) -> None:
        with pytest.raises(StepDefinitionError, match="Step 'l': max_loops is a whole number, 1 or more, got"):
            loop(max_loops=count)
        with pytest.raises(StepDefinitionError, match="Step 'r': max_refinements is a whole number, 1 or more, got"):
            refinement(max_refinements=count)

    @pytest.mark.parametrize("wrong", [3, "name", [double]])
    @pytest.mark.parametrize(
        ("make", "option", "name"),
        [
            (loop, "exit_condition", "l"),
            (loop, "initial_input_mapper", "l"),
            (loop, "iteration_input_mapper", "l"),
            (loop, "loop_output_mapper", "l"),
            (conditional, "branch_input_mapper", "c"),
            (conditional, "branch_output_mapper", "c"),
            (refinement, "feedback_mapper", "r"),
        ],
    )
    def test_what_cannot_be_called_is_refused(
        self, make: Callable[..., AnyStep], option: str, name: str, wrong: Any
    ) -> None:
        with pytest.raises(StepDefinitionError, match=f"Step '{name}': {option} is a function, got"):
            make(**{option: wrong})

    def test_a_condition_is_needed(self) -> None:
        with pytest.raises(TypeError, match="exit_condition"):
            LoopStep("l", leaf())  # type: ignore[call-arg]
        with pytest.raises(StepDefinitionError, match="Step 'l': exit_condition is a function, got None"):
            loop(exit_condition=None)
        with pytest.raises(StepDefinitionError, match="Step 'c': condition is a function, got None"):
            ConditionalStep("c", cast("Any", None), {"a": leaf()})

    @pytest.mark.parametrize("wrong", [None, double, "double", [leaf()]])
    def test_what_is_no_step_is_refused_with_what_to_do(self, wrong: Any) -> None:
        with pytest.raises(StepDefinitionError, match=r"Step 'l': body: .* is no step; wrap a function with @step"):
            LoopStep("l", wrong, exit_condition=never)
        with pytest.raises(StepDefinitionError, match=r"Step 'r': generator: .* is no step"):
            refine_until("r", wrong, leaf())
        with pytest.raises(StepDefinitionError, match=r"Step 'r': critic: .* is no step"):
            refine_until("r", leaf(), wrong)
        with pytest.raises(StepDefinitionError, match=r"Step 'c': branch 'a' is no step but .*wrap a function"):
            conditional({"a": wrong})

    @pytest.mark.parametrize("wrong", [double, "double", [leaf()]])
    def test_a_default_or_a_fallback_that_is_no_step_is_refused(self, wrong: Any) -> None:
        with pytest.raises(StepDefinitionError, match=r"Step 'c': default_branch: .* is no step"):
            conditional(default_branch=wrong)
        with pytest.raises(StepDefinitionError, match=r"Step 'double': fallback: .* is no step"):
            leaf().with_fallback(wrong)
        with pytest.raises(StepDefinitionError, match=r"Step 'l': fallback: .* is no step"):
            loop(fallback=wrong)

    @pytest.mark.parametrize("branches", [[leaf()], leaf(), "ab", 3])
    def test_branches_that_are_no_dict_are_refused(self, branches: Any) -> None:
        with pytest.raises(StepDefinitionError, match="Step 'c': branches is a dict of name and step, got"):
            conditional(branches)

    def test_a_conditional_without_branches_is_refused(self) -> None:
        with pytest.raises(StepDefinitionError, match="Step 'c': branches is empty"):
            conditional({})

    def test_branches_that_paths_could_not_tell_apart_are_refused(self) -> None:
        with pytest.raises(StepDefinitionError, match="Step 'c': two branches are called '1'"):
            conditional({1: leaf(), "1": leaf()})
        with pytest.raises(StepDefinitionError, match=r"Step 'c': .*'default'"):
            conditional({"default": leaf("a")}, default_branch=leaf("b"))

    def test_a_branch_may_be_called_default_where_there_is_no_other_default(self) -> None:
        assert [name for name, _ in conditional({"default": leaf("a")}).children] == ["default"]

    @pytest.mark.parametrize("name", ["a/b", "a[1]", "a#2", "", " ", "a\nb"])
    def test_branch_names_that_paths_cannot_hold_are_refused(self, name: str) -> None:
        with pytest.raises(StepDefinitionError, match="Step 'c': the branch name"):
            conditional({name: leaf()})

    @pytest.mark.parametrize("wrong", ["ignore", None, True])
    def test_another_meaning_of_max_loops_is_refused(self, wrong: Any) -> None:
        with pytest.raises(StepDefinitionError, match="Step 'l': on_max_loops is 'fail' or 'succeed', got"):
            loop(on_max_loops=wrong)

    @pytest.mark.parametrize("wrong", [1, {"total_cost_usd_limit": 1}, "1"])
    def test_limits_that_are_none_are_refused(self, wrong: Any) -> None:
        with pytest.raises(StepDefinitionError, match="Step 'l': usage_limits is a UsageLimits, got"):
            loop(usage_limits=wrong)
        with pytest.raises(StepDefinitionError, match="Step 'a': usage_limits is a UsageLimits, got"):
            Step("a", double, usage_limits=wrong)

    @pytest.mark.parametrize("make", [loop, conditional, refinement])
    def test_an_unknown_keyword_is_refused_by_name(self, make: Callable[..., AnyStep]) -> None:
        with pytest.raises(TypeError, match="unexpected keyword argument 'max_loop'"):
            make(max_loop=3)

    @pytest.mark.parametrize("make", [loop, conditional, refinement])
    def test_a_timeout_that_is_no_time_is_refused(self, make: Callable[..., AnyStep]) -> None:
        with pytest.raises(StepDefinitionError, match="timeout is a number of seconds above 0"):
            make(timeout=-1)


class TestIdentity:
    @pytest.mark.parametrize("make", [loop, conditional, refinement])
    def test_they_are_frozen(self, make: Callable[..., AnyStep]) -> None:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            make().name = "other"  # type: ignore[misc]

    @pytest.mark.parametrize("make", [loop, conditional, refinement])
    def test_equal_parts_make_equal_steps(self, make: Callable[..., AnyStep]) -> None:
        assert make() == make()
        assert make() != make(timeout=1)
        assert make() != make(fallback=leaf())
        assert len({make(), make()}) == 1

    def test_a_conditional_does_not_change_with_the_dict_it_was_made_of(self) -> None:
        branches: dict[str, AnyStep] = {"a": leaf()}
        step = conditional(branches)
        branches["late"] = leaf()
        assert list(step.branches) == ["a"]
        with pytest.raises(TypeError):
            cast("Any", step.branches)["late"] = leaf()

    def test_a_composite_is_not_tried_again_unless_it_says_so(self) -> None:
        assert [each.retry.max_attempts for each in (loop(), conditional(), refinement(), leaf())] == [1, 1, 1, 2]

    def test_a_refinement_check_needs_no_feedback(self) -> None:
        assert RefinementCheck(is_complete=True).feedback is None


class TestChecking:
    @pytest.mark.parametrize(
        ("step", "path"),
        [
            (loop(EMPTY), "empty"),
            (loop(loop(EMPTY)), "l/empty"),
            (conditional({"x": EMPTY}), "x"),
            (conditional({"x": leaf()}, default_branch=EMPTY), "default"),
            (refine_until("r", EMPTY, leaf()), "round/empty"),
            (refine_until("r", leaf(), EMPTY), "round/empty"),
            (leaf().with_fallback(EMPTY), "empty"),
            (leaf().with_fallback(leaf("b").with_fallback(EMPTY)), "b/empty"),
            (conditional({"x": leaf().with_fallback(EMPTY)}), "x/empty"),
        ],
    )
    async def test_what_is_wrong_inside_is_found_with_its_path(self, step: AnyStep, path: str) -> None:
        problem = "a pipeline needs at least one step"
        assert step.check() == (Problem(path, problem),)
        outer = Pipeline[Any, Any, Any]("p", [step])
        assert outer.check() == (Problem(f"{step.name}/{path}", problem),)
        async with open_system() as system:
            with pytest.raises(InvalidPipelineError, match="a pipeline needs at least one step"):
                await system.run(outer, 1)

    def test_annotations_are_compared_through_composites(self) -> None:
        (problem,) = (loop() >> Step("shout", shout)).check()
        assert "'l' gives int, and 'shout' after it takes str" in problem.message
        assert (loop(loop_output_mapper=never) >> Step("shout", shout)).check() == ()
        (problem,) = (Step("shout", shout) >> loop()).check()
        assert "'shout' gives str, and 'l' after it takes int" in problem.message
        assert (Step("shout", shout) >> loop(initial_input_mapper=never)).check() == ()

    async def test_the_context_that_a_fallback_wants_is_looked_for(self) -> None:
        async def wants(data: int, *, context: dict[str, int]) -> int:
            return data

        async with open_system() as system:
            with pytest.raises(InvalidPipelineError, match="declares `context`, and the run has none"):
                await system.run(loop(leaf().with_fallback(Step("wants", wants))), 1)

    def test_walking_meets_parents_first_and_fallbacks_last(self) -> None:
        step = loop(
            Pipeline[Any, Any, Any]("body", [leaf("a").with_fallback(leaf("b")), leaf("c")]), fallback=leaf("d")
        )
        assert [path for path, _ in step.walk()] == ["", "body", "body/a", "body/a/b", "body/c", "d"]


class TestFallback:
    def test_it_leaves_the_step_as_it_was(self) -> None:
        step = leaf()
        assert step.with_fallback(leaf("b")).fallback == leaf("b")
        assert step.fallback is None

    def test_the_step_keeps_its_class_and_types(self) -> None:
        assert_type(leaf().with_fallback(leaf("b")), Step[int, int, object])
        assert_type((leaf() >> leaf()).with_fallback(leaf()), Pipeline[int, int, object])
        assert type(loop().with_fallback(leaf())) is LoopStep

    def test_a_pipeline_with_one_stays_a_unit_in_a_longer_chain(self) -> None:
        tuned = (leaf("a") >> leaf("b")).with_fallback(leaf("c"))
        assert (tuned >> leaf("d")).steps == (tuned, leaf("d"))

    def test_a_pipeline_with_limits_stays_a_unit_in_a_longer_chain(self) -> None:
        tuned = attrs.evolve(leaf("a") >> leaf("b"), usage_limits=UsageLimits(total_tokens_limit=3))
        assert (tuned >> leaf("d")).steps == (tuned, leaf("d"))


def with_fallback(step: AnyStep, fallback: AnyStep) -> AnyStep:
    return step.with_fallback(fallback)


composites: st.SearchStrategy[AnyStep] = st.recursive(
    st.sampled_from("abc").map(leaf),
    lambda inner: st.one_of(
        inner.map(loop),
        st.builds(refine_until, st.just("r"), inner, inner),
        st.dictionaries(st.integers(0, 3), inner, min_size=1, max_size=3).map(conditional),
        st.dictionaries(st.sampled_from("xyz"), inner, min_size=1, max_size=3).map(parallel),
        st.builds(router, inner, st.dictionaries(st.sampled_from("xyz"), inner, min_size=1, max_size=3)),
        st.builds(MapStep[Any, Any, Any], st.just("m"), inner, over=st.just("items")),
        st.builds(CacheStep[Any, Any, Any], st.just("h"), inner),
        st.builds(with_fallback, inner, inner),
        st.lists(inner, min_size=1, max_size=3).map(lambda steps: Pipeline[Any, Any, Any]("p", steps)),
    ),
    max_leaves=8,
)


@given(composites)
def test_every_composite_checks_draws_hashes_and_walks(step: AnyStep) -> None:
    assert step.check() == ()
    assert step == attrs.evolve(step)
    assert hash(step) == hash(attrs.evolve(step))
    drawn = step.to_mermaid()
    assert drawn.startswith("flowchart TD\n")
    assert drawn.count("subgraph") == drawn.count("end\n")
    assert sum(1 for _ in step.walk()) >= 1 + len(step.children)


@example(Pipeline[Any, Any, Any]("p", [leaf("a"), leaf("a")], fallback=leaf("a")))
@example(loop(leaf("a"), fallback=leaf("a")))
@given(composites)
def test_a_path_is_a_step_s_own(step: AnyStep) -> None:
    paths = [path for path, _ in step.walk()]
    assert len(set(paths)) == len(paths)


def test_branches_are_drawn_beside_each_other_and_a_fallback_with_a_dotted_arrow() -> None:
    first, second = Step("first", lambda data: data), Step("second", lambda data: data)
    drawn = (first.with_fallback(second) >> ParallelStep("fan", {"left": first, "right": second})).to_mermaid()
    assert (
        drawn
        == """\
flowchart TD
    subgraph s0["pipeline"]
        s1["first"]
        s2["second"]
        s1 -. fallback .-> s2
        subgraph s3["fan"]
            s4["left"]
            s5["right"]
        end
        s1 --> s3
    end
"""
    )
