"""Traces for the tests that read them: of real runs, whose durations are exact because their clock is a mock."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import trio
import trio.testing

from flujo_actors import PipelineResult
from flujo_actors.lens import TraceTree
from flujo_actors.spans import Span, SpanStatus, build_trace
from flujo_actors.storage import MemoryBackend, RunRecord, StateBackend

SAMPLE: Final = Path(__file__).parents[1] / "docs" / "samples" / "traced_run.py"

START: Final = 1_800_000_000.0
"""When the run of spans that are made by hand started."""


def run_article(storage: StateBackend) -> list[PipelineResult[Any, Any]]:
    """Run docs/samples/traced_run.py: one run that completes and one that fails, in that order."""
    name = "tests_traced_run"
    spec = importlib.util.spec_from_file_location(name, SAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    main: Callable[..., Any] = module.main
    results: list[PipelineResult[Any, Any]] = trio.run(
        main, storage, clock=trio.testing.MockClock(autojump_threshold=0)
    )
    return results


def article_traces() -> tuple[TraceTree, TraceTree]:
    """The traces of the run that completes and of the one that fails."""
    completed, failed = (TraceTree.from_trace(result.trace_tree) for result in run_article(MemoryBackend()))
    return completed, failed


@attrs.define
class SpanMaker:
    """Makes spans by hand, numbered in the order in which they are made."""

    spans: list[Span] = attrs.Factory(list[Span])

    def add(
        self,
        path: str,
        start: float,
        end: float | None,
        *,
        parent: str | None = None,
        status: SpanStatus = SpanStatus.COMPLETED,
        **attributes: Any,
    ) -> str:
        """Add a span, of which the times are seconds since the run's start. Gives its id."""
        span_id = f"{len(self.spans) + 1:016x}"
        ended = None if end is None else START + end
        name = "pipeline_run" if parent is None else path.rpartition("/")[2]
        known = {"path": path, "kind": "Pipeline" if parent is None else "Step", **attributes}
        self.spans.append(Span(span_id, parent, name, START + start, ended, status, known))
        return span_id

    def tree(self) -> TraceTree:
        """The trace of the spans."""
        return tree_of(self.spans)


def tree_of(spans: Iterable[Span]) -> TraceTree:
    """The trace of some spans, one of which has to be a root."""
    trace = build_trace(spans)
    assert trace is not None
    return TraceTree.from_trace(trace)


def store(storage: StateBackend, run_id: str, spans: Iterable[Span], **record: Any) -> None:
    """Store spans as those of a run that has ended."""
    run = RunRecord(run_id, SpanStatus.COMPLETED, "handmade", START, START + 10.0)
    with storage.transaction():
        storage.record_run_start(run)
        storage.record_spans(run_id, list(spans))
        storage.record_run_end(attrs.evolve(run, **record))


def failure(feedback: str, *, step: str, **more: Any) -> Mapping[str, Any]:
    """A failure as spans hold it."""
    return {"domain": "agent", "message": feedback, "feedback": feedback, "step": step, "attempt": 1, **more}
