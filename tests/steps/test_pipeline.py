"""Steps and pipelines as data: composed with `>>`, compared, frozen, checked and drawn."""

from __future__ import annotations

import math
from typing import Any, cast

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors import (
    AnyStep,
    BaseStep,
    InvalidPipelineError,
    MapStep,
    ParallelStep,
    Pipeline,
    Problem,
    RetryPolicy,
    Step,
    StepDefinitionError,
    open_system,
)
from flujo_actors.steps.pipeline import distinct_names


def to_text(data: int) -> str:
    return str(data)


def double(data: int) -> int:
    return data * 2


def leaf(name: str = "double", agent: Any = double) -> Step[int, int, object]:
    return Step(name, agent)


names = st.text(st.sampled_from("ab cé-_."), min_size=1).filter(str.strip)
leaves: st.SearchStrategy[AnyStep] = names.map(leaf)
steps: st.SearchStrategy[AnyStep] = st.recursive(
    leaves,
    lambda inner: st.builds(Pipeline[Any, Any, Any], st.just("pipeline") | names, st.lists(inner, max_size=3)),
    max_leaves=6,
)


class TestComposition:
    @given(steps, steps, steps)
    def test_it_is_associative(self, first: AnyStep, second: AnyStep, third: AnyStep) -> None:
        assert (first >> second) >> third == first >> (second >> third)

    @given(steps)
    def test_equal_steps_draw_hash_and_check_alike(self, step: AnyStep) -> None:
        copy = attrs.evolve(step) if isinstance(step, Pipeline) else leaf(step.name)
        assert step == copy
        assert hash(step) == hash(copy)
        assert step.to_mermaid() == copy.to_mermaid()
        assert step.check() == copy.check()

    def test_a_chain_is_flat(self) -> None:
        a, b, c = leaf("a"), leaf("b"), leaf("c")
        assert a >> b >> c == Pipeline("pipeline", [a, b, c])

    def test_a_named_pipeline_stays_a_unit_in_a_longer_chain(self) -> None:
        inner = (leaf("a") >> leaf("b")).named("inner")
        assert inner >> leaf("c") == Pipeline("pipeline", [inner, leaf("c")])

    def test_a_pipeline_with_options_stays_a_unit_in_a_longer_chain(self) -> None:
        tuned = attrs.evolve(leaf("a") >> leaf("b"), timeout=3.0)
        assert (tuned >> leaf("c")).steps == (tuned, leaf("c"))

    def test_only_steps_can_be_chained(self) -> None:
        with pytest.raises(TypeError, match="unsupported operand"):
            _ = leaf() >> double  # type: ignore[operator]


class TestIdentity:
    def test_steps_of_the_same_parts_are_equal_and_of_others_are_not(self) -> None:
        assert leaf() == leaf()
        assert leaf() != leaf("other")
        assert leaf() != leaf(agent=to_text)
        assert leaf() != Step("double", double, timeout=1.0)
        assert Pipeline("p", [leaf()]) != Pipeline("q", [leaf()])
        whole: AnyStep = Pipeline("p", [leaf()])
        assert whole != leaf()

    def test_steps_can_be_set_members(self) -> None:
        assert len({leaf(), leaf(), Pipeline("p", [leaf()]), Pipeline("p", [leaf()])}) == 2

    def test_steps_are_frozen(self) -> None:
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            leaf().name = "other"  # type: ignore[misc]
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            Pipeline("p", [leaf()]).steps = ()  # type: ignore[misc]

    def test_a_pipeline_does_not_change_with_the_list_it_was_made_of(self) -> None:
        parts = [leaf()]
        pipeline = Pipeline[int, int, object]("p", parts)
        parts.append(leaf("late"))
        assert pipeline.steps == (leaf(),)

    def test_evolving_a_pipeline_tells_its_new_steps_apart(self) -> None:
        pipeline = attrs.evolve(Pipeline[int, int, object]("p", [leaf()]), steps=(leaf(), leaf()))
        assert [name for name, _ in pipeline.children] == ["double", "double#2"]

    def test_the_repr_names_what_was_given(self) -> None:
        shown = repr(Pipeline("p", [leaf()], timeout=2.0))
        assert shown.startswith("Pipeline(name='p', retry=RetryPolicy(max_attempts=1,")
        assert "timeout=2.0" in shown
        assert "Step(name='double'" in shown
        assert "AgentCall" not in shown


