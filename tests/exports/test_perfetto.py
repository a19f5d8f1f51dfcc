from __future__ import annotations

import json
from typing import Any

import pytest

from flujo_actors.exports import export_perfetto
from flujo_actors.lens import TraceTree
from tests.exports.conftest import RUN


def events(trace: TraceTree, kind: str) -> list[dict[str, Any]]:
    document = json.loads(export_perfetto(trace, RUN))
    return [event for event in document["traceEvents"] if event["ph"] == kind]


def test_every_span_is_a_complete_event_with_its_times_in_microseconds(failed: TraceTree) -> None:
    found = {event["args"]["span_id"]: event for event in events(failed, "X")}
    assert found.keys() == {node.span.span_id for node in failed.nodes}
    for node in failed.nodes:
        event = found[node.span.span_id]
        assert event["name"] == node.span.name
        assert event["ts"] == pytest.approx((node.span.start_time - failed.start) * 1e6, abs=1)
        assert event["dur"] == pytest.approx((node.seconds or 0.0) * 1e6, abs=1)
        assert event["args"]["status"] == event["cat"] == node.span.status
        assert event["args"]["path"] == node.path


def test_branches_that_run_at_once_are_on_tracks_of_their_own(failed: TraceTree) -> None:
    tracks = {event["args"]["path"]: event["tid"] for event in events(failed, "X")}
    assert tracks["review/opinion"] != tracks["review/facts"]
    assert tracks["review/opinion"] == tracks["review/opinion/ask_colleague"]
    assert {tracks[path] for path in ("", "fetch", "draft", "draft[2]/pipeline/write", "review")} == {0}


def test_the_tracks_and_the_process_have_names_and_an_order(failed: TraceTree) -> None:
    metadata = [(event["name"], event["tid"], event["args"]) for event in events(failed, "M")]
    assert metadata == [
        ("process_name", 0, {"name": "flujo article"}),
        ("thread_name", 0, {"name": "run"}),
        ("thread_sort_index", 0, {"sort_index": 0}),
        ("thread_name", 1, {"name": "concurrent 1"}),
        ("thread_sort_index", 1, {"sort_index": 1}),
    ]


def test_the_document_says_which_run_it_is(failed: TraceTree) -> None:
    other = json.loads(export_perfetto(failed, RUN))["otherData"]
    assert other == {"run_id": RUN.run_id, "pipeline": "article", "started_at": failed.start}
