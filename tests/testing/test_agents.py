"""Scripted agents: a turn for each call, a note of each, and clear words when the script and the calls do not match."""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
import trio

from flujo_actors import (
    FailureDomain,
    LoopStep,
    ParallelStep,
    PluginOutcome,
    RetryPolicy,
    Step,
    UsageMeter,
    open_system,
    run_pipeline,
)
from flujo_actors.errors import FlujoError
from flujo_actors.events import ChunkProduced, UsageCharged
from flujo_actors.testing import (
    Chunks,
    Raise,
    RecordedCall,
    Reply,
    ReplyWith,
    ScriptedAgent,
    ScriptedStream,
    ScriptEndedError,
    in_mock_time,
    record_events,
    run_in_mock_time,
)

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


class TestTurns:
    def test_each_call_gets_the_next_turn(self) -> None:
        agent = ScriptedAgent(Reply("draft"), Reply("better"), Reply("final"))
        loop = LoopStep[Any, str, object]("write", Step("ask", agent), exit_condition=lambda text, _: text == "final")
        assert run_pipeline(loop, "topic").unwrap() == "final"
        assert agent.inputs == ["topic", "draft", "better"]
        agent.assert_finished()

    def test_a_turn_may_raise_and_the_step_is_tried_again_as_its_policy_says(self) -> None:
        agent = ScriptedAgent(Raise(OSError("busy")), Reply("yes"))
        result = run_pipeline(Step("ask", agent), "?")
        assert (result.unwrap(), result.step_history[0].attempts) == ("yes", 2)
        assert [call.attempt for call in agent.calls] == [1, 2]

    def test_the_exception_is_the_very_one_that_was_given(self) -> None:
        error = ValueError("boom")
        failure = run_pipeline(Step("ask", ScriptedAgent(Raise(error)), retry=ONCE), None).failure
        assert failure is not None
        assert failure.exception is error

    def test_a_turn_may_be_a_function_of_the_input(self) -> None:
        agent = ScriptedAgent(ReplyWith(str.upper), Reply("then this"))
        assert run_pipeline(Step("ask", agent) >> Step("ask again", agent), "loud").unwrap() == "then this"
        assert agent.inputs == ["loud", "LOUD"]

    def test_a_turn_takes_its_time_on_trio_s_clock(self) -> None:
        result = run_in_mock_time(Step("ask", ScriptedAgent(Reply("late", after=3600))), None)
        assert (result.unwrap(), result.step_history[0].latency_s) == ("late", 3600)

    def test_a_turn_that_never_answers_is_stopped_by_the_time_limit(self) -> None:
        step = Step("ask", ScriptedAgent(Reply("never", after=math.inf)), timeout=30.0, retry=ONCE)
        failure = run_in_mock_time(step, None).failure
        assert failure is not None
        assert failure.feedback == "Timed out after 30.0 s"

    def test_what_a_turn_spends_is_charged_when_the_call_begins(self) -> None:
        turns = (
            Reply("late", after=60, cost_usd=0.01, prompt_tokens=5),
            Raise(ValueError("boom"), cost_usd=0.02, completion_tokens=3),
        )
        result = run_in_mock_time(Step("ask", ScriptedAgent[Any, str](*turns), timeout=2.0), None)
        assert (result.success, result.total_cost_usd, result.total_tokens) == (False, 0.03, 8)

    @in_mock_time
    async def test_a_turn_that_spends_nothing_tells_of_no_charge(self) -> None:
        agent = ScriptedAgent(Reply("free"), Reply("dear", cost_usd=1))
        async with open_system() as system:
            run = await system.start(Step("free", agent) >> Step("dear", agent), None)
            async with record_events(run) as seen:
                await run.wait()
        assert [event.path for event in seen.of(UsageCharged)] == ["dear"]

    @pytest.mark.parametrize("seconds", [-1, math.nan, "2", True, None])
    def test_a_wait_is_a_number_of_seconds(self, seconds: Any) -> None:
        with pytest.raises(ValueError, match="after is a number of seconds, 0 or more"):
            Reply("x", after=seconds)
        with pytest.raises(ValueError, match="every is a number of seconds, 0 or more"):
            Chunks(["x"], every=seconds)

    def test_what_is_spent_is_an_amount_and_what_is_raised_an_exception(self) -> None:
        wrong: Any = ValueError
        with pytest.raises(ValueError, match="cost_usd must be 0 or more"):
            Reply("x", cost_usd=-1)
        with pytest.raises(ValueError, match="prompt_tokens must be a whole number"):
            Reply("x", prompt_tokens=-1)
        with pytest.raises(TypeError, match="error is an exception, got <class 'ValueError'>"):
            Raise(wrong)


