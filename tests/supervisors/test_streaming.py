"""Agents that yield their output in parts: what the parts amount to, and who sees them when."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    FailureDomain,
    LoopStep,
    ParallelStep,
    PluginOutcome,
    RetryPolicy,
    Step,
    StepDefinitionError,
    UsageMeter,
    open_system,
    run_pipeline,
    step,
)
from flujo_actors.events import ChunkProduced, RunEvent, UsageCharged

ONCE = RetryPolicy(max_attempts=1)


def yields(*chunks: Any) -> Callable[[Any], AsyncIterator[Any]]:
    async def agent(data: Any) -> AsyncIterator[Any]:
        for chunk in chunks:
            await trio.lowlevel.checkpoint()
            yield chunk

    return agent


def streaming(*chunks: Any, **options: Any) -> AnyStep:
    return Step[Any, Any, Any]("say", yields(*chunks), **options)


async def events_of(pipeline: AnyStep, data: Any = None, **options: Any) -> tuple[Any, list[RunEvent]]:
    async with open_system() as system:
        run = await system.start(pipeline, data, **options)
        async with run.events() as events:
            seen = [event async for event in events]
        return await run.wait(), seen


def chunks_of(seen: list[RunEvent]) -> list[tuple[str, int, int, Any]]:
    return [(e.path, e.attempt, e.number, e.chunk) for e in seen if isinstance(e, ChunkProduced)]


@pytest.mark.parametrize(
    ("chunks", "output"),
    [(("a", "b"), "ab"), ((b"a", b"b"), b"ab"), (([1], [2, 3]), [1, 2, 3]), ((), "")],
    ids=["texts", "bytes", "lists", "nothing"],
)
def test_the_output_is_all_that_was_yielded(chunks: tuple[Any, ...], output: Any) -> None:
    assert run_pipeline(streaming(*chunks), None).unwrap() == output


@pytest.mark.parametrize(("chunks", "output"), [((1, 2), 2), ((), None), (("a", 1), 1)])
def test_the_output_is_the_last_of_it_where_the_step_says_so(chunks: tuple[Any, ...], output: Any) -> None:
    assert run_pipeline(streaming(*chunks, stream_output="last"), None).unwrap() == output


@pytest.mark.parametrize("options", [{}, {"output_processors": [str.upper]}], ids=["plain", "with a processor"])
async def test_one_that_a_plain_function_gives_streams_too(options: dict[str, Any]) -> None:
    def decorated(data: Any) -> AsyncIterator[Any]:
        return yields("a", "b")(data)

    result, seen = await events_of(Step[Any, Any, Any]("say", decorated, **options))
    assert result.unwrap().lower() == "ab"
    assert chunks_of(seen) == [("say", 1, 1, "a"), ("say", 1, 2, "b")]


def test_what_cannot_be_joined_is_a_failure_that_says_what_to_do() -> None:
    failure = run_pipeline(streaming(1, "a", retry=ONCE), None).failure
    assert failure is not None
    assert failure.domain is FailureDomain.AGENT
    assert failure.message == (
        "chunks of int, str cannot be joined; yield only texts, bytes or lists, or say stream_output='last'"
    )


def test_another_word_for_the_output_is_refused() -> None:
    with pytest.raises(StepDefinitionError, match="stream_output is 'join' or 'last', got 'first'"):
        streaming(stream_output="first")


def test_a_helper_that_streams_is_refused() -> None:
    with pytest.raises(StepDefinitionError, match="validators: agent yields several values; return one"):
        Step[Any, Any, Any]("a", lambda data: data, validators=[yields(True)])


async def test_chunks_reach_watchers_as_they_are_made(autojump_clock: MockClock) -> None:
    @step
    async def count(data: int) -> AsyncIterator[str]:
        for number in range(data):
            await trio.sleep(1)
            yield str(number)

    async with open_system() as system:
        run = await system.start(count, 3)
        async with run.events() as events:
            began = trio.current_time()
            times = [
                (event.chunk, round(trio.current_time() - began, 3))
                async for event in events
                if isinstance(event, ChunkProduced)
            ]
    assert times == [("0", 1.0), ("1", 2.0), ("2", 3.0)]


async def test_chunks_come_from_inside_branches_and_loops_with_their_paths() -> None:
    loop = LoopStep[Any, Any, Any](
        "loop", streaming("x"), exit_condition=lambda output, context: False, max_loops=2, on_max_loops="succeed"
    )
    result, seen = await events_of(ParallelStep[Any, Any, Any]("fan", {"a": loop, "b": streaming("y", "z")}))
    assert result.output == {"a": "x", "b": "yz"}
    assert sorted(chunks_of(seen)) == [
        ("fan/a[1]/say", 1, 1, "x"),
        ("fan/a[2]/say", 1, 1, "x"),
        ("fan/b", 1, 1, "y"),
        ("fan/b", 1, 2, "z"),
    ]


async def test_chunks_of_an_attempt_that_failed_are_told_apart_from_those_that_count() -> None:
    tries = iter([True, False])

    async def agent(data: Any) -> AsyncIterator[str]:
        yield "a"
        if next(tries):
            raise ValueError("boom")
        yield "b"

    result, seen = await events_of(Step[Any, Any, Any]("say", agent))
    assert result.output == "ab"
    assert chunks_of(seen) == [("say", 1, 1, "a"), ("say", 2, 1, "a"), ("say", 2, 2, "b")]


async def test_a_generator_that_is_cancelled_cleans_up_and_what_it_charged_is_kept(autojump_clock: MockClock) -> None:
    cleaned: list[str] = []

    async def agent(data: Any, *, usage: UsageMeter) -> AsyncIterator[str]:
        try:
            usage.charge(completion_tokens=1)
            yield "a"
            await trio.sleep_forever()
        finally:
            cleaned.append("closed")

    result, seen = await events_of(Step[Any, Any, Any]("say", agent, timeout=2.0, retry=ONCE))
    assert (result.failure.domain, cleaned, result.total_tokens) == (FailureDomain.TIMEOUT, ["closed"], 1)
    assert chunks_of(seen) == [("say", 1, 1, "a")]


def test_it_may_declare_context_and_be_an_object_and_have_processors_and_plugins() -> None:
    class Streamer:
        async def run(self, data: str, *, context: dict[str, Any]) -> AsyncIterator[str]:
            for letter in data:
                context["letters"] = context.get("letters", 0) + 1
                yield letter

    async def approve(output: str) -> PluginOutcome:
        return PluginOutcome(success=output == "ABC")

    spell = Step[Any, Any, Any]("spell", Streamer(), output_processors=[str.upper], plugins=[approve])
    result: Any = run_pipeline(spell, "abc", context=dict[str, int]())
    assert (result.unwrap(), result.context) == ("ABC", {"letters": 3})


async def test_charges_are_told_as_they_are_made_with_the_step_s_total() -> None:
    @step
    async def spend(data: Any, *, usage: UsageMeter) -> None:
        usage.charge(cost_usd=0.5, prompt_tokens=2)
        usage.charge(completion_tokens=3)

    class Answer:
        cost_usd = 0.25
        token_counts = 7

    _, seen = await events_of(spend >> Step[Any, Any, Any]("answer", lambda data: Answer()))
    charges = [event for event in seen if isinstance(event, UsageCharged)]
    assert [(e.path, float(e.usage.cost_usd), e.usage.total_tokens, e.total.total_tokens) for e in charges] == [
        ("spend", 0.5, 2, 2),
        ("spend", 0.0, 3, 5),
        ("answer", 0.25, 7, 7),
    ]
