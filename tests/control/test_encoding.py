"""Events and snapshots as JSON values and back: every kind, bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors import Failure, FailureDomain, SpanStatus, StepResult, Usage
from flujo_actors.control.encoding import (
    ACTORS_LIMIT,
    CONVERTER,
    FAILURES_LIMIT,
    ActorEntry,
    entries_of,
    event_from_json,
    event_to_json,
)
from flujo_actors.events import (
    AttemptFailed,
    BranchesMerged,
    ChunkProduced,
    EventsMissed,
    IterationStarted,
    MergeConflictFound,
    RunEvent,
    StepEnded,
    StepFellBack,
    StepRetried,
    StepStarted,
    UsageCharged,
)
from flujo_actors.snapshots import ActorSnapshot, ActorState

FAILURE = Failure(
    FailureDomain.PLUGIN,
    message="bad",
    feedback="Plugin validation failed after max retries: bad",
    step="fan/a",
    attempt=2,
    phase="plugin 'Tone'",
    exception_type="ValueError",
    cause=Failure(FailureDomain.AGENT, message="boom", feedback="Agent execution failed", step="fan/a"),
    others=(Failure(FailureDomain.TIMEOUT, message="late", feedback="Timed out", step="fan/b", running=("fan/b/x",)),),
    running=("fan/a/y", "fan/a/z"),
)
USAGE = Usage(Decimal("0.1"), 3, 4, 5)
WHERE = ("fan/a", "00ff")
TIME = 1700000000.25

EVENTS: list[RunEvent] = [
    StepStarted(*WHERE, None, "Step", "a", {"branch": "a", "item": 3}, time=TIME),
    StepStarted(*WHERE, "0f", "Step", "a", time=TIME),
    IterationStarted(*WHERE, 3, time=TIME),
    ChunkProduced(*WHERE, time=TIME, attempt=1, number=2, chunk={"text": "½\ud800", "ids": [1, 2]}),
    UsageCharged(*WHERE, time=TIME, usage=USAGE, total=Usage(Decimal("0.30"), 6, 8, 10)),
    AttemptFailed(*WHERE, time=TIME, attempt=2, failure=FAILURE),
    StepRetried(*WHERE, time=TIME, attempt=3, delay=0.5, failure=FAILURE),
    StepFellBack(*WHERE, time=TIME, fallback="fan/a/b", failure=FAILURE),
    BranchesMerged(*WHERE, time=TIME, branches=("a", "b")),
    MergeConflictFound(*WHERE, time=TIME, failure=FAILURE),
    StepEnded(
        *WHERE,
        time=TIME,
        status=SpanStatus.COMPLETED,
        result=StepResult("a", success=True, latency_s=0.5),
        usage=Usage(),
    ),
    StepEnded(
        *WHERE,
        time=TIME,
        status=SpanStatus.FAILED,
        result=StepResult("a", False, None, 3, 1.5, 0.25, 7, feedback="bad", failure=FAILURE),
        usage=USAGE,
    ),
    EventsMissed(8),
]


def text_of(event: RunEvent) -> str:
    return json.dumps(event_to_json(event))


def test_every_kind_of_event_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(RunEvent))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_comes_back_as_it_was(event: RunEvent) -> None:
    assert event_from_json(json.loads(text_of(event))) == event


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_s_json_has_its_fields(event: RunEvent) -> None:
    value = event_to_json(event)
    assert value["event"] == type(event).__name__
    assert value.keys() - {"event"} == {field.name for field in attrs.fields(type(event))}


def test_the_result_of_a_step_is_told_without_what_it_carries() -> None:
    result = StepResult(
        "a", success=True, output="secret", step_history=(StepResult("b", success=True),), metadata={"m": 1}
    )
    told = event_to_json(StepEnded(*WHERE, time=TIME, status=SpanStatus.COMPLETED, result=result, usage=USAGE))[
        "result"
    ]
    assert told.keys() == {
        "name", "success", "attempts", "latency_s", "cost_usd", "token_counts", "feedback", "failure",
    }  # fmt: skip


def test_the_exception_of_a_failure_stays_where_it_was_raised() -> None:
    failure = attrs.evolve(FAILURE, exception=ValueError("boom"))
    event = AttemptFailed(*WHERE, time=TIME, attempt=1, failure=failure)
    assert event_from_json(json.loads(text_of(event))) == AttemptFailed(*WHERE, time=TIME, attempt=1, failure=FAILURE)


def failures_in(value: Any) -> Iterator[Any]:
    yield value
    for each in (value["cause"], *value["others"]):
        if each is not None:
            yield from failures_in(each)


def chain(length: int) -> Failure:
    failure = FAILURE
    for _ in range(length):
        failure = attrs.evolve(failure, cause=failure)
    return failure


@pytest.mark.parametrize(
    "failure",
    [
        attrs.evolve(FAILURE, others=(FAILURE,) * 10_000),
        chain(200),
        attrs.evolve(FAILURE, message="x" * 10**6, feedback="x" * 10**6, step="x" * 10**6, others=(FAILURE,) * 9),
        attrs.evolve(FAILURE, running=("fan/a",) * 10**6),
    ],
    ids=["many", "deep", "long", "running"],
)
def test_a_large_failure_is_told_in_part_and_is_a_failure_still(failure: Failure) -> None:
    value = event_to_json(AttemptFailed(*WHERE, time=TIME, attempt=1, failure=failure))
    assert len(list(failures_in(value["failure"]))) <= FAILURES_LIMIT
    assert len(json.dumps(value)) < 100_000
    event = event_from_json(value)
    assert isinstance(event, AttemptFailed)
    assert event.failure.domain is failure.domain


@given(st.binary() | st.text() | st.recursive(st.integers() | st.text(), st.lists, max_leaves=200))
def test_a_chunk_may_be_anything(chunk: Any) -> None:
    event = event_from_json(json.loads(text_of(ChunkProduced(*WHERE, time=TIME, attempt=1, number=1, chunk=chunk))))
    assert isinstance(event, ChunkProduced)


@pytest.mark.parametrize(
    "value", [{}, {"event": "Nothing"}, {"event": ["x"]}, {"event": "StepStarted", "path": "a"}, {"event": "System"}]
)
def test_what_is_no_event_is_refused(value: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"."):
        event_from_json(value)


def actor(path: str, number: int, *children: ActorSnapshot) -> ActorSnapshot:
    return ActorSnapshot(
        path, f"{number:016x}", "Step", "a", ActorState.RUNNING, 1, 2.5, 3.5, 0, {"branch": "b"}, tuple(children)
    )


def test_a_snapshot_is_told_level_by_level_with_who_is_above_whom() -> None:
    root = actor("", 1, actor("a", 2, actor("a/x", 4)), actor("b", 3))
    entries = entries_of(root)
    assert [(entry.path, entry.parent_span_id) for entry in entries] == [
        ("", None),
        ("a", f"{1:016x}"),
        ("b", f"{1:016x}"),
        ("a/x", f"{2:016x}"),
    ]
    assert entries_of(None) == ()


def test_an_actor_comes_back_as_it_was() -> None:
    (entry,) = entries_of(actor("a", 1))
    assert CONVERTER.structure(json.loads(json.dumps(attrs.asdict(entry))), ActorEntry) == entry


def test_of_a_large_snapshot_the_upper_levels_are_told() -> None:
    children = [actor(f"f/{n}", n, *(actor(f"f/{n}/{m}", m) for m in range(100))) for n in range(ACTORS_LIMIT // 2)]
    entries = entries_of(actor("f", 1, *children))
    assert len(entries) == ACTORS_LIMIT
    assert [entry.path for entry in entries[1 : len(children) + 1]] == [child.path for child in children]
