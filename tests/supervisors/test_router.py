"""`DynamicParallelRouterStep`: an agent chooses the branches, and what they merged is the router step's own context."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    DynamicParallelRouterStep,
    FailureDomain,
    Pipeline,
    RetryPolicy,
    Step,
    UsageMeter,
    open_system,
)

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    executed_branches: list[str] = attrs.Factory(list[str])
    branch_results: dict[str, Any] = attrs.Factory(dict[str, Any])
    chosen: str = ""
    texts: dict[str, str] = attrs.Factory(dict[str, str])


async def run(step: AnyStep, data: Any = None, **options: Any) -> Any:
    async with open_system(random_seed=1) as system:
        return await system.run(step, data, **options)


def leaf(agent: Callable[..., Any], name: str = "leaf", **options: Any) -> AnyStep:
    return Step[Any, Any, Any](name, agent, retry=ONCE, **options)


def router(choice: Any, branches: dict[str, AnyStep], **options: Any) -> AnyStep:
    return DynamicParallelRouterStep[Any, Any, Any]("route", lambda data: choice, branches, **options)


def echoes(*names: str) -> dict[str, AnyStep]:
    """Branches that give their name and the input."""
    return {name: leaf(lambda data, name=name: (name, data)) for name in names}


def reports(name: str, fails: bool = False) -> AnyStep:
    async def agent(data: Any, *, context: Notes) -> str:
        context.executed_branches.append(name)
        context.branch_results[name] = f"{name}'s"
        if fails:
            raise ValueError(name)
        return name

    return leaf(agent)


class TestTheTwoExamples:
    """Branches append their name and set their result; `OVERWRITE`, `"ignore"`."""

    def step(self, *chosen: str) -> AnyStep:
        branches = {
            "branch1": reports("branch1"),
            "branch2": reports("branch2"),
            "branch3": reports("branch3", fails=chosen == ("branch1", "branch2", "branch3")),
        }
        return router(list(chosen), branches, merge_strategy="overwrite", on_branch_failure="ignore")

    async def test_one_two_three_and_the_third_raises(self) -> None:
        result = await run(self.step("branch1", "branch2", "branch3"), context=Notes())
        assert result.success
        assert result.context.executed_branches == ["branch2"]
        assert "branch2" in result.context.branch_results
        assert "branch3" not in result.context.branch_results
        assert list(result.output) == ["branch1", "branch2", "branch3"]
        assert result.output["branch2"] == "branch2"
        assert result.output["branch3"].success is False

    async def test_one_and_three(self) -> None:
        result = await run(self.step("branch1", "branch3"), context=Notes())
        assert result.context.executed_branches == ["branch3"]
        assert result.context.branch_results == {"branch3": "branch3's"}
        [step] = result.step_history
        assert step.branch_context == result.context


class TestTheChoice:
    async def test_the_chosen_branches_run_in_the_router_s_order_on_the_input(self) -> None:
        result = await run(router(["c", "a"], echoes("a", "b", "c")), 7)
        assert list(result.output.items()) == [("c", ("c", 7)), ("a", ("a", 7))]
        [step] = result.step_history
        assert dict(step.metadata) == {
            "executed_branches": ["c", "a"],
            "succeeded_branches": ["c", "a"],
            "failed_branches": [],
            "unknown_branches": [],
        }

    async def test_unknown_names_are_ignored_and_listed(self) -> None:
        result = await run(router(["x", "a", "y"], echoes("a", "b")))
        assert result.success
        assert list(result.output) == ["a"]
        assert result.step_history[0].metadata["unknown_branches"] == ["x", "y"]

    @pytest.mark.parametrize("odd", [None, 3, ["a"], {"a": 1}, (["a"],)])
    async def test_what_is_no_name_is_unknown_too(self, odd: Any) -> None:
        result = await run(router(["a", odd], echoes("a")))
        assert result.success
        assert list(result.output) == ["a"]
        assert result.step_history[0].metadata["unknown_branches"] == [odd]

    @pytest.mark.parametrize("choice", [[], (), ["x"]])
    async def test_an_empty_choice_is_a_success_without_output(self, choice: Any) -> None:
        result = await run(router(choice, echoes("a")), context=Notes())
        assert result.success
        assert result.output == {}
        [step] = result.step_history
        assert dict(step.metadata) == {
            "executed_branches": [],
            "succeeded_branches": [],
            "failed_branches": [],
            "unknown_branches": list(choice),
        }
        assert step.branch_context == Notes()

    async def test_a_single_text_counts_as_one_name(self) -> None:
        assert (await run(router("ab", echoes("a", "b", "ab")), 7)).output == {"ab": ("ab", 7)}

    async def test_a_name_said_twice_runs_once(self) -> None:
        called: list[Any] = []
        result = await run(router(["b", "a", "b"], {"a": leaf(called.append), "b": leaf(called.append)}), 7)
        assert list(result.output) == ["b", "a"]
        assert called == [7, 7]

    @pytest.mark.parametrize(
        ("choice", "kind"), [(None, "NoneType"), (3, "int"), ({"a": 1}, "dict"), (object(), "object")]
    )
    async def test_what_is_no_list_is_a_failure_that_says_so(self, choice: Any, kind: str) -> None:
        called: list[Any] = []
        result = await run(router(choice, {"a": leaf(called.append)}))
        [step] = result.step_history
        assert step.feedback == f"Router agent must return a list of branch names, got {kind}"
        assert step.failure.step == "route"
        assert called == []

    @pytest.mark.parametrize("error", [TypeError("no"), RuntimeError("no")])
    async def test_a_name_that_raises_when_it_is_looked_up_is_unknown(self, error: Exception) -> None:
        class Odd:
            def __hash__(self) -> int:
                raise error

        odd = Odd()
        result = await run(router([odd, "a"], {"a": leaf(lambda data: 1)}))
        assert result.output == {"a": 1}
        assert result.step_history[0].metadata["unknown_branches"] == [odd]

    async def test_a_list_that_raises_when_it_is_read_is_a_failure(self) -> None:
        class Odd(list[str]):
            def __iter__(self) -> Iterator[str]:
                raise RuntimeError("no names")

        result = await run(router(Odd("a"), {"a": leaf(lambda data: 1)}))
        assert result.step_history[0].feedback == "Router agent must return a list of branch names, got Odd"

    @given(st.lists(st.sampled_from("abcxy")), st.sets(st.sampled_from("abc"), min_size=1))
    def test_every_known_name_runs_once_in_order_and_every_other_is_listed(
        self, choice: list[str], known: set[str]
    ) -> None:
        result = trio.run(run, router(choice, echoes(*sorted(known))))
        metadata = result.step_history[0].metadata
        assert list(result.output) == list(dict.fromkeys(name for name in choice if name in known))
        assert metadata["executed_branches"] == list(result.output)
        assert metadata["unknown_branches"] == [name for name in choice if name not in known]


class TestTheRouter:
    async def test_it_is_a_function_an_object_or_a_step(self) -> None:
        class Chooser:
            async def run(self, data: Any) -> list[str]:
                return [data]

        for agent in (Chooser(), lambda data: [data], leaf(lambda data: [data], "choose")):
            step = DynamicParallelRouterStep[Any, Any, Any]("route", agent, echoes("a", "b"))
            assert (await run(step, "b")).output == {"b": ("b", "b")}

    async def test_its_failure_is_the_step_s(self) -> None:
        def broken(data: Any) -> list[str]:
            raise ValueError("lost")

        step = DynamicParallelRouterStep[Any, Any, Any]("route", leaf(broken), echoes("a"))
        result = await run(step)
        [route] = result.step_history
        assert route.feedback == "Router agent failed: Agent execution failed with ValueError: lost"
        assert (route.failure.domain, route.failure.step) == (FailureDomain.AGENT, "route")
        assert route.failure.cause.step == "route/leaf"
        assert len(route.step_history) == 1

    async def test_it_is_retried_like_any_leaf(self) -> None:
        tries: list[Any] = []

        def flaky(data: Any) -> list[str]:
            tries.append(data)
            if len(tries) == 1:
                raise ValueError
            return ["a"]

        result = await run(DynamicParallelRouterStep[Any, Any, Any]("route", flaky, echoes("a")), 7)
        assert result.output == {"a": ("a", 7)}
        assert len(tries) == 2

    @pytest.mark.parametrize("branches", [["a"], [], ["bad"]])
    async def test_its_own_writes_persist_when_it_succeeds(self, branches: list[str]) -> None:
        def choose(data: Any, *, context: Notes) -> list[str]:
            context.chosen = "by the router"
            return branches

        def look(data: Any, *, context: Notes) -> str:
            return context.chosen

        def bad(data: Any) -> None:
            raise ValueError

        step = DynamicParallelRouterStep[Any, Any, Any]("route", choose, {"a": leaf(look), "bad": leaf(bad)})
        result = await run(step, context=Notes())
        assert result.context.chosen == "by the router"
        assert branches != ["a"] or result.output == {"a": "by the router"}

    async def test_its_writes_are_gone_when_it_fails(self) -> None:
        def choose(data: Any, *, context: Notes) -> list[str]:
            context.chosen = "by the router"
            raise ValueError

        step = DynamicParallelRouterStep[Any, Any, Any]("route", choose, echoes("a"))
        assert (await run(step, context=Notes())).context == Notes()


class TestTheBranches:
    async def test_what_they_merged_is_the_step_s_context_and_the_next_step_s(self) -> None:
        def write(name: str) -> AnyStep:
            def agent(data: Any, *, context: Notes) -> None:
                context.texts[name] = name

            return leaf(agent)

        def look(data: Any, *, context: Notes) -> dict[str, str]:
            return dict(context.texts)

        step = router(["a", "b"], {name: write(name) for name in "abc"})
        result = await run(Pipeline[Any, Any, Any]("p", [step, leaf(look)]), context=Notes())
        assert result.output == result.context.texts == {"a": "a", "b": "b"}
        assert result.step_history[0].branch_context == result.context
        assert result.context.executed_branches == ["a", "b"]

    async def test_a_failed_branch_fails_the_step_in_the_words_of_a_parallel_step(self) -> None:
        def bad(data: Any) -> None:
            raise ValueError("boom")

        result = await run(router(["bad", "a"], {**echoes("a"), "bad": leaf(bad)}), 7)
        [step] = result.step_history
        assert step.feedback == "branch 'bad' failed: Agent execution failed with ValueError: boom"
        assert step.failure.step == "route"
        assert step.failure.cause.step == "route/branches/bad"
        assert step.metadata["failed_branches"] == ["bad"]
        assert step.metadata["unknown_branches"] == []
        assert list(step.output) == ["bad", "a"]
        assert step.output["a"] == ("a", 7)

    async def test_a_branch_that_was_not_chosen_may_have_a_field_mapping(self) -> None:
        step = router(["a"], echoes("a", "b"), field_mapping={"b": ["texts"], "a": ["texts"]})
        assert (await run(step, 1, context=Notes())).success

    async def test_max_concurrency_bounds_them(self, autojump_clock: MockClock) -> None:
        branches = {name: leaf(trio.sleep) for name in "abc"}
        await run(router(["a", "b", "c"], branches, max_concurrency=1), 10)
        assert trio.current_time() == 30

    async def test_totals_are_the_router_s_and_the_branches(self, autojump_clock: MockClock) -> None:
        async def spend(data: Any, *, usage: UsageMeter) -> list[str]:
            await trio.sleep(1)
            usage.charge(cost_usd=0.25, prompt_tokens=3)
            return ["a", "b", "bad"]

        async def bad(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=1)
            raise ValueError

        step = DynamicParallelRouterStep[Any, Any, Any](
            "route", spend, {"a": leaf(spend), "b": leaf(spend), "bad": leaf(bad)}, on_branch_failure="ignore"
        )
        result = await run(step)
        [route] = result.step_history
        assert (route.cost_usd, route.token_counts, route.latency_s) == (1.75, 9, 2)
        assert result.total_cost_usd == 1.75
        chosen, parallel = route.step_history
        assert (chosen.name, chosen.cost_usd) == ("router", 0.25)
        assert [each.cost_usd for each in parallel.step_history] == [0.25, 0.25, 1]

    async def test_spans_nest_as_the_actors_do(self) -> None:
        result = await run(router(["a"], echoes("a", "b")))
        [route] = result.trace_tree["children"]
        assert [each["attributes"]["path"] for each in route["children"]] == ["route/router", "route/branches"]
        [branch] = route["children"][1]["children"]
        assert (branch["attributes"]["path"], branch["attributes"]["branch"]) == ("route/branches/a", "a")

    async def test_a_router_step_called_branches_is_told_apart_from_them(self) -> None:
        chooser = leaf(lambda data: ["a"], "branches")
        step = DynamicParallelRouterStep[Any, Any, Any]("route", chooser, echoes("a"))
        result = await run(step)
        paths = [span.attributes["path"] for span in result.spans]
        assert len(set(paths)) == len(paths)
        assert {"route/branches", "route/branches#2", "route/branches#2/a"} <= set(paths)
        assert [path for path, _ in step.walk() if path] == ["branches", "branches#2", "branches#2/a"]

    async def test_a_retry_of_the_step_asks_the_router_again(self) -> None:
        asked: list[Any] = []

        def choose(data: Any, *, context: Notes) -> list[str]:
            asked.append(context.chosen)
            context.chosen += "!"
            return ["bad"] if len(asked) == 1 else ["a"]

        def bad(data: Any) -> None:
            raise ValueError

        step = DynamicParallelRouterStep[Any, Any, Any](
            "route", choose, {**echoes("a"), "bad": leaf(bad)}, retry=RetryPolicy(max_attempts=2)
        )
        result = await run(step, 7, context=Notes())
        assert result.output == {"a": ("a", 7)}
        assert asked == ["", ""]
        assert result.context.chosen == "!"