class TestNames:
    @pytest.mark.parametrize(
        ("given", "distinct"),
        [
            ([], []),
            (["a", "b"], ["a", "b"]),
            (["a", "a", "b", "a"], ["a", "a#2", "b", "a#3"]),
        ],
    )
    def test_siblings_of_one_name_are_numbered_from_the_second_on(self, given: list[str], distinct: list[str]) -> None:
        assert list(distinct_names(given)) == distinct

    @given(st.lists(names))
    def test_siblings_have_distinct_names(self, given: list[str]) -> None:
        assert len(set(distinct_names(given))) == len(given)

    @pytest.mark.parametrize("name", ["", "  ", "a/b", "a[1]", "a]", "a#2", "a\nb", "\ud800", "a\x00"])
    def test_names_that_paths_cannot_hold_are_refused(self, name: str) -> None:
        with pytest.raises(StepDefinitionError, match="a name is a printable text"):
            leaf(name)
        with pytest.raises(StepDefinitionError, match="a name is a printable text"):
            Pipeline(name, [leaf()])

    @pytest.mark.parametrize("name", [None, 3, b"a", double])
    def test_a_name_that_is_no_text_is_refused(self, name: Any) -> None:
        with pytest.raises(StepDefinitionError, match=f"a name is a text, not a {type(name).__name__}"):
            leaf(name)


class TestDefinition:
    @pytest.mark.parametrize("seconds", [0, -1.0, math.inf, math.nan, 10**400, True, "2"])
    def test_a_timeout_that_is_no_time_is_refused(self, seconds: Any) -> None:
        with pytest.raises(StepDefinitionError, match="Step 'a': timeout is a number of seconds above 0, or None"):
            Step("a", double, timeout=seconds)

    @pytest.mark.parametrize("retry", [3, None, "twice"])
    def test_a_retry_that_is_no_policy_is_refused(self, retry: Any) -> None:
        with pytest.raises(StepDefinitionError, match=f"Step 'a': retry is a RetryPolicy, got {retry!r}"):
            Step("a", double, retry=retry)

    def test_a_function_in_a_pipeline_is_refused_with_what_to_do(self) -> None:
        with pytest.raises(StepDefinitionError, match=r"Step 'p': .* is no step; wrap a function with @step"):
            Pipeline("p", [double])  # type: ignore[list-item]

    @pytest.mark.parametrize("steps", [leaf(), None, 3])
    def test_what_is_no_collection_of_steps_is_refused_with_what_to_do(self, steps: Any) -> None:
        with pytest.raises(StepDefinitionError, match="Step 'p': steps is a list of steps, got"):
            Pipeline("p", steps)

    def test_an_unknown_keyword_is_refused_by_name(self) -> None:
        with pytest.raises(TypeError, match="unexpected keyword argument 'retries'"):
            Step("a", double, retries=3)  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="unexpected keyword argument 'retries'"):
            Pipeline("a", [leaf()], retries=3)  # type: ignore[call-arg]

    def test_a_definition_error_is_a_value_error_that_names_the_step(self) -> None:
        with pytest.raises(ValueError, match="negative") as caught:
            raise StepDefinitionError("a", "negative")
        assert isinstance(caught.value, StepDefinitionError)
        assert (caught.value.step, caught.value.problem) == ("a", "negative")


