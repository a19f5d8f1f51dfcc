"""Tests of a pipeline, for plain pytest or any other. Yours would import the pipeline from where it stands."""

import math

import attrs

from flujo_actors import RetryPolicy, open_system, step
from flujo_actors.events import StepStarted
from flujo_actors.storage import MemoryBackend
from flujo_actors.testing import (
    Raise,
    Reply,
    ReplyWith,
    ScriptedAgent,
    Trace,
    assert_trace,
    in_mock_time,
    record_events,
    run_in_mock_time,
    with_agents,
)


@attrs.define
class Case:
    answers: list[str] = attrs.Factory(list[str])


@step(timeout=30.0, retry=RetryPolicy(max_attempts=2, backoff=5.0))
async def ask_model(question: str) -> str:
    raise NotImplementedError("here the real one talks to a model")


@step
def look_up(question: str) -> str:
    return f"see the manual on {question}"


@step
def file(answer: str, *, context: Case) -> str:
    context.answers.append(answer)
    return answer


pipeline = ask_model.with_fallback(look_up) >> file


def test_an_answer_is_filed() -> None:
    model = ScriptedAgent(Reply("turn it off and on", after=2.0))
    result = run_in_mock_time(with_agents(pipeline, {"ask_model": model}), "noise", context=Case())
    assert result.unwrap() == "turn it off and on"
    assert result.context.answers == ["turn it off and on"]
    assert model.inputs == ["noise"]


def test_a_busy_model_is_asked_once_more_after_a_while() -> None:
    model = ScriptedAgent(Raise(ConnectionError("busy"), cost_usd=0.01), ReplyWith(str.upper, cost_usd=0.02))
    result = run_in_mock_time(with_agents(pipeline, {"ask_model": model}), "noise", context=Case())
    assert result.unwrap() == "NOISE"
    assert [call.attempt for call in model.calls] == [1, 2]
    Trace.of(result).assert_step("ask_model", status="completed", attempts=2, cost_usd=0.03, duration=5.0)
    model.assert_finished()


def test_a_model_that_hangs_is_given_up_and_the_answer_looked_up() -> None:
    model = ScriptedAgent(then=Reply("too late", after=math.inf, cost_usd=0.01))
    result = run_in_mock_time(with_agents(pipeline, {"ask_model": model}), "noise", context=Case())
    assert_trace(
        result,
        """
        pipeline_run: completed, $0.02
          ask_model: completed, 2 attempts, $0.02
            look_up: completed
          file: completed
        """,
    )


@in_mock_time
async def test_a_question_that_is_withdrawn_files_nothing() -> None:
    backend = MemoryBackend()
    tested = with_agents(pipeline, {"ask_model": ScriptedAgent(Reply("too late", after=20.0))})
    async with open_system(storage=backend) as system:
        run = await system.start(tested, "noise", context=Case())
        async with record_events(run) as seen:
            await seen.wait_for(StepStarted, "ask_model")
            run.cancel(reason="the customer hung up")
    result = await run.wait()
    assert result.context.answers == []
    assert Trace.of(backend, run.run_id).statuses() == {"": "cancelled", "ask_model": "cancelled"}
    Trace.of(result).assert_step("", failure="Cancelled: the customer hung up")
