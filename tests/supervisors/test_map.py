"""Maps: a body for each of many items."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import trio
from trio.testing import MockClock

from flujo_actors import (
    FailureDomain,
    MapStep,
    RetryPolicy,
    Step,
    StepDefinitionError,
    StepResult,
    open_system,
    run_pipeline,
)
from flujo_actors.context import ContextMap


@attrs.define
class Basket:
    items: list[int] = attrs.Factory(list[int])
    words: dict[str, int] = attrs.Factory(dict[str, int])
    seen: list[int] = attrs.Factory(list[int])
    number: int = 0


def double(item: int) -> int:
    return item * 2


def explode_on_two(item: int) -> int:
    if item == 2:
        raise ValueError("two")
    return item


async def note(item: int, *, context: Basket) -> int:
    context.seen.append(item)
    await trio.lowlevel.checkpoint()
    return len(context.seen)


def given(data: Any, context: Any) -> Any:
    return data


def test_items_are_those_of_a_field_of_the_context_in_order() -> None:
    result = run_pipeline(MapStep("all", Step("double", double), over="items"), None, context=Basket([3, 1, 2]))
    assert result.unwrap() == [6, 2, 4]
    assert result.step_history[0].metadata == {"items": 3}


def test_items_are_what_a_function_of_input_and_context_gives_also_from_a_generator_or_an_async_function() -> None:
    def counting(data: int, context: Basket) -> Iterator[int]:
        yield from range(data + context.number)

    async def later(data: int, context: Basket) -> list[int]:
        await trio.lowlevel.checkpoint()
        return list(range(data))

    body = Step("double", double)
    assert run_pipeline(MapStep("all", body, over=counting), 2, context=Basket(number=1)).unwrap() == [0, 2, 4]
    assert run_pipeline(MapStep("all", body, over=later), 2, context=Basket()).unwrap() == [0, 2]


def test_no_items_are_a_success_with_an_empty_output() -> None:
    no_items: list[int] = []
    assert run_pipeline(MapStep("all", Step("double", double), over=given), no_items).unwrap() == []


@pytest.mark.parametrize(("items", "kind"), [("text", "str"), (b"bytes", "bytes"), (7, "int"), (None, "NoneType")])
def test_what_is_no_collection_fails_and_says_so(items: Any, kind: str) -> None:
    result = run_pipeline(MapStep("all", Step("double", double), over=given), items)
    assert result.failure is not None
    assert result.failure.domain is FailureDomain.MAPPER
    assert result.failure.feedback == f"MapStep 'all' maps over a collection of items, got {kind}"


def test_a_field_that_is_missing_and_a_function_that_raises_fail_the_map() -> None:
    result = run_pipeline(MapStep("all", Step("double", double), over="nothing"), None, context=dict[str, Any]())
    assert result.failure is not None
    assert result.failure.feedback.startswith("Error in over for MapStep 'all': ")

    def breaking(data: Any, context: Any) -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    result = run_pipeline(MapStep("all", Step("double", double), over=breaking), None)
    assert result.failure is not None
    assert result.failure.feedback == "Error in over for MapStep 'all': broken"
    assert result.output == [2]


class UntoldError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not to be told")


@pytest.mark.parametrize(
    ("error", "text"),
    [(ValueError("broken"), "broken"), (UntoldError(), "(no text: its __str__ raised RuntimeError)")],
)
@pytest.mark.parametrize("max_concurrency", [1, 3])
def test_items_that_raise_when_they_are_taken_fail_the_map(error: Exception, text: str, max_concurrency: int) -> None:
    class Closed:
        def __iter__(self) -> Iterator[int]:
            raise error

    class Torn:
        def __iter__(self) -> Iterator[int]:
            yield 1
            raise error

    for items, output in ((Closed(), None), (Torn(), [2])):
        step = MapStep("all", Step("double", double), over=given, max_concurrency=max_concurrency)
        result = run_pipeline(step, items)
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.MAPPER
        assert result.failure.feedback == f"Error in over for MapStep 'all': {text}"
        assert result.failure.exception is error
        assert result.output == output


@pytest.mark.parametrize("max_concurrency", [1, 3])
def test_an_item_that_fails_fails_the_map_and_nothing_is_started_after_it(max_concurrency: int) -> None:
    body = Step("some", explode_on_two, retry=RetryPolicy(max_attempts=1))
    result = run_pipeline(MapStep("all", body, over=given, max_concurrency=max_concurrency), range(1, 100))
    assert result.failure is not None
    assert result.failure.feedback == "Item 2 failed: Agent execution failed with ValueError: two"
    assert result.failure.domain is FailureDomain.AGENT
    assert len(result.output or []) <= 1 + max_concurrency + 1


async def test_items_that_fail_side_by_side_are_all_told_the_first_by_number_whoever_failed_first(
    autojump_clock: MockClock,
) -> None:
    async def fail_later_the_earlier(item: int) -> None:
        await trio.sleep(10 - item)
        raise ValueError(str(item))

    body = Step("some", fail_later_the_earlier, retry=RetryPolicy(max_attempts=1))
    async with open_system() as system:
        result = await system.run(MapStep("all", body, over=given, max_concurrency=3), [1, 2, 3, 4])
    assert result.failure is not None
    assert result.failure.feedback == "Item 1 failed: Agent execution failed with ValueError: 1"
    assert result.failure.cause is not None
    told = [result.failure.cause, *result.failure.others]
    assert [failure.step for failure in told] == ["all[1]/some", "all[2]/some", "all[3]/some"]


@pytest.mark.parametrize("max_concurrency", [1, 3])
def test_a_failed_item_that_is_ignored_stands_in_the_output_as_its_result(max_concurrency: int) -> None:
    step = MapStep(
        "all", Step("some", explode_on_two), over=given, max_concurrency=max_concurrency, on_item_failure="ignore"
    )
    first, failed, third = run_pipeline(step, [1, 2, 3]).unwrap()
    assert (first, third) == (1, 3)
    assert isinstance(failed, StepResult)
    assert failed.feedback == "Agent execution failed with ValueError: two"


def test_one_after_another_an_item_sees_what_the_one_before_wrote() -> None:
    result = run_pipeline(MapStep("all", Step("note", note), over="items"), None, context=Basket([5, 6, 7]))
    assert result.unwrap() == [1, 2, 3]
    assert result.context.seen == [5, 6, 7]


async def test_side_by_side_the_writes_are_merged_in_the_order_of_the_items(autojump_clock: Any) -> None:
    async def late(item: int, *, context: Basket) -> int:
        await trio.sleep(10 - item)
        context.seen.append(item)
        return len(context.seen)

    async with open_system() as system:
        step = MapStep("all", Step("late", late), over="items", max_concurrency=3)
        result = await system.run(step, None, context=Basket([1, 2, 3]))
    assert result.unwrap() == [1, 1, 1]
    assert result.context.seen == [1, 2, 3]


def test_items_that_write_one_number_side_by_side_conflict() -> None:
    def count(item: int, *, context: Basket) -> None:
        context.number += 1

    step = MapStep("all", Step("count", count), over="items", max_concurrency=2)
    result = run_pipeline(step, None, context=Basket([1, 2]))
    assert result.failure is not None
    assert result.failure.domain is FailureDomain.MERGE
    assert result.failure.feedback.startswith("Merge conflict for key 'number': branches 'item 1' and 'item 2'")
    assert result.context.number == 0


async def test_no_more_items_run_at_once_than_may_and_they_are_taken_as_they_are_needed(autojump_clock: Any) -> None:
    running: list[int] = []
    most: list[int] = []
    taken: list[int] = []

    def items(data: int, context: Any) -> Iterator[int]:
        for number in range(data):
            taken.append(number)
            yield number

    async def work(item: int) -> int:
        running.append(item)
        most.append(len(running))
        assert len(taken) <= item + 4
        await trio.sleep(1)
        running.remove(item)
        return item

    async with open_system() as system:
        result = await system.run(MapStep("all", Step("work", work), over=items, max_concurrency=4), 20)
    assert result.unwrap() == list(range(20))
    assert max(most) == 4


def test_items_have_numbered_paths_and_say_in_their_spans_which_they_are() -> None:
    result = run_pipeline(MapStep("all", Step("double", double), over=given), [1, 2])
    items = [span for span in result.spans if span.name == "double"]
    assert [span.attributes["path"] for span in items] == ["all[1]/double", "all[2]/double"]
    assert [span.attributes["item"] for span in items] == [1, 2]


def test_a_declared_map_gives_its_keys() -> None:
    @attrs.define
    class Large:
        words: ContextMap[str, int] = attrs.Factory(ContextMap[str, int])

    step = MapStep("all", Step("shout", str.upper), over="words")
    assert run_pipeline(step, None, context=Large(ContextMap({"a": 1, "b": 2}))).unwrap() == ["A", "B"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"over": 7}, "over is a field of the context or a function"),
        ({"over": ""}, "over is a field of the context or a function"),
        ({"over": "items", "max_concurrency": 0}, "max_concurrency is a whole number, 1 or more"),
        ({"over": "items", "on_item_failure": "maybe"}, "on_item_failure is 'fail' or 'ignore'"),
    ],
)
def test_a_map_that_cannot_run_is_refused_when_it_is_built(options: dict[str, Any], text: str) -> None:
    with pytest.raises(StepDefinitionError, match=text):
        MapStep("all", Step("double", double), **options)


def test_an_item_that_failed_in_the_middle_leaves_nothing_to_the_items_after_it() -> None:
    async def write(item: int, *, context: Basket) -> int:
        context.seen.append(item)
        return item

    body = Step[Any, Any, Any]("write", write) >> Step[Any, Any, Any]("explode", explode_on_two)
    step = MapStep[Any, Any, Any]("all", body, over="items", on_item_failure="ignore")
    assert run_pipeline(step, None, context=Basket([1, 2, 3])).context.seen == [1, 3]


def test_results_of_items_that_ran_side_by_side_stand_in_the_order_of_the_items() -> None:
    ended = {item: trio.Event() for item in (1, 2, 3)}

    async def later_first(item: int) -> int:
        if item < 3:
            await ended[item + 1].wait()
        ended[item].set()
        return item

    step = MapStep[Any, Any, Any]("all", Step("later", later_first), over="items", max_concurrency=3)
    (result,) = run_pipeline(step, None, context=Basket([1, 2, 3])).step_history
    assert [each.output for each in result.step_history] == [1, 2, 3]