class TestCheck:
    def test_a_pipeline_that_can_run_has_no_problems(self) -> None:
        assert (leaf("a") >> leaf("b")).check() == ()

    def test_all_problems_are_listed_at_once_with_their_paths(self) -> None:
        broken = Pipeline(
            "root",
            [
                Pipeline("p", [Pipeline("empty", []), leaf("a", to_text), leaf("b")]),
                Pipeline("p", []),
                leaf("c", to_text),
                leaf("d"),
            ],
        )
        assert broken.check() == (
            Problem("", "'c' gives str, and 'd' after it takes int"),
            Problem("p", "'a' gives str, and 'b' after it takes int"),
            Problem("p/empty", "a pipeline needs at least one step"),
            Problem("p#2", "a pipeline needs at least one step"),
        )

    def test_the_ends_of_a_nested_pipeline_count(self) -> None:
        inner = Pipeline("inner", [leaf("a"), leaf("b", to_text)])
        assert Pipeline("root", [inner, leaf("c")]).check() == (
            Problem("", "'inner' gives str, and 'c' after it takes int"),
        )

    async def test_a_pipeline_with_problems_is_not_run(self) -> None:
        ran: list[int] = []
        broken = Step[Any, Any, object]("first", ran.append) >> Pipeline[Any, Any, object]("empty", [])
        async with open_system() as system:
            with pytest.raises(InvalidPipelineError) as caught:
                await system.run(broken.named("mine"), 1)
            with pytest.raises(InvalidPipelineError):
                await system.start(broken, 1)
        assert caught.value.problems == (Problem("empty", "a pipeline needs at least one step"),)
        assert str(caught.value) == "Pipeline 'mine' cannot run: empty: a pipeline needs at least one step"
        assert ran == []

    def test_a_problem_of_the_root_reads_well(self) -> None:
        assert str(Problem("", "bad")) == "the pipeline: bad"

    def test_a_deep_pipeline_is_checked_and_drawn(self) -> None:
        deep: AnyStep = leaf()
        for _ in range(100):
            deep = Pipeline("p", [deep])
        assert deep.check() == ()
        assert deep.to_mermaid().count("subgraph") == 100


async def count(data: int, *, context: dict[str, int]) -> int:
    return data + len(context)


@attrs.define
class Stats:
    total: int = 0


async def add(data: int, *, context: Stats) -> int:
    context.total += data
    return data


@pytest.mark.parametrize("given", [add, None, "pipeline", [Step("a", str.upper)]])
async def test_what_is_no_step_cannot_run_and_the_error_says_what_to_do(given: Any) -> None:
    async with open_system() as system:
        for begin in (system.run, system.start):
            with pytest.raises(InvalidPipelineError, match="it is no step; wrap a function with @step"):
                await begin(given, 1)


async def note_if_possible(number: int, *, context: Stats | None) -> int:
    if context is not None:
        context.total += number
    return number


async def note_by_default(number: int, *, context: Stats = cast("Stats", None)) -> int:  # noqa: B008 - as users do
    return await note_if_possible(number, context=context)


async def note_anything(number: int, *, context: Any = None) -> int:
    return await note_if_possible(number, context=context)


