"""A leaf with processors, plugins and validators: their order, what each failure says, and what is kept and retried."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pydantic
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    FailureDomain,
    ParallelStep,
    Pipeline,
    PluginOutcome,
    RetryPolicy,
    Step,
    StepResult,
    UsageMeter,
    ValidationResult,
    open_system,
)

ONCE = RetryPolicy(max_attempts=1)
GOOD = PluginOutcome(success=True)


def on(*domains: FailureDomain, max_attempts: int = 3) -> RetryPolicy:
    return RetryPolicy(max_attempts=max_attempts, on=frozenset(domains))


async def run(step: AnyStep, data: Any = None, **options: Any) -> Any:
    async with open_system(random_seed=1) as system:
        return await system.run(step, data, **options)


async def run_leaf(agent: Callable[..., Any], data: Any = "in", **options: Any) -> StepResult:
    result: Any = await run(Step[Any, Any, Any]("a", agent, **options), data)
    step: StepResult = result.step_history[0]
    return step


def same(data: Any) -> Any:
    return data


def boom(*_: Any) -> Any:
    raise ValueError("boom")


class Says:
    """A plugin or validator that always says the same, and counts how often."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[Any] = []

    async def validate(self, output: Any) -> Any:
        self.asked.append(output)
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)


class Tone(Says):
    """A name to be found in failures."""


def no(text: str | None = "bad") -> PluginOutcome:
    return PluginOutcome(success=False, feedback=text)


def invalid(text: str | None = "bad") -> ValidationResult:
    return ValidationResult(is_valid=False, feedback=text)


def redirecting_to(agent: Any) -> Any:
    return Says(PluginOutcome(success=False, redirect_to=agent))


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("not to be shown")


class Undecided:
    def __bool__(self) -> bool:
        raise RuntimeError("neither true nor false")


def failure_of(result: StepResult) -> Any:
    assert not result.success
    return result.failure


class TestOrder:
    async def test_each_phase_sees_what_the_one_before_made(self) -> None:
        seen: list[tuple[str, Any]] = []

        def note(phase: str, answer: Any = None) -> Callable[[Any], Any]:
            def helper(value: Any) -> Any:
                seen.append((phase, value))
                return f"{value}>{phase}" if answer is None else answer

            return helper

        result = await run_leaf(
            note("agent"),
            prompt_processors=[note("prompt 1"), note("prompt 2")],
            output_processors=[note("output 1"), note("output 2")],
            plugins=[note("plugin", GOOD)],
            validators=[note("validator", ValidationResult(is_valid=True))],
        )
        assert [phase for phase, _ in seen] == [
            *("prompt 1", "prompt 2", "agent", "output 1", "output 2", "plugin", "validator")
        ]
        assert result.output == "in>prompt 1>prompt 2>agent>output 1>output 2"
        assert seen[-1][1] == seen[-2][1] == result.output

    async def test_helpers_are_objects_or_callables_async_or_not(self) -> None:
        class Processor:
            async def process(self, value: int) -> int:
                return value + 1

        async def plus_ten(value: int) -> int:
            return value + 10

        result = await run_leaf(
            same,
            0,
            prompt_processors=[Processor(), plus_ten],
            output_processors=[plus_ten, Processor()],
            plugins=[Says(GOOD), lambda output: GOOD],
            validators=[Says(ValidationResult(is_valid=True)), lambda output: True],
        )
        assert result.output == 22

    async def test_helpers_get_context_resources_and_usage_where_they_declare_them(self) -> None:
        def processor(value: Any, *, context: dict[str, Any], resources: str, usage: UsageMeter) -> Any:
            context["seen"].append(resources)
            usage.charge(cost_usd=0.25)
            return value

        class Helper:
            async def validate(self, output: Any, *, context: dict[str, Any], resources: str) -> Any:
                context["seen"].append(resources)
                return GOOD if len(context["seen"]) == 3 else ValidationResult(is_valid=True)

        step = Step[Any, Any, Any](
            "a",
            same,
            prompt_processors=[processor],
            output_processors=[processor],
            plugins=[Helper()],
            validators=[Helper()],
        )
        result = await run(step, "in", context={"seen": []}, resources="r")
        assert result.success
        assert result.context == {"seen": ["r"] * 4}
        assert result.total_cost_usd == 0.5

    @given(st.lists(st.integers(-3, 3)))
    def test_plugins_are_asked_by_descending_priority_and_in_given_order_within_one(
        self, priorities: list[int]
    ) -> None:
        asked: list[tuple[int, int]] = []

        def plugin(index: int, priority: int) -> tuple[Callable[[Any], PluginOutcome], int]:
            def ask(output: Any) -> PluginOutcome:
                asked.append((priority, index))
                return GOOD

            return ask, priority

        plugins = [plugin(index, priority) for index, priority in enumerate(priorities)]
        trio.run(lambda: run_leaf(same, plugins=plugins))
        assert asked == sorted(asked, key=lambda each: (-each[0], each[1]))
        assert len(asked) == len(priorities)

    async def test_a_plugin_alone_has_priority_zero(self) -> None:
        asked: list[str] = []

        def plugin(name: str) -> Callable[[Any], PluginOutcome]:
            def ask(output: Any) -> PluginOutcome:
                asked.append(name)
                return GOOD

            return ask

        await run_leaf(same, plugins=[(plugin("low"), -1), plugin("alone"), (plugin("high"), 1)])
        assert asked == ["high", "alone", "low"]

    async def test_nothing_runs_after_the_phase_that_failed(self) -> None:
        later = Says(True)
        for options in (
            {"prompt_processors": [boom]},
            {"output_processors": [boom]},
            {"plugins": [Says(no())]},
        ):
            await run_leaf(same, validators=[later], retry=ONCE, **options)
        assert later.asked == []


