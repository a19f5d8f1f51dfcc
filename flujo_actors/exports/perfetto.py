"""A trace in the Trace Event Format, which https://ui.perfetto.dev and chrome://tracing show.

The format is Google's "Trace Event Format" (docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU),
in its JSON object form. A span is a complete event (`"ph": "X"`), times are microseconds since the run's start. Events
of one track must lie one inside the other where they overlap, so concurrent steps are on tracks of their own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from flujo_actors.exports.lanes import Slice, slices_of
from flujo_actors.exports.run import ExportedRun
from flujo_actors.lens import TraceTree

_PROCESS: Final = 1


def export_perfetto(trace: TraceTree, run: ExportedRun) -> str:
    """The trace as JSON in the Trace Event Format.

    Args:
        trace: the trace of the run.
        run: the run.
    """
    slices = slices_of(trace)
    lanes = 1 + max(each.lane for each in slices)
    document = {
        "traceEvents": [*_metadata(run.pipeline, lanes), *map(_event, slices)],
        "displayTimeUnit": "ms",
        "otherData": {"run_id": run.run_id, "pipeline": run.pipeline, "started_at": trace.start},
    }
    return json.dumps(document, separators=(",", ":"))


def _metadata(pipeline: str, lanes: int) -> Iterator[Mapping[str, Any]]:
    """The names of the tracks, and their order."""
    yield _named("process_name", 0, {"name": f"flujo {pipeline}"})
    for lane in range(lanes):
        yield _named("thread_name", lane, {"name": "run" if lane == 0 else f"concurrent {lane}"})
        yield _named("thread_sort_index", lane, {"sort_index": lane})


def _named(what: str, lane: int, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"name": what, "ph": "M", "pid": _PROCESS, "tid": lane, "args": arguments}


def _event(drawn: Slice) -> Mapping[str, Any]:
    span = drawn.node.span
    return {
        "name": span.name,
        "cat": str(span.status),
        "ph": "X",
        "ts": drawn.start / 1000,
        "dur": (drawn.end - drawn.start) / 1000,
        "pid": _PROCESS,
        "tid": drawn.lane,
        "args": {"span_id": span.span_id, "status": str(span.status), **span.attributes},
    }
