"""Caches: what is remembered, when it is found again, and what finding it costs."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import trio

from flujo_actors import (
    AnyStep,
    CacheStep,
    ConditionalStep,
    ContextMap,
    LoopStep,
    MapStep,
    Origin,
    ParallelStep,
    Pipeline,
    PipelineResult,
    ResultCache,
    RetryPolicy,
    Step,
    StepDefinitionError,
    System,
    UsageMeter,
    open_system,
)
from flujo_actors.storage import MemoryBackend

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Desk:
    language: str = "en"
    count: int = 0
    lines: list[str] = attrs.Factory(list[str])
    known: ContextMap[str, int] = attrs.Factory(ContextMap[str, int])


def cached(agent: Any, **options: Any) -> CacheStep[Any, Any, Any]:
    return CacheStep("cached", Step[Any, Any, Any]("inner", agent, retry=ONCE, **options))


class Counting:
    """An agent that notes what it was called with."""

    def __init__(self, agent: Callable[..., Any]) -> None:
        self.agent = agent
        self.calls = 0

    async def run(self, data: Any, *, context: Any) -> Any:
        self.calls += 1
        await trio.lowlevel.checkpoint()
        return self.agent(data, context)


async def run(system: System, step: AnyStep, data: Any = "in", **options: Any) -> PipelineResult[Any, Any]:
    result: PipelineResult[Any, Any] = await system.run(step, data, **options)
    return result


def hits(*results: PipelineResult[Any, Any]) -> list[bool]:
    return [result.step_history[0].metadata["cache_hit"] for result in results]


async def test_the_second_run_on_the_same_input_gives_the_same_output_and_calls_nothing() -> None:
    agent = Counting(lambda data, context: [data])
    step = cached(agent)
    async with open_system() as system:
        first, second = await run(system, step, context=Desk()), await run(system, step, context=Desk())
    assert (first.output, second.output, agent.calls) == (["in"], ["in"], 1)
    assert hits(first, second) == [False, True]


async def test_a_hit_costs_nothing_and_has_no_span_of_the_body() -> None:
    def agent(data: str, *, usage: UsageMeter) -> str:
        usage.charge(cost_usd=0.5, prompt_tokens=3)
        return data

    async with open_system() as system:
        first, second = await run(system, cached(agent)), await run(system, cached(agent))
        again = cached(agent)
        third, fourth = await run(system, again), await run(system, again)
    assert [each.total_cost_usd for each in (first, second, third, fourth)] == [0.5, 0, 0, 0]
    assert fourth.total_tokens == 0
    assert [len(each.spans) for each in (first, fourth)] == [3, 2]


async def test_what_a_result_says_it_cost_is_not_charged_again_by_a_hit() -> None:
    @attrs.frozen
    class Answer:
        cost_usd: float

    step = cached(lambda data: Answer(0.5)) >> Step[Any, Any, Any]("next", lambda answer: answer)
    async with open_system() as system:
        first, second = await run(system, step), await run(system, step)
    assert [first.total_cost_usd, second.total_cost_usd] == [0.5, 0.0]


async def test_another_input_another_type_of_input_or_another_definition_is_a_miss() -> None:
    step, other = cached(lambda data: data), cached(lambda data: data)
    async with open_system() as system:
        results = [await run(system, step, data) for data in (1, 2, 1.0, True, "1", [1], (1,))]
        results += [await run(system, other, 1), await run(system, step, 1)]
    assert hits(*results) == [False] * 8 + [True]


async def test_inputs_are_compared_by_value_also_those_that_cannot_be_hashed() -> None:
    @attrs.define
    class Request:
        words: dict[str, list[int]]

    step = cached(lambda data: data)
    async with open_system() as system:
        results = [
            await run(system, step, Request(words)) for words in ({"a": [1], "b": []}, {"b": [], "a": [1]}, {"a": [2]})
        ]
    assert hits(*results) == [False, True, False]


async def test_only_fields_that_were_read_or_written_count() -> None:
    agent = Counting(lambda data, context: f"{data} in {context.language}")
    step = cached(agent)
    async with open_system() as system:
        results = [
            await run(system, step, context=context)
            for context in (Desk("en"), Desk("en", count=7, lines=["x"]), Desk("de"), Desk("en", count=9))
        ]
    assert hits(*results) == [False, True, False, True]
    assert [each.output for each in results] == ["in in en", "in in en", "in in de", "in in en"]


async def test_a_hit_writes_into_the_context_what_the_body_wrote() -> None:
    def agent(data: Any, context: Desk) -> None:
        context.lines.append(data)
        context.known["a"] = 1
        context.count += 1

    step = cached(Counting(agent))
    async with open_system() as system:
        results = [await run(system, step, context=Desk(count=count)) for count in (0, 0, 1)]
    assert hits(*results) == [False, True, False]
    for result, count in zip(results, (1, 1, 2), strict=True):
        desk = result.context
        assert (desk.lines, dict(desk.known), desk.count) == (["in"], {"a": 1}, count)


async def test_a_field_that_was_set_without_being_read_is_set_by_a_hit_too() -> None:
    def agent(data: Any, context: Desk) -> None:
        context.count = 5

    step = cached(Counting(agent))
    async with open_system() as system:
        results = [await run(system, step, context=Desk(count=count)) for count in (5, 3, 5)]
    assert [each.context.count for each in results] == [5, 5, 5]


async def test_what_steps_inside_a_composite_body_read_counts_too() -> None:
    body = LoopStep[Any, Any, Any](
        "loop",
        Step("read", lambda data, *, context: data + context.language),
        exit_condition=lambda output, context: len(output) > context.count,
    )
    step = CacheStep[Any, Any, Any]("cached", body)
    async with open_system() as system:
        results = [
            await run(system, step, "", context=Desk(language, count, lines))
            for language, count, lines in (("en", 2, []), ("en", 2, ["x"]), ("de", 2, []), ("en", 5, []))
        ]
    assert hits(*results) == [False, True, False, False]


@pytest.mark.parametrize("kind", ["parallel", "map"])
async def test_what_steps_side_by_side_read_counts_too_whether_they_failed_or_not(kind: str) -> None:
    def read_and_fail(data: Any, *, context: Desk) -> None:
        if context.language == "en":
            raise ValueError("not in English")

    parts: list[AnyStep] = [Step("fails", read_and_fail, retry=ONCE), Step("works", lambda data: data)]
    body: AnyStep
    if kind == "parallel":
        body = ParallelStep[Any, Any, Any]("both", {part.name: part for part in parts}, on_branch_failure="ignore")
    else:
        choice = ConditionalStep[Any, Any, Any]("choice", lambda data, context: data, dict(enumerate(parts)))
        body = MapStep("both", choice, over=lambda data, context: [0, 1], max_concurrency=2, on_item_failure="ignore")
    step = CacheStep[Any, Any, Any]("cached", body >> Step[Any, Any, Any]("forget", lambda output: "done"))
    async with open_system() as system:
        results = [await run(system, step, context=Desk(language)) for language in ("en", "en", "de")]
    assert hits(*results) == [False, True, False]


async def test_an_output_with_a_forgiven_failure_in_it_is_not_remembered() -> None:
    def fail(data: Any) -> None:
        raise ValueError("boom")

    branches: dict[str, AnyStep] = {"fails": Step("fails", fail, retry=ONCE), "works": Step("works", lambda data: data)}
    step = CacheStep[Any, Any, Any]("cached", ParallelStep[Any, Any, Any]("both", branches, on_branch_failure="ignore"))
    async with open_system() as system:
        results = [await run(system, step) for _ in range(2)]
    assert hits(*results) == [False, False]
    assert results[0].step_history[0].metadata["not_cached"] == "a part of it failed, and may succeed another time"


async def test_a_field_that_cannot_be_compared_keeps_the_result_from_being_remembered() -> None:
    @attrs.define
    class Odd:
        thing: Any = attrs.Factory(lambda: bytearray(b"x"))
        other: Any = attrs.Factory(lambda: iter)

    step = cached(Counting(lambda data, context: context.other is iter))
    async with open_system() as system:
        results = [await run(system, step, context=Odd()) for _ in range(2)]
    assert hits(*results) == [False, False]
    assert results[0].step_history[0].metadata["not_cached"] == "other in the context cannot be compared"


async def test_what_an_attempt_read_that_failed_counts_too() -> None:
    tries = 0

    def agent(data: Any, *, context: Desk) -> str:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ValueError(context.language)
        return "done"

    step = CacheStep[Any, Any, Any]("cached", Step("inner", agent))
    async with open_system() as system:
        results = [await run(system, step, context=Desk(language)) for language in ("en", "de", "en")]
    assert hits(*results) == [False, False, True]


async def test_of_a_context_that_is_a_dict_everything_counts() -> None:
    step = cached(Counting(lambda data, context: context["language"]))
    async with open_system() as system:
        results = [
            await run(system, step, context=context)
            for context in ({"language": "en"}, {"language": "en"}, {"language": "en", "more": 1})
        ]
    assert hits(*results) == [False, True, False]


async def test_a_body_that_never_looked_at_the_context_is_found_in_any() -> None:
    step = cached(lambda data: data)
    async with open_system() as system:
        results = [await run(system, step, context=context) for context in (Desk(), Desk("de"), {"a": 1})]
        results.append(await run(system, step))
    assert hits(*results) == [False, True, True, True]


async def test_failures_are_not_remembered() -> None:
    tries = iter([ValueError("boom"), None])

    def agent(data: Any) -> str:
        error = next(tries)
        if error is not None:
            raise error
        return "ok"

    step = cached(agent)
    async with open_system() as system:
        first = await run(system, step)
        second, third = await run(system, step), await run(system, step)
    assert (first.success, first.step_history[0].feedback) == (False, "Agent execution failed with ValueError: boom")
    assert hits(second, third) == [False, True]


async def test_what_is_done_to_an_output_or_context_later_does_not_reach_the_cache() -> None:
    def agent(data: Any, context: Desk) -> list[str]:
        context.lines.append("cached")
        return ["cached"]

    def spoil(data: list[str], context: Desk) -> list[str]:
        data.append("spoilt")
        context.lines.append("spoilt")
        return data

    step = cached(Counting(agent)) >> Step[Any, Any, Any]("spoil", Counting(spoil))
    async with open_system() as system:
        results = [await run(system, step, context=Desk()) for _ in range(3)]
    assert [each.output for each in results] == [["cached", "spoilt"]] * 3
    assert [each.context.lines for each in results] == [["cached", "spoilt"]] * 3
    assert hits(*results) == [False, True, True]


async def test_an_input_that_the_body_changes_is_remembered_as_it_was() -> None:
    def agent(data: list[int]) -> int:
        data.append(1)
        return len(data)

    step = cached(agent)
    async with open_system() as system:
        results = [await run(system, step, data) for data in ([], [], [1])]
    assert hits(*results) == [False, True, False]


async def test_an_input_without_a_fingerprint_is_run_each_time_and_the_result_says_why() -> None:
    step = cached(lambda data: "ok")
    async with open_system() as system:
        results = [await run(system, step, object()) for _ in range(2)]
    assert hits(*results) == [False, False]
    assert results[0].step_history[0].metadata["not_cached"] == "the input: a object has no parts that are known"


async def test_an_output_that_cannot_be_copied_is_given_and_not_remembered() -> None:
    step = cached(lambda data: (number for number in range(3)))
    async with open_system() as system:
        results = [await run(system, step) for _ in range(2)]
    assert hits(*results) == [False, False]
    assert "the output cannot be copied" in results[0].step_history[0].metadata["not_cached"]
    assert list(results[1].unwrap()) == [0, 1, 2]


async def test_blame_names_the_step_that_wrote_and_after_a_hit_the_cache() -> None:
    def agent(data: Any, context: Desk) -> None:
        context.count += 1

    step = cached(Counting(agent))
    async with open_system() as system:
        miss, hit = await run(system, step, context=Desk()), await run(system, step, context=Desk())
    assert miss.blame("count") == Origin(miss.run_id, "cached/inner", attempt=1)
    assert hit.blame("count") == Origin(hit.run_id, "cached", attempt=1)


async def test_a_cached_step_in_a_loop_is_run_once_for_each_state_that_it_reads() -> None:
    agent = Counting(lambda data, context: context.count % 2)

    def count(data: Any, context: Desk) -> Any:
        context.count += 1
        return data

    body = cached(agent) >> Step[Any, Any, Any]("count", Counting(count))
    loop = LoopStep[Any, Any, Any](
        "loop",
        body,
        exit_condition=lambda output, context: False,
        iteration_input_mapper=lambda output, context, number: "in",
        on_max_loops="succeed",
    )
    async with open_system() as system:
        result = await run(system, loop, context=Desk())
    assert (result.context.count, agent.calls) == (5, 5)


async def test_the_writes_a_cached_sequence_had_accepted_stay_in_the_context_of_a_run_that_fails() -> None:
    def write(data: Any, context: Desk) -> None:
        context.lines.append("written")

    def fail(data: Any) -> None:
        raise ValueError("boom")

    body = Step[Any, Any, Any]("write", Counting(write)) >> Step[Any, Any, Any]("fail", fail, retry=ONCE)
    async with open_system() as system:
        result = await run(system, CacheStep[Any, Any, Any]("cached", body), context=Desk())
    assert (result.success, result.context.lines) == (False, ["written"])


async def test_a_cancelled_body_is_not_remembered() -> None:
    async def agent(data: Any) -> None:
        await trio.sleep_forever()

    step, cache = cached(agent), ResultCache()
    async with open_system(cache=cache) as system:
        running = await system.start(step, "in")
        await trio.testing.wait_all_tasks_blocked()
        running.cancel(reason="enough")
        result = await running.wait()
    assert (str(result.status), len(cache)) == ("cancelled", 0)


async def test_systems_that_are_given_one_cache_share_it_and_others_do_not() -> None:
    step, cache = cached(lambda data: data), ResultCache()
    results: list[PipelineResult[Any, Any]] = []
    for given in (cache, cache, None):
        async with open_system(cache=given) as system:
            results.append(await run(system, step))
    assert hits(*results) == [False, True, False]
    statistics = cache.statistics()
    assert (statistics.hits, statistics.misses, statistics.entries) == (1, 1, 1)


async def test_of_more_than_the_cache_holds_those_used_longest_ago_are_forgotten() -> None:
    step = cached(lambda data: data)
    async with open_system(cache=ResultCache(max_entries=2)) as system:
        results = [await run(system, step, data) for data in (1, 2, 1, 3, 1, 2)]
    assert hits(*results) == [False, False, True, False, True, False]


async def test_steps_side_by_side_that_find_the_same_are_remembered_once() -> None:
    async def slowly(data: int) -> int:
        await trio.lowlevel.checkpoint()
        return data

    cache = ResultCache()
    async with open_system(cache=cache) as system:
        step = ParallelStep[Any, Any, Any]("p", {name: cached(slowly) for name in "abc"})
        result = await run(system, Pipeline[Any, Any, Any]("both", [step, Step("out", lambda data: 1), step]), 1)
    assert result.success
    statistics = cache.statistics()
    assert (statistics.hits, statistics.misses, statistics.entries) == (3, 3, 1)


async def test_definitions_that_are_equal_share_what_is_remembered_also_agents_that_cannot_be_hashed() -> None:
    @attrs.define
    class Agent:
        text: str

        def run(self, data: str) -> str:
            return self.text + data

    def build(text: str) -> AnyStep:
        return cached(Agent(text))

    one = build("a")
    async with open_system() as system:
        results = [await run(system, step) for step in (one, one, build("b"))]
    assert hits(*results) == [False, True, False]


async def test_the_trace_of_a_cached_run_says_that_it_was_a_hit() -> None:
    step, backend = cached(lambda data: data), MemoryBackend()
    async with open_system(storage=backend) as system:
        first, second = await run(system, step), await run(system, step)
    traces = [backend.get_trace(each.run_id) for each in (first, second)]
    assert [trace["children"][0]["attributes"]["metadata"] for trace in traces if trace] == [
        {"cache_hit": False},
        {"cache_hit": True},
    ]


def test_a_cache_step_without_a_step_and_a_cache_without_room_are_refused() -> None:
    with pytest.raises(StepDefinitionError, match="body: 'x' is no step"):
        CacheStep[Any, Any, Any]("cached", "x")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_entries is a whole number, 1 or more, got 0"):
        ResultCache(0)
