"""The conditional: which branch runs, and what its functions and its failures amount to."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    ConditionalStep,
    FailureDomain,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    SpanStatus,
    Step,
    UsageMeter,
    open_system,
)

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


class Colour(enum.Enum):
    RED = 1


async def run(step: AnyStep, data: Any = None, **options: Any) -> PipelineResult[Any, Any]:
    async with open_system() as system:
        result: PipelineResult[Any, Any] = await system.run(step, data, **options)
    return result


def branch(name: str, *, fails: bool = False, seconds: float = 0) -> AnyStep:
    async def agent(data: Any, *, context: Notes, usage: UsageMeter) -> str:
        context.lines.append(name)
        usage.charge(cost_usd=0.01)
        await trio.sleep(seconds)
        if fails:
            raise ValueError(f"{name} failed")
        return f"{name} {data}"

    return Step(name, agent, retry=ONCE)


def keyed(key: Any) -> Callable[[Any, Any], Any]:
    return lambda data, context: key


def noting(line: str, value: Any, *, kind: str) -> Callable[..., Any]:
    """A function whose last argument is the context: writes a line, and gives the value or raises it."""

    def sync(*arguments: Any) -> Any:
        *others, context = arguments
        context.lines.append(" ".join(map(str, (line, *others))))
        if isinstance(value, Exception):
            raise value
        return value

    async def asynchronous(*arguments: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return sync(*arguments)

    return sync if kind == "sync" else asynchronous


class TestChoice:
    @pytest.mark.parametrize("key", ["a", 3, None, True, Colour.RED, (1, 2)])
    async def test_the_branch_of_the_key_runs_and_no_other(self, key: Any) -> None:
        step = ConditionalStep(
            "c", keyed(key), {key: branch("mine"), "other": branch("no")}, default_branch=branch("d")
        )
        result = await run(step, 1, context=Notes())
        assert result.output == "mine 1"
        assert result.context.lines == ["mine"]
        c = result.step_history[0]
        assert c.metadata == {"executed_branch_key": key}
        assert [each.name for each in c.step_history] == ["mine"]
        assert (c.attempts, c.cost_usd, c.feedback) == (1, 0.01, None)

    async def test_the_input_chooses(self) -> None:
        step = ConditionalStep("c", lambda data, context: data % 2, {0: branch("even"), 1: branch("odd")})
        assert (await run(step, 2, context=Notes())).output == "even 2"
        assert (await run(step, 3, context=Notes())).output == "odd 3"

    async def test_the_context_chooses(self) -> None:
        step = ConditionalStep("c", lambda data, context: context.lines[0], {"x": branch("a"), "y": branch("b")})
        assert (await run(step, 1, context=Notes(["y"]))).output == "b 1"

    @pytest.mark.parametrize("key", ["none of them", None, ["unhashable"], {"un": "hashable"}])
    async def test_the_default_runs_for_every_other_key_which_is_told(self, key: Any) -> None:
        step = ConditionalStep("c", keyed(key), {"a": branch("a")}, default_branch=branch("d"))
        result = await run(step, 1, context=Notes())
        assert result.output == "d 1"
        assert result.step_history[0].metadata == {"executed_branch_key": key}
        assert [span.attributes["path"] for span in result.spans] == ["c/default", "c", ""]

    @pytest.mark.parametrize("key", ["z", None, ["unhashable"], 7])
    async def test_a_key_without_a_branch_is_a_failure_where_there_is_no_default(self, key: Any) -> None:
        result = await run(ConditionalStep("c", keyed(key), {"a": branch("a")}), 1, context=Notes())
        c = result.step_history[0]
        assert (c.success, c.output) == (False, None)
        assert c.feedback == f"No branch found for key '{key}' and no default branch provided"
        assert c.failure is not None
        assert c.failure.domain is FailureDomain.CONDITION
        assert c.step_history == ()

    async def test_a_branch_runs_all_its_steps(self) -> None:
        chain = Pipeline[Any, Any, Any]("chain", [branch("a"), branch("b")])
        result = await run(ConditionalStep("c", keyed("k"), {"k": chain}), 1, context=Notes())
        assert result.output == "b a 1"
        assert result.total_cost_usd == result.step_history[0].cost_usd == 0.02
        assert [span.attributes["path"] for span in result.spans] == ["c/k/a", "c/k/b", "c/k", "c", ""]

    async def test_the_span_of_the_branch_says_so(self) -> None:
        result = await run(ConditionalStep("c", keyed(3), {3: branch("a")}), 1, context=Notes())
        (child,) = result.trace_tree["children"][0]["children"]
        assert (child["name"], child["attributes"]["branch"]) == ("3", "3")
        origin = result.blame("lines[0]")
        assert origin is not None
        assert (origin.step, origin.branch) == ("c/3", "3")

    @settings(deadline=None, max_examples=40)
    @given(st.dictionaries(st.integers(0, 9), st.integers()), st.integers(0, 9), st.booleans())
    def test_it_is_a_lookup_with_a_default(self, outputs: dict[int, int], key: int, has_default: bool) -> None:
        def giving(output: int) -> AnyStep:
            return Step("give", lambda data: output)

        branches = {each: giving(output) for each, output in outputs.items()} or {99: giving(0)}
        default = giving(-1) if has_default else None

        async def main() -> PipelineResult[Any, Any]:
            return await run(ConditionalStep("c", lambda data, context: data, branches, default_branch=default), key)

        result = trio.run(main)
        assert result.success == (key in outputs or has_default)
        assert result.output == outputs.get(key, -1 if has_default else None)


class TestFailure:
    @pytest.mark.parametrize("key", ["a", "unknown"])
    async def test_a_branch_that_fails_fails_the_step_and_its_writes_are_out(self, key: str) -> None:
        failing = Pipeline[Any, Any, Any]("p", [branch("first"), branch("second", fails=True)])
        other = branch("b")
        step = ConditionalStep(
            "c",
            noting("ask", key, kind="sync"),
            {"a": failing, "b": other},
            default_branch=failing,
        )
        result = await run(step, 1, context=Notes())
        c = result.step_history[0]
        assert (c.success, c.output) == (False, None)
        inner = "Agent execution failed with ValueError: second failed"
        assert c.feedback == f"Failure in branch '{key}': {inner}"
        assert c.metadata == {"executed_branch_key": key}
        assert c.failure is not None
        assert c.failure.domain is FailureDomain.AGENT
        assert c.failure.cause is not None
        assert c.failure.cause.step == f"c/{'a' if key == 'a' else 'default'}/second"
        assert c.cost_usd == 0.02
        assert [each.name for each in c.step_history] == ["p"]
        assert result.context.lines == ["ask 1"]

    async def test_the_context_s_writes_of_a_failed_leaf_are_out(self) -> None:
        result = await run(ConditionalStep("c", keyed("a"), {"a": branch("a", fails=True)}), 1, context=Notes())
        assert result.context.lines == []

    async def test_nested_conditionals_nest_the_text(self) -> None:
        inner = ConditionalStep[Any, Any, Any]("inner", keyed("y"), {"y": branch("b", fails=True)})
        result = await run(ConditionalStep("outer", keyed("x"), {"x": inner}), 1, context=Notes())
        text = "Failure in branch 'x': Failure in branch 'y': Agent execution failed with ValueError: b failed"
        assert result.step_history[0].feedback == text

    async def test_a_branch_s_fallback_saves_the_step(self) -> None:
        saved = branch("a", fails=True).with_fallback(branch("b"))
        result = await run(ConditionalStep("c", keyed("k"), {"k": saved}), 1, context=Notes())
        assert (result.output, result.context.lines) == ("b 1", ["b"])

    async def test_the_step_s_own_fallback_sees_none_of_what_the_condition_wrote(self) -> None:
        step = ConditionalStep[Any, Any, Any](
            "c", noting("ask", "k", kind="sync"), {"k": branch("a", fails=True)}, fallback=branch("b")
        )
        result = await run(step, 1, context=Notes())
        assert (result.output, result.context.lines) == ("b 1", ["b"])
        assert result.step_history[0].metadata["executed_branch_key"] == "k"

    async def test_a_branch_that_is_stopped_with_the_step_is_out(self, autojump_clock: MockClock) -> None:
        slow = Pipeline[Any, Any, Any]("p", [branch("first"), branch("slow", seconds=9)])
        result = await run(ConditionalStep("c", keyed("k"), {"k": slow}, timeout=2), 1, context=Notes())
        c = result.step_history[0]
        assert c.feedback == "Timed out after 2.0 s"
        assert c.failure is not None
        assert c.failure.running == ("c/k/slow",)
        assert c.cost_usd == 0.02
        assert result.context.lines == []

    async def test_a_run_that_is_cancelled_in_a_branch(self, autojump_clock: MockClock) -> None:
        async with open_system() as system:
            step = ConditionalStep("c", keyed("k"), {"k": branch("slow", seconds=9)}, default_branch=branch("d"))
            handle = await system.start(step, 1, context=Notes())
            await trio.sleep(1)
            handle.cancel(reason="enough")
            result: PipelineResult[Any, Any] = await handle.wait()
        assert result.status is SpanStatus.CANCELLED
        assert result.step_history[0].feedback == "Cancelled: enough"
        assert {str(span.status) for span in result.spans} == {"cancelled"}


@pytest.mark.parametrize("kind", ["sync", "async"])
class TestFunctions:
    async def test_each_is_called_in_its_turn_and_what_it_writes_stays(self, kind: str) -> None:
        step = ConditionalStep(
            "c",
            noting("ask", "k", kind=kind),
            {"k": branch("a")},
            branch_input_mapper=noting("in", "input", kind=kind),
            branch_output_mapper=noting("out", "output", kind=kind),
        )
        result = await run(step, 1, context=Notes())
        assert result.output == "output"
        assert result.context.lines == ["ask 1", "in 1", "a", "out a input k"]

    @pytest.mark.parametrize(
        ("function", "text", "domain", "lines", "metadata"),
        [
            ("condition", "Error executing conditional logic: boom", FailureDomain.CONDITION, [], {}),
            (
                "branch_input_mapper",
                "Error in branch_input_mapper for ConditionalStep 'c': boom",
                FailureDomain.MAPPER,
                [],
                {"executed_branch_key": "k"},
            ),
            (
                "branch_output_mapper",
                "Error in branch_output_mapper for ConditionalStep 'c': boom",
                FailureDomain.MAPPER,
                ["a"],
                {"executed_branch_key": "k"},
            ),
        ],
    )
    async def test_one_that_raises_fails_the_step_and_its_own_writes_are_dropped(
        self, kind: str, function: str, text: str, domain: FailureDomain, lines: list[str], metadata: dict[str, Any]
    ) -> None:
        options: dict[str, Any] = {"condition": keyed("k"), function: noting("lost", ValueError("boom"), kind=kind)}
        step = ConditionalStep("c", branches={"k": branch("a")}, default_branch=branch("d"), **options)
        result = await run(step, 1, context=Notes())
        c = result.step_history[0]
        assert (c.success, c.output, c.feedback, c.metadata) == (False, None, text, metadata)
        assert c.failure is not None
        assert (c.failure.domain, c.failure.exception_type) == (domain, "ValueError")
        assert result.context.lines == lines


@pytest.mark.parametrize("wrong", ["hash", "eq", "str"])
async def test_a_key_that_cannot_be_looked_up_or_told_is_a_failure(wrong: str) -> None:
    class Key:
        def __hash__(self) -> int:
            if wrong == "hash":
                raise OSError("odd")
            return hash("a")

        def __eq__(self, other: object) -> bool:
            if wrong == "eq":
                raise OSError("odd")
            return False

        def __str__(self) -> str:
            if wrong == "str":
                raise OSError("odd")
            return "key"

        __repr__ = __str__

    result = await run(ConditionalStep("c", lambda data, context: Key(), {"a": branch("a")}), 1, context=Notes())
    assert not result.success
    assert result.step_history[0].failure is not None
    assert result.step_history[0].failure.domain is FailureDomain.CONDITION