class TestStreams:
    @in_mock_time
    async def test_chunks_come_one_by_one_at_their_pace(self) -> None:
        agent = ScriptedStream(Chunks(["Hel", "lo"], after=1.0, every=0.5))
        async with open_system() as system:
            run = await system.start(Step("say", agent), None)
            async with run.events() as events:
                times = [(e.chunk, trio.current_time()) async for e in events if isinstance(e, ChunkProduced)]
        assert times == [("Hel", 1.0), ("lo", 1.5)]
        assert (await run.wait()).unwrap() == "Hello"

    def test_it_may_break_off(self) -> None:
        agent = ScriptedStream(Chunks(["Hel"], every=2.0, error=OSError("reset")), Chunks(["Hello"]))
        result = run_in_mock_time(Step("say", agent), None)
        assert (result.unwrap(), result.step_history[0].latency_s) == ("Hello", 2.0)

    def test_it_may_raise_at_once_and_yield_nothing(self) -> None:
        agent = ScriptedStream(Raise(OSError("busy")), Chunks(list[str]()))
        assert run_pipeline(Step("say", agent), None).unwrap() == ""

    def test_cancelled_in_the_middle_it_has_spent(self) -> None:
        agent = ScriptedStream(Chunks(["a", "b"], every=60, completion_tokens=7))
        result = run_in_mock_time(Step("say", agent, timeout=5.0, retry=ONCE), None)
        assert (result.success, result.total_tokens) == (False, 7)

    def test_its_calls_are_noted_too(self) -> None:
        agent = ScriptedStream(Chunks(["a"]))
        run_pipeline(Step("say", agent), "input")
        assert agent.calls == [RecordedCall("input", "say", 1, None, None)]
        agent.assert_finished()


class TestCalls:
    def test_a_call_is_noted_with_the_path_of_its_step(self) -> None:
        agent = ScriptedAgent(then=Reply("x"))
        fan = ParallelStep[Any, Any, object]("fan", {"a": Step("ask", agent), "b": Step("ask", agent)})
        run_pipeline(fan, 1)
        assert sorted(str(call.path) for call in agent.calls) == ["fan/a", "fan/b"]

    def test_the_feedback_of_a_plugin_is_noted(self) -> None:
        def longer(output: str) -> PluginOutcome:
            return PluginOutcome(success=len(output) > 2, feedback="too short")

        agent = ScriptedAgent(Reply("no"), Reply("good"))
        retry = RetryPolicy(on={FailureDomain.PLUGIN})
        run_pipeline(Step("ask", agent, plugins=[longer], retry=retry), 1)
        assert [call.feedback for call in agent.calls] == [None, "too short"]

    def test_the_context_is_noted_where_it_is_asked_for_as_it_was_at_the_call(self) -> None:
        def write(data: str, *, context: Notes) -> str:
            context.lines.append(data)
            return data + "!"

        agent = ScriptedAgent(Reply("second"), Reply("third"), keep_context=True)
        steps = Step("a", write) >> Step("ask", agent) >> Step("b", write) >> Step("ask", agent)
        run_pipeline(steps, "first", context=Notes())
        assert [call.context for call in agent.calls] == [Notes(["first"]), Notes(["first", "second"])]

    def test_without_being_asked_for_or_in_a_run_without_one_it_is_none(self) -> None:
        keeping, other = ScriptedAgent(Reply(1), keep_context=True), ScriptedAgent(Reply(1))
        run_pipeline(Step("a", keeping), None)
        run_pipeline(Step("a", other), None, context=Notes())
        assert (keeping.calls[0].context, other.calls[0].context) == (None, None)

    async def test_it_may_be_called_without_a_run(self) -> None:
        agent, meter = ScriptedAgent(Reply("x", cost_usd=0.5)), UsageMeter()
        assert await agent.run(1, usage=meter) == "x"
        assert (agent.calls, meter.cost_usd) == ([RecordedCall(1, None, 1, None, None)], 0.5)
        with pytest.raises(ScriptEndedError, match=r"the script has 1 turn, and this is call 2; "):
            await agent.run(2, usage=meter)

    def test_it_says_what_it_is(self) -> None:
        assert repr(ScriptedAgent(Reply(1), Reply(2))) == "<ScriptedAgent, 0 calls, 2 turns>"


class TestTheEndOfTheScript:
    def test_a_call_too_many_is_a_failure_that_says_whose_and_which(self) -> None:
        agent = ScriptedAgent(Raise(ValueError("boom")))
        result = run_pipeline(Step("ask", agent), None)
        assert result.failure is not None
        assert isinstance(result.failure.exception, ScriptEndedError)
        assert result.failure.message == (
            "the script has 1 turn, and this is call 2, by step 'ask'; give it another turn, or say in `then` what "
            "every further call gets"
        )

    def test_it_is_an_error_of_the_library_and_a_failed_assertion(self) -> None:
        assert issubclass(ScriptEndedError, FlujoError)
        assert issubclass(ScriptEndedError, AssertionError)

    def test_every_further_call_may_get_the_same(self) -> None:
        agent = ScriptedAgent(Reply(1), then=ReplyWith(lambda data: data + 1))
        steps = Step("a", agent) >> Step("b", agent) >> Step("c", agent)
        assert run_pipeline(steps, 0).unwrap() == 3
        agent.assert_finished()

    def test_turns_that_are_left_fail_the_assertion_and_are_listed(self) -> None:
        agent = ScriptedAgent(Reply("a"), Reply("b", after=2.0), Raise(ValueError("boom")))
        run_pipeline(Step("ask", agent), None)
        with pytest.raises(AssertionError, match="1 of the 3 turns of the script were played") as caught:
            agent.assert_finished()
        left = str(caught.value).splitlines()[1:]
        assert len(left) == 2
        assert "'b'" in left[0]
        assert "boom" in left[1]

    def test_a_call_too_many_fails_the_assertion_also_where_a_fallback_hid_it(self) -> None:
        agent = ScriptedAgent(Raise(ValueError("boom")))
        step = Step("ask", agent).with_fallback(Step("other", ScriptedAgent(Reply("fine"))))
        assert run_pipeline(step, None).success
        with pytest.raises(ScriptEndedError, match="call 2, by step 'ask'"):
            agent.assert_finished()