@pytest.mark.parametrize(
    ("options", "domain", "feedback", "phase", "output", "tries"),
    [
        ({"prompt_processors": [boom]}, "PROCESSOR", "Processor failed: boom", "prompt processor 'boom'", None, 0),
        ({"output_processors": [boom]}, "PROCESSOR", "Processor failed: boom", "output processor 'boom'", None, 1),
        (
            {"plugins": [Tone(no())]},
            *("PLUGIN", "Plugin validation failed after max retries: bad", "plugin 'Tone'", "out", 1),
        ),
        (
            {"plugins": [boom]},
            *("PLUGIN", "Plugin validation failed after max retries: boom", "plugin 'boom'", "out", 1),
        ),
        (
            {"validators": [Tone(invalid())]},
            *("VALIDATOR", "Validation failed after max retries: bad", "validator 'Tone'", "out", 1),
        ),
        (
            {"validators": [boom]},
            *("VALIDATOR", "Validation failed after max retries: boom", "validator 'boom'", "out", 1),
        ),
    ],
)
async def test_what_each_phase_s_failure_says_and_keeps_and_that_it_is_not_retried_by_default(
    *, options: dict[str, Any], domain: str, feedback: str, phase: str, output: Any, tries: int
) -> None:
    called: list[Any] = []

    def agent(data: Any) -> str:
        called.append(data)
        return "out"

    result = await run_leaf(agent, **options)
    failure = failure_of(result)
    assert (failure.domain.name, failure.feedback, failure.phase, failure.step) == (domain, feedback, phase, "a")
    assert (result.feedback, result.output, result.attempts) == (feedback, output, 1)
    assert len(called) == tries
    assert failure.exception_type == ("ValueError" if feedback.endswith("boom") else None)


