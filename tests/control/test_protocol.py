"""Requests and answers as lines: what is sent is what is read, and nothing else is taken for it."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors import SpanStatus
from flujo_actors.control.encoding import ActorEntry
from flujo_actors.control.protocol import (
    VERSION,
    ActorsShown,
    Answer,
    CancelAccepted,
    CancelRun,
    Ended,
    EventTold,
    ListRuns,
    RefusalCode,
    Refused,
    Request,
    RunsListed,
    RunStatus,
    ShowRun,
    WatchRun,
    answer_from,
    answer_line,
    request_from,
    request_line,
)
from flujo_actors.errors import ControlRefusedError
from flujo_actors.events import EventsMissed
from flujo_actors.snapshots import ActorState

RUN = RunStatus("4f2a", "pipeline", SpanStatus.RUNNING, False, 1700000000.25, None, 3, 0.5, 7, None)
REQUESTS: list[Request] = [
    ListRuns(),
    ListRuns("4f"),
    ShowRun("4f2a"),
    WatchRun("4f2a", chunks=True),
    CancelRun("4f2a"),
    CancelRun("4f2a", "fan/½\n", "because", wait=False),
]
ANSWERS: list[Answer] = [
    RunsListed(4711, (RUN, RUN), 3),
    ActorsShown(RUN, 5.5, (ActorEntry("a", "1", None, "Step", "a", ActorState.WAITING, 1, 2.5, None, 0, {"item": 3}),)),
    EventTold(EventsMissed(3)),
    CancelAccepted(),
    Ended(RUN),
    Refused(RefusalCode.NOT_RUNNING, "nothing there"),
]

FIELDS = ["request", "run_id", "path", "reason", "wait", "chunks", "prefix"]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize("request_", REQUESTS, ids=repr)
def test_a_request_is_one_line_and_comes_back_as_it_was(request_: Request) -> None:
    line = request_line(request_)
    assert line.index(b"\n") == len(line) - 1
    assert request_from(line) == request_


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
def test_an_answer_is_one_line_and_comes_back_as_it_was(answer: Answer) -> None:
    line = answer_line(answer)
    assert line.index(b"\n") == len(line) - 1
    assert answer_from(line) == answer


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"", "it is no JSON object"),
        (b"hello", "it is no JSON object"),
        (b"[]", "it is no JSON object"),
        (b'"list"', "it is no JSON object"),
        (b"\xff\xfe", "it is no JSON object"),
        (b"[" * 16_000, "it is no JSON object"),
        (b"9" * 16_000, "it is no JSON object"),
        (b'{"version":1}', "its `request` is none of list, show, watch, cancel"),
        (b'{"version":1,"request":"stop"}', "its `request` is none of"),
        (b'{"version":1,"request":["list"]}', "its `request` is none of"),
        (b'{"version":1,"request":"watch"}', "watch: "),
        (b'{"version":1,"request":"watch","run_id":3}', "watch: 'run_id' must be"),
        (b'{"version":1,"request":"watch","run_id":"4f","chunks":"yes"}', "watch: 'chunks' must be"),
        (b'{"version":1,"request":"cancel","run_id":"4f","path":["a"]}', "cancel: 'path' must be"),
        (b'{"version":1,"request":"list","colour":"red"}', "list: "),
    ],
)
def test_what_is_no_request_is_refused_with_what_is_wrong(line: bytes, problem: str) -> None:
    with pytest.raises(ControlRefusedError) as caught:
        request_from(line)
    assert caught.value.code == RefusalCode.BAD_REQUEST
    assert problem in caught.value.message


@pytest.mark.parametrize("version", [0, 2, None, "1", [1]])
def test_another_version_is_refused_by_name(version: object) -> None:
    with pytest.raises(ControlRefusedError) as caught:
        request_from(json.dumps({"version": version, "request": "list"}).encode())
    assert caught.value.code == RefusalCode.UNSUPPORTED_VERSION


@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_any_object_is_a_request_or_is_refused(fields: dict[str, Any]) -> None:
    line = json.dumps({"request": "cancel", **fields, "version": VERSION}).encode()
    with suppress(ControlRefusedError):
        assert isinstance(request_from(line), ListRuns | ShowRun | WatchRun | CancelRun)


@given(st.binary())
def test_any_bytes_are_a_request_or_are_refused(line: bytes) -> None:
    with pytest.raises(ControlRefusedError):
        request_from(line)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"[]",
        b'{"version":2,"answer":"cancelling"}',
        b'{"version":1,"answer":"hello"}',
        b'{"version":1,"answer":["x"]}',
        b'{"version":1,"answer":"runs","pid":4711}',
        b'{"version":1,"answer":"event","event":"Nothing"}',
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(line: bytes) -> None:
    with pytest.raises(ValueError, match="no answer"):
        answer_from(line)