class TestContextCheck:
    async def test_a_step_that_declares_a_context_needs_a_run_with_one(self) -> None:
        pipeline: AnyStep = Pipeline("root", [Pipeline("p", [Step("add", add)])])
        async with open_system() as system:
            with pytest.raises(InvalidPipelineError) as caught:
                await system.run(pipeline, 1)
        assert caught.value.problems == (
            Problem("p/add", "its agent declares `context`, and the run has none; pass `context=`"),
        )

    async def test_a_run_with_a_context_of_another_class_is_refused(self) -> None:
        pipeline: AnyStep = Pipeline("p", [Step("add", add), Step("count", count)])
        async with open_system() as system:
            with pytest.raises(InvalidPipelineError) as caught:
                await system.run(pipeline, 1, context={"a": 1})
        assert caught.value.problems == (Problem("add", "its agent takes Stats as context, and the run has dict"),)

    @pytest.mark.parametrize("agent", [note_if_possible, note_by_default, note_anything])
    async def test_an_agent_that_says_that_it_can_do_without_a_context_runs_without_one(self, agent: Any) -> None:
        step = Step[int, int, Any]("note", agent)
        async with open_system() as system:
            assert (await system.run(step, 1)).output == 1
            stats = (await system.run(step, 1, context=Stats())).context
            assert stats.total == 1
            if agent is not note_anything:
                with pytest.raises(InvalidPipelineError, match="takes Stats as context, and the run has dict"):
                    await system.run(step, 1, context=dict[str, int]())

    @pytest.mark.parametrize(
        "options",
        [{"context_include_keys": ["total", "totl"]}, {"field_mapping": {"a": ["totl"]}}],
        ids=["included", "mapped"],
    )
    async def test_a_step_that_names_a_field_which_the_context_cannot_have_is_refused(self, options: Any) -> None:
        parallel: AnyStep = ParallelStep("parallel", {"a": Step("add", add)}, **options)
        async with open_system() as system:
            with pytest.raises(InvalidPipelineError) as caught:
                await system.run(Pipeline[Any, Any, Any]("p", [parallel]), 1, context=Stats())
            assert caught.value.problems == (
                Problem("parallel", "it names the field 'totl' of the context, and Stats has none"),
            )

    async def test_a_map_over_a_field_that_the_context_cannot_have_is_refused(self) -> None:
        over: AnyStep = MapStep("map", Step("add", add), over="numbers")
        async with open_system() as system:
            with pytest.raises(InvalidPipelineError, match="names the field 'numbers' of the context, and Stats has"):
                await system.run(over, 1, context=Stats())

    async def test_a_field_may_come_from_a_step_before_where_the_context_takes_any(self) -> None:
        def provide(_: int, *, context: Any) -> int:
            context["numbers"] = [1, 2]
            return 0

        over = Step[Any, Any, Any]("provide", provide) >> MapStep[Any, Any, Any](
            "map", Step("double", double), over="numbers"
        )
        async with open_system() as system:
            assert (await system.run(over, 1, context=dict[str, Any]())).output == [2, 4]

    async def test_a_context_of_a_class_above_the_declared_one_is_refused(self) -> None:
        @attrs.define
        class MoreStats(Stats):
            largest: int = 0

        async def note(data: int, *, context: MoreStats) -> int:
            context.largest = max(context.largest, data)
            return data

        # Annotations of a function are evaluated where it was defined: a local class is not seen there.
        note.__annotations__["context"] = MoreStats
        noting: AnyStep = Step("note", note)
        async with open_system() as system:
            with pytest.raises(InvalidPipelineError, match="takes MoreStats as context, and the run has Stats"):
                await system.run(noting, 1, context=cast("Any", Stats()))
            result = await system.run(Step[int, int, Any]("add", add), 1, context=MoreStats())
        assert result.success


DRAWN = """\
flowchart TD
    subgraph s0["#34;a#34; #38; #60;b#62;"]
        s1["fetch"]
        subgraph s2["clean"]
            s3["trim"]
            s4["trim#35;2"]
            s3 --> s4
        end
        s5["gr#37;öße_1.0"]
        s1 --> s3
        s4 --> s5
    end
"""


class TestMermaid:
    def test_a_leaf_is_a_box(self) -> None:
        assert leaf().to_mermaid() == 'flowchart TD\n    s0["double"]\n'

    def test_a_pipeline_is_a_frame_with_arrows_in_the_order_of_running(self) -> None:
        clean = Pipeline[int, int, object]("clean", [leaf("trim"), leaf("trim")])
        pipeline = Pipeline[int, int, object]('"a" & <b>', [leaf("fetch"), clean, leaf("gr%öße_1.0")])
        assert pipeline.to_mermaid() == DRAWN

    def test_an_empty_pipeline_is_a_box(self) -> None:
        assert Pipeline("p", []).to_mermaid() == 'flowchart TD\n    s0["p"]\n'

    @given(st.text(min_size=1).filter(lambda text: text.isprintable() and text.strip()))
    def test_no_name_can_end_its_quotes(self, name: str) -> None:
        printable = "".join(mark for mark in name if mark not in "/[]#") or "x"
        label = leaf(printable if printable.strip() else "x").to_mermaid().splitlines()[1]
        assert label.startswith('    s0["')
        assert label.endswith('"]')
        assert not set('"<>&[]{}|`\\') & set(label[8:-2])


def test_a_step_of_ones_own_may_list_its_children_and_problems() -> None:
    @attrs.frozen(slots=False)
    class Twice(BaseStep[int, int, object]):
        body: AnyStep

        @property
        def children(self) -> tuple[tuple[str, AnyStep], ...]:
            return (("first", self.body), ("second", self.body))

    twice = Twice("twice", Pipeline("empty", []), retry=RetryPolicy(max_attempts=3))
    assert twice.kind == "Twice"
    assert [path for path, _ in twice.walk()] == ["", "first", "second"]
    assert [problem.path for problem in twice.check()] == ["first", "second"]