class TestAgentAndTime:
    async def test_the_agent_s_failure_is_retried_and_keeps_no_output(self) -> None:
        result = await run_leaf(boom, validators=[Says(True)])
        assert (result.feedback, result.output, result.attempts) == (
            "Agent execution failed with ValueError: boom",
            None,
            2,
        )

    async def test_a_step_s_time_bounds_its_helpers_too(self, autojump_clock: MockClock) -> None:
        async def slow(output: Any) -> bool:
            await trio.sleep(60)
            return True

        result = await run_leaf(same, validators=[slow], timeout=2, retry=ONCE)
        assert (result.feedback, result.output) == ("Timed out after 2.0 s", None)
        assert failure_of(result).domain is FailureDomain.TIMEOUT

    async def test_an_output_s_cost_counts_once_also_when_a_processor_copies_it(self) -> None:
        @attrs.frozen
        class Answer:
            text: str
            cost_usd: float
            token_counts: int

        def upper(answer: Answer) -> Answer:
            return attrs.evolve(answer, text=answer.text.upper())

        step = Step[Any, Any, Any]("a", lambda data: Answer("x", 0.5, 7), output_processors=[upper])
        result = await run(step >> Step("b", same) >> Step("c", same, prompt_processors=[upper]))
        assert result.output == Answer("X", 0.5, 7)
        assert (result.total_cost_usd, result.total_tokens) == (0.5, 7)


