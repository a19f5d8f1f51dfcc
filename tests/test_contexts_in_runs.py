"""Contexts as a run uses them; what a branch is by itself stands in tests/context."""

from __future__ import annotations

import dataclasses
import threading
from typing import Any

import attrs
import pydantic
import pytest

from flujo_actors import (
    ContextMap,
    FailureDomain,
    Origin,
    Pipeline,
    RetryPolicy,
    Step,
    open_system,
    run_pipeline,
    step,
)
from flujo_actors.context import context


@attrs.define
class Notes:
    seen: int = 0
    lines: list[str] = attrs.Factory(list[str])
    words: dict[str, int] = attrs.Factory(dict[str, int])


@dataclasses.dataclass
class DataNotes:
    seen: int = 0
    lines: list[str] = dataclasses.field(default_factory=list[str])


class ModelNotes(pydantic.BaseModel):
    seen: int = 0
    lines: list[str] = []


@context
class Large:
    words: dict[str, int] = attrs.Factory(dict[str, int])


@step
async def note(data: str, *, context: Any) -> str:
    context.seen += 1
    context.lines.append(data)
    return data + "!"


@step
async def note_in_dict(data: str, *, context: dict[str, Any]) -> str:
    context["lines"] = [*context.get("lines", []), data]
    return data + "!"


@pytest.mark.parametrize("given", [Notes(), DataNotes(), ModelNotes()], ids=lambda given: type(given).__name__)
def test_the_outcome_is_a_new_object_of_the_class_that_was_passed_in(given: Any) -> None:
    result = run_pipeline(note >> note, "a", context=given)
    assert type(result.context) is type(given)
    assert (result.context.seen, result.context.lines) == (2, ["a", "a!"])
    assert type(result.context.lines) is list
    assert (given.seen, given.lines) == (0, [])


def test_a_dict_may_be_the_context() -> None:
    given: dict[str, Any] = {"kept": 1}
    result = run_pipeline(note_in_dict >> note_in_dict, "a", context=given)
    assert result.context == {"kept": 1, "lines": ["a", "a!"]}
    assert given == {"kept": 1}


def test_a_declared_collection_works_as_a_dict_does() -> None:
    @step
    def count(data: str, *, context: Large) -> str:
        for word in data.split():
            context.words[word] = context.words.get(word, 0) + 1
        return data

    result = run_pipeline(count >> count, "to be or not to be", context=Large())
    assert isinstance(result.context.words, dict | ContextMap)
    assert dict(result.context.words) == {"to": 4, "be": 4, "or": 2, "not": 2}


def test_blame_names_the_step_the_attempt_and_the_run_that_wrote_a_value() -> None:
    tries: list[int] = []

    @step(retry=RetryPolicy(max_attempts=3))
    def write_at_last(data: str, *, context: Notes) -> str:
        context.words["first"] = len(tries)
        tries.append(1)
        if len(tries) < 3:
            raise ValueError("not yet")
        return data

    @step
    def write_more(data: str, *, context: Notes) -> str:
        context.words["second"] = 2
        return data

    inner = Pipeline("inner", [write_more])
    result = run_pipeline(write_at_last >> inner, "a", context=Notes(lines=["given"]))
    assert result.blame("words['first']") == Origin(result.run_id, "write_at_last", attempt=3)
    assert result.blame("words['second']") == Origin(result.run_id, "inner/write_more", attempt=1)
    assert result.blame("lines[0]") is None
    with pytest.raises(ValueError, match="words"):
        result.blame("words[")


def test_the_context_of_each_step_of_the_history_is_the_one_that_this_step_left() -> None:
    result = run_pipeline(note >> note >> note, "a", context=Notes())
    assert [each.branch_context.seen for each in result.step_history] == [1, 2, 3]
    assert [len(each.branch_context.lines) for each in result.step_history] == [1, 2, 3]


def test_what_user_code_keeps_of_the_context_no_longer_reaches_it() -> None:
    kept: list[Any] = []

    @step
    def keep(data: str, *, context: Notes) -> str:
        context.lines.append("mine")
        kept.extend([context, context.lines])
        return data

    @step
    def meddle(data: str, *, context: Notes) -> str:
        kept[0].seen = 99
        kept[0].lines.append("late")
        kept[1].append("later")
        context.lines.append("mine too")
        return data

    result = run_pipeline(keep >> meddle >> note, "a", context=Notes())
    assert (result.context.seen, result.context.lines) == (1, ["mine", "mine too", "a"])
    assert result.step_history[0].branch_context.lines == ["mine"]


def test_a_lock_that_a_step_leaves_in_the_context_fails_that_step_and_changes_nothing() -> None:
    @step
    def leave_a_lock(data: str, *, context: dict[str, Any]) -> str:
        context["before"] = 1
        context["locks"] = [threading.Lock()]
        return data

    result = run_pipeline(note_in_dict >> leave_a_lock, "a", context=dict[str, Any]())
    assert result.failure is not None
    assert (result.failure.domain, result.failure.step) == (FailureDomain.CONTEXT, "leave_a_lock")
    assert result.failure.feedback.startswith("Context validation failed: ")
    assert "locks" in result.failure.feedback
    assert result.step_history[-1].attempts == 1
    assert result.context == {"lines": ["a"]}


def test_a_value_that_the_class_refuses_fails_the_step_that_wrote_it() -> None:
    @attrs.define
    class Careful:
        level: int = attrs.field(default=0, validator=attrs.validators.le(10))

    @step
    def raise_too_far(data: str, *, context: Careful) -> str:
        context.level = 11
        return data

    result = run_pipeline(raise_too_far, "a", context=Careful())
    assert result.failure is not None
    assert result.failure.domain is FailureDomain.AGENT
    assert result.context == Careful(level=0)


def test_a_large_builtin_that_is_copied_again_and_again_is_reported_once_with_its_remedy() -> None:
    @step
    def touch(data: str, *, context: Notes) -> str:
        context.words[data] = 1
        return data

    touches = Pipeline("touches", [touch] * 8)
    result = run_pipeline(touches, "a", context=Notes(words={str(number): number for number in range(20_000)}))
    (warning,) = result.warnings
    assert warning.startswith("Notes.words is a builtin container of 20,001 entries")
    assert "ContextMap" in warning
    assert run_pipeline(touches, "a", context=Notes()).warnings == ()


async def test_concurrent_runs_of_one_context_object_do_not_meet() -> None:
    given = Notes()
    async with open_system() as system:
        runs = [await system.start(Step("note", note.agent), f"run {number}", context=given) for number in range(20)]
        results = [await run.wait() for run in runs]
    assert [result.context.lines for result in results] == [[f"run {number}"] for number in range(20)]
    assert given == Notes()