class TestRetries:
    async def test_processors_are_retried_when_the_policy_says_so(self) -> None:
        calls: list[int] = []

        def flaky(value: Any) -> Any:
            calls.append(1)
            return boom() if len(calls) < 3 else value

        result = await run_leaf(same, prompt_processors=[flaky], retry=on(FailureDomain.PROCESSOR))
        assert (result.success, result.attempts) == (True, 3)

    async def test_plugins_are_retried_when_the_policy_says_so(self) -> None:
        plugin = Says(no("one"), no("two"), GOOD)
        result = await run_leaf(same, plugins=[plugin], retry=on(FailureDomain.PLUGIN))
        assert (result.success, result.attempts, result.feedback) == (True, 3, None)

    async def test_after_the_last_try_it_is_the_last_plugin_s_reason(self) -> None:
        plugin = Says(no("one"), no("two"))
        result = await run_leaf(same, plugins=[plugin], retry=on(FailureDomain.PLUGIN, max_attempts=2))
        assert (result.feedback, result.attempts) == ("Plugin validation failed after max retries: two", 2)
        assert failure_of(result).attempt == 2

    async def test_the_agent_is_called_again_by_a_retry(self) -> None:
        called: list[Any] = []
        plugin = Says(no(), GOOD)
        await run_leaf(called.append, plugins=[plugin], retry=on(FailureDomain.PLUGIN))
        assert len(called) == 2

    async def test_what_the_plugin_said_reaches_the_next_try_at_the_end_of_a_text(self) -> None:
        called: list[Any] = []
        await run_leaf(called.append, plugins=[Says(no("shorter"), GOOD)], retry=on(FailureDomain.PLUGIN))
        assert called == ["in", "in\nshorter"]

    async def test_what_the_plugin_said_reaches_the_next_try_as_an_entry_of_a_dict(self) -> None:
        called: list[Any] = []
        given = {"text": "in"}
        await run_leaf(called.append, data=given, plugins=[Says(no("shorter"), GOOD)], retry=on(FailureDomain.PLUGIN))
        assert called == [{"text": "in"}, {"text": "in", "feedback": "shorter"}]
        assert given == {"text": "in"}

    async def test_an_agent_that_declares_feedback_gets_it_there_and_its_input_as_it_was(self) -> None:
        called: list[Any] = []

        def agent(data: str, *, feedback: str | None) -> None:
            called.append((data, feedback))

        await run_leaf(agent, plugins=[Says(no("one"), no("two"), GOOD)], retry=on(FailureDomain.PLUGIN))
        assert called == [("in", None), ("in", "one"), ("in", "two")]

    async def test_an_input_that_has_no_place_for_feedback_stays_as_it_is(self) -> None:
        called: list[Any] = []
        await run_leaf(called.append, data=1, plugins=[Says(no(), GOOD)], retry=on(FailureDomain.PLUGIN))
        assert called == [1, 1]

    async def test_feedback_is_given_after_the_prompt_processors(self) -> None:
        called: list[Any] = []
        plugin = Says(no("shorter"), GOOD)
        await run_leaf(called.append, prompt_processors=[str.upper], plugins=[plugin], retry=on(FailureDomain.PLUGIN))
        assert called == ["IN", "IN\nshorter"]

    async def test_feedback_stays_known_when_the_try_after_it_fails_otherwise(self) -> None:
        tries: Iterator[Callable[..., Any]] = iter([lambda: "ok", boom, lambda: "ok"])
        called: list[Any] = []

        def agent(data: str) -> Any:
            called.append(data)
            return next(tries)()

        both = on(FailureDomain.PLUGIN, FailureDomain.AGENT)
        await run_leaf(agent, plugins=[Says(no("shorter"), GOOD)], retry=both)
        assert called == ["in", "in\nshorter", "in\nshorter"]

    async def test_after_a_plugin_s_no_and_an_agent_s_error_the_chain_has_both(self) -> None:
        tries: Iterator[Callable[..., Any]] = iter([lambda: "ok", boom])
        both = on(FailureDomain.PLUGIN, FailureDomain.AGENT, max_attempts=2)
        result = await run_leaf(lambda data: next(tries)(), plugins=[Says(no("shorter"))], retry=both)
        failure = failure_of(result)
        assert result.feedback == "Agent execution failed with ValueError: boom"
        assert failure.cause is not None
        assert (failure.cause.domain, failure.cause.attempt) == (FailureDomain.PLUGIN, 1)
        assert str(failure) == (
            "a: Agent execution failed with ValueError: boom (attempt 2), "
            "after a: Plugin validation failed after max retries: shorter (plugin 'Says')"
        )

    @pytest.mark.parametrize("alone", [True, False])
    async def test_a_step_that_is_stopped_tells_how_the_tries_before_failed(
        self, autojump_clock: MockClock, alone: bool
    ) -> None:
        tries = iter([0.0, trio.current_time() + 100])

        async def agent(data: Any) -> Any:
            await trio.sleep(next(tries))

        step = Step[Any, Any, Any]("a", agent, plugins=[Says(no("shorter"))], retry=on(FailureDomain.PLUGIN))
        async with open_system() as system:
            handle = await system.start(step if alone else ParallelStep[Any, Any, Any]("p", {"a": step}), "in")
            await trio.sleep(1)
            handle.cancel("a" if alone else "p/a", reason="enough")
            result = await handle.wait()
        failure = (result if alone else result.step_history[0].step_history[0]).failure
        assert failure is not None
        assert failure.feedback == "Cancelled: enough"
        assert failure.cause is not None
        assert (failure.cause.domain, failure.cause.message) == (FailureDomain.PLUGIN, "shorter")

    async def test_tries_that_failed_in_one_domain_make_no_chain(self) -> None:
        result = await run_leaf(boom, retry=on(FailureDomain.AGENT))
        assert (result.attempts, failure_of(result).cause) == (3, None)

    async def test_of_each_other_domain_the_chain_has_the_last_failure(self) -> None:
        tries: Iterator[Callable[..., Any]] = iter([lambda: "ok", boom, lambda: "ok", boom])
        both = on(FailureDomain.PLUGIN, FailureDomain.AGENT, max_attempts=4)
        plugin = Says(no("one"), no("two"))
        failure = failure_of(await run_leaf(lambda data: next(tries)(), plugins=[plugin], retry=both))
        assert failure.cause is not None
        assert (failure.cause.message, failure.cause.cause) == ("two", None)

    async def test_a_validator_s_failure_is_never_tried_again(self) -> None:
        called: list[Any] = []
        everything = on(FailureDomain.AGENT, FailureDomain.TIMEOUT, FailureDomain.PLUGIN, FailureDomain.PROCESSOR)
        result = await run_leaf(called.append, validators=[boom, Says(False)], retry=everything)
        assert result.attempts == len(called) == 1

    async def test_a_validator_s_failure_is_followed_by_the_fallback_at_once(self) -> None:
        called: list[Any] = []
        result = await run_leaf(
            called.append, validators=[Says(invalid())], fallback=Step("instead", lambda data: "fallback")
        )
        assert called == ["in"]
        assert result.output == "fallback"
        assert result.metadata["original_error"] == "Validation failed after max retries: bad"

    async def test_a_retry_gets_a_fresh_context(self) -> None:
        def agent(data: Any, *, context: dict[str, int]) -> None:
            context["n"] += 1

        step = Step[Any, Any, Any]("a", agent, plugins=[Says(no(), no(), GOOD)], retry=on(FailureDomain.PLUGIN))
        assert (await run(step, context={"n": 0})).context == {"n": 1}

    async def test_a_step_that_fails_in_any_phase_leaves_no_writes(self) -> None:
        def agent(data: Any, *, context: dict[str, int]) -> None:
            context["n"] += 1

        for options in ({"output_processors": [boom]}, {"plugins": [boom]}, {"validators": [boom]}):
            step: Any = Step
            result = await run(step("a", agent, **options), context={"n": 0})
            assert not result.success
            assert result.context == {"n": 0}


class TestValidators:
    async def test_all_that_fail_are_reported(self) -> None:
        def short(output: str) -> ValidationResult:
            return invalid("too short")

        result = await run_leaf(same, validators=[short, Says(True), Tone(invalid("rude")), boom])
        assert result.feedback == "Validation failed after max retries: too short; rude; boom"
        failure = failure_of(result)
        assert failure.phase == "validator 'short', validator 'Tone', validator 'boom'"
        each = (failure.cause, *failure.others)
        assert [one.message for one in each] == ["too short", "rude", "boom"]
        assert [one.phase for one in each] == ["validator 'short'", "validator 'Tone'", "validator 'boom'"]
        assert result.output == "in"

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (False, "no reason given"),
            (invalid(None), "no reason given"),
            (None, "it must return a ValidationResult or a bool, got None"),
            ("yes", "it must return a ValidationResult or a bool, got 'yes'"),
            (1, "it must return a ValidationResult or a bool, got 1"),
        ],
    )
    async def test_whatever_is_no_yes_is_a_no(self, answer: Any, reason: str) -> None:
        result = await run_leaf(same, validators=[Says(answer)])
        assert result.feedback == f"Validation failed after max retries: {reason}"

    async def test_an_answer_that_cannot_be_shown_is_named_by_its_class(self) -> None:
        for helpers in ({"validators": [Says(Unprintable())]}, {"plugins": [redirecting_to(Unprintable())]}):
            assert "Unprintable" in failure_of(await run_leaf(same, **helpers)).feedback

    async def test_a_reason_that_is_no_text_is_told_as_text(self) -> None:
        reasons: Any = ["too short", "too plain"]
        result = await run_leaf(same, validators=[lambda output: ValidationResult(is_valid=False, feedback=reasons)])
        assert result.feedback == "Validation failed after max retries: ['too short', 'too plain']"
        result = await run_leaf(same, plugins=[lambda output: PluginOutcome(success=False, feedback=reasons)])
        assert result.feedback == "Plugin validation failed after max retries: ['too short', 'too plain']"

    async def test_an_answer_that_is_neither_yes_nor_no_is_the_failure_of_who_gave_it(self) -> None:
        undecided: Any = Undecided()
        for helpers, domain in (
            ({"validators": [lambda output: ValidationResult(is_valid=undecided)]}, FailureDomain.VALIDATOR),
            ({"plugins": [lambda output: PluginOutcome(success=undecided)]}, FailureDomain.PLUGIN),
        ):
            failure = failure_of(await run_leaf(same, **helpers))
            assert failure.domain is domain
            assert failure.feedback.endswith("failed after max retries: neither true nor false")

    async def test_they_see_the_plugins_new_solution(self) -> None:
        validator = Says(True)
        await run_leaf(same, plugins=[Says(PluginOutcome(success=True, new_solution="new"))], validators=[validator])
        assert validator.asked == ["new"]


class TestPlugins:
    @pytest.mark.parametrize("solution", [None, 0, "", [], {"a": 1}, False, "text", ValueError("a value")])
    async def test_a_new_solution_of_any_type_takes_the_output_s_place(self, solution: Any) -> None:
        later = Says(GOOD)
        plugins = [(Says(PluginOutcome(success=True, new_solution=solution)), 1), later]
        result = await run_leaf(same, plugins=plugins)
        assert result.success
        assert result.output is solution
        assert later.asked == [solution]

    async def test_without_a_new_solution_the_output_stays(self) -> None:
        assert (await run_leaf(same, plugins=[Says(GOOD)])).output == "in"

    @pytest.mark.parametrize(
        ("answer", "reason"),
        [
            (no(None), "no reason given"),
            (None, "it must return a PluginOutcome, got NoneType"),
            (True, "it must return a PluginOutcome, got bool"),
            (ValidationResult(is_valid=True), "it must return a PluginOutcome, got ValidationResult"),
        ],
    )
    async def test_what_is_no_outcome_is_a_failure_that_says_so(self, answer: Any, reason: str) -> None:
        result = await run_leaf(same, plugins=[Says(answer)])
        assert result.feedback == f"Plugin validation failed after max retries: {reason}"
        assert result.output == "in"

    async def test_the_first_that_says_no_is_the_last_asked(self) -> None:
        later = Says(GOOD)
        await run_leaf(same, plugins=[Says(no()), later])
        assert later.asked == []

    async def test_a_redirect_runs_the_other_agent_on_the_original_input_then_all_plugins_again(self) -> None:
        given_to: list[Any] = []

        async def expert(data: Any) -> str:
            given_to.append(data)
            return "expert's"

        first, second = Says(GOOD), Says(PluginOutcome(success=False, redirect_to=expert), GOOD)
        validator = Says(True)
        result = await run_leaf(
            lambda data: "novice's", plugins=[(first, 2), (second, 1)], validators=[validator], retry=ONCE
        )
        assert result.success
        assert result.output == "expert's"
        assert given_to == ["in"]
        assert first.asked == second.asked == ["novice's", "expert's"]
        assert validator.asked == ["expert's"]
        assert result.attempts == 1

    async def test_a_redirect_s_output_goes_through_the_output_processors(self) -> None:
        plugin = Says(PluginOutcome(success=False, redirect_to=lambda data: "e"), GOOD)
        result = await run_leaf(lambda data: "n", plugins=[plugin], output_processors=[str.upper])
        assert (plugin.asked, result.output) == (["N", "E"], "E")

    async def test_a_redirect_may_go_on_to_a_third(self) -> None:
        def second(data: Any) -> str:
            return "second"

        def third(data: Any) -> str:
            return "third"

        plugin = Says(
            PluginOutcome(success=False, redirect_to=second), PluginOutcome(success=False, redirect_to=third), GOOD
        )
        assert (await run_leaf(same, plugins=[plugin])).output == "third"

    async def test_a_redirect_that_comes_round_again_is_an_error(self) -> None:
        def second(data: Any) -> str:
            return "second"

        plugin = Tone(PluginOutcome(success=False, redirect_to=second))
        result = await run_leaf(same, plugins=[plugin])
        assert result.feedback == ("Plugin validation failed after max retries: it redirects to second a second time")
        assert failure_of(result).domain is FailureDomain.PLUGIN
        assert result.output == "second"
        assert len(plugin.asked) == 2

    async def test_a_redirect_to_a_bound_method_that_comes_round_again_is_an_error(self) -> None:
        class Expert:
            calls = 0

            def answer(self, data: Any) -> str:
                self.calls += 1
                assert self.calls < 5
                return "expert's"

        expert = Expert()

        def plugin(output: Any) -> PluginOutcome:
            return PluginOutcome(success=False, redirect_to=expert.answer)

        result = await run_leaf(same, plugins=[plugin])
        assert "a second time" in str(result.feedback)
        assert expert.calls == 1

    async def test_a_redirect_to_the_step_s_own_agent_is_an_error(self) -> None:
        result = await run_leaf(same, plugins=[Says(PluginOutcome(success=False, redirect_to=same))])
        assert "it redirects to same a second time" in str(result.feedback)

    async def test_a_redirect_to_what_is_no_agent_is_an_error(self) -> None:
        result = await run_leaf(same, plugins=[Says(PluginOutcome(success=False, redirect_to=3))])
        assert str(result.feedback).startswith("Plugin validation failed after max retries: 3 is no agent")
        assert result.output == "in"

    async def test_a_redirect_whose_agent_raises_is_the_agent_s_failure(self) -> None:
        plugin = Says(PluginOutcome(success=False, redirect_to=boom))
        result = await run_leaf(same, plugins=[plugin], retry=ONCE)
        assert result.feedback == "Agent execution failed with ValueError: boom"


@attrs.define
class Account:
    name: str = ""
    age: int = 0
    score: float = 0.0
    tags: list[str] = attrs.Factory(list[str])
    limit: int | None = None

    def describe(self) -> str:
        return self.name


@dataclasses.dataclass
class Person:
    name: str
    age: int
    other: str = "ignored"


class Model(pydantic.BaseModel):
    name: str
    age: int
    other: str = "ignored"


@attrs.frozen
class Record:
    name: str
    age: int
    other: str = "ignored"


def updating(output: Any, name: str = "a", **options: Any) -> AnyStep:
    return Step[Any, Any, Any](name, lambda data: output, updates_context=True, retry=ONCE, **options)


class TestUpdatesContext:
    @pytest.mark.parametrize(
        "output",
        [{"name": "Ann", "age": 3, "other": 1, 5: 6}, Person("Ann", 3), Model(name="Ann", age=3), Record("Ann", 3)],
    )
    @pytest.mark.parametrize("context", [Account(), {"name": "", "age": 0}], ids=["attrs", "dict"])
    async def test_fields_of_the_same_names_are_written_and_others_ignored(self, output: Any, context: Any) -> None:
        result = await run(updating(output), context=context)
        assert result.success
        assert result.output == output
        assert result.context == (Account("Ann", 3) if isinstance(context, Account) else {"name": "Ann", "age": 3})

    async def test_contexts_may_be_dataclasses_and_models(self) -> None:
        assert (await run(updating({"age": 3}), context=Person("Ann", 1))).context == Person("Ann", 3)
        result = await run(updating({"age": 3}), context=Model(name="Ann", age=1))
        assert result.context == Model(name="Ann", age=3)

    @pytest.mark.parametrize("output", [None, 3, "name", ["name"], object()])
    async def test_other_outputs_write_nothing(self, output: Any) -> None:
        result = await run(updating(output), context=Account("Ann"))
        assert result.success
        assert result.context == Account("Ann")

    async def test_a_method_or_another_attribute_is_no_field(self) -> None:
        result = await run(updating({"describe": "x", "__doc__": "y"}), context=Account("Ann"))
        assert result.success
        assert result.context.describe() == "Ann"

    @pytest.mark.parametrize(
        ("output", "feedback"),
        [
            ({"age": "three"}, "field 'age' takes int, and the output has str"),
            ({"name": "Ann", "age": None}, "field 'age' takes int, and the output has NoneType"),
            ({"tags": ("a",)}, "field 'tags' takes list, and the output has tuple"),
            ({"limit": "x"}, "field 'limit' takes int | None, and the output has str"),
        ],
    )
    async def test_a_value_of_another_type_fails_the_step_and_nothing_is_written_or_kept(
        self, output: Any, feedback: str
    ) -> None:
        result = await run(updating(output), context=Account())
        step = result.step_history[0]
        assert step.failure.domain is FailureDomain.CONTEXT
        assert step.feedback == f"Context validation failed: {feedback}"
        assert step.output is None
        assert step.attempts == 1
        assert result.context == Account()

    async def test_what_fits_is_written(self) -> None:
        output = {"score": 1, "limit": None, "tags": ["a"], "age": True}
        result = await run(updating(output), context=Account(limit=5))
        assert result.success
        assert result.context == Account(age=1, score=1, tags=["a"])

    async def test_a_model_that_refuses_a_value_is_a_failure(self) -> None:
        class Strict(pydantic.BaseModel, validate_assignment=True):
            age: int = pydantic.Field(default=1, gt=0)

        result = await run(updating({"age": -1}), context=Strict())
        assert result.step_history[0].feedback.startswith("Context validation failed: ")
        assert result.context == Strict()

    async def test_a_context_that_refuses_a_value_by_any_exception_is_a_failure(self) -> None:
        def refuse(account: Any, attribute: Any, value: Any) -> Any:
            raise LookupError("no such age")

        @attrs.define
        class Strict:
            age: int = attrs.field(default=1, on_setattr=refuse)

        result = await run(updating({"age": 2}), context=Strict())
        assert result.step_history[0].feedback == "Context validation failed: no such age"
        assert result.context == Strict()

    async def test_an_output_that_cannot_be_read_is_a_failure(self) -> None:
        @attrs.define
        class Unset:
            age: int = attrs.field(init=False)

        result = await run(updating(Unset()), context=Account())
        assert result.step_history[0].failure.domain is FailureDomain.CONTEXT
        assert result.context == Account()

    async def test_a_frozen_context_is_a_failure(self) -> None:
        for context in (Record("Ann", 1), dataclasses.make_dataclass("Ice", [("age", int)], frozen=True)(1)):
            result = await run(updating({"age": 2}), context=context)
            assert result.step_history[0].failure.domain is FailureDomain.CONTEXT

    async def test_it_is_not_retried_and_the_fallback_runs(self) -> None:
        step = updating({"age": "x"}, fallback=updating({"age": 7}, "instead"))
        result = await run(step, context=Account())
        assert result.success
        assert result.context == Account(age=7)

    async def test_a_step_that_fails_updates_nothing(self) -> None:
        result = await run(updating({"age": 7}, validators=[Says(False)]), context=Account())
        assert not result.success
        assert result.context == Account()

    async def test_it_needs_no_context(self) -> None:
        assert (await run(updating({"age": 7}))).output == {"age": 7}

    async def test_the_next_step_sees_it(self) -> None:
        def look(data: Any, *, context: Account) -> int:
            return context.age

        pipeline = Pipeline[Any, Any, Any]("p", [updating({"age": 7}), Step("look", look)])
        assert (await run(pipeline, context=Account())).output == 7

    async def test_branches_update_what_is_merged(self) -> None:
        step = ParallelStep[Any, Any, Any](
            "p", {"a": updating({"name": "Ann"}), "b": updating({"age": 7}), "c": updating({"age": "x"})}
        )
        result = await run(step, context=Account())
        assert result.context == Account("Ann", 7)
        assert result.failure.domain is FailureDomain.CONTEXT

    async def test_what_a_plugin_put_in_the_output_s_place_is_written(self) -> None:
        plugin = Says(PluginOutcome(success=True, new_solution={"age": 8}))
        result = await run(updating({"age": 7}, plugins=[plugin]), context=Account())
        assert result.context == Account(age=8)

    async def test_it_is_blamed_on_the_step(self) -> None:
        result = await run(updating({"age": 7}), context=Account())
        assert result.blame("age").step == "a"


async def test_a_helper_that_is_cancelled_ends_the_step(autojump_clock: MockClock) -> None:
    async def forever(output: Any) -> None:
        await trio.sleep_forever()

    async with open_system() as system:
        handle = await system.start(Step[Any, Any, Any]("a", same, validators=[forever]), 1)
        await trio.sleep(1)
        handle.cancel(reason="enough")
        result = await handle.wait()
    assert result.step_history[0].feedback == "Cancelled: enough"
