"""The trace of a run: one well-formed tree, the same in the result as in every backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    Span,
    SpanStatus,
    Step,
    UsageMeter,
    open_system,
)
from flujo_actors.spans import build_trace, flatten_trace
from flujo_actors.storage import MemoryBackend, SQLiteBackend, StateBackend

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StateBackend]:
    made = MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "runs.db")
    with made:
        yield made


async def charging(data: Any, *, usage: UsageMeter) -> Any:
    usage.charge(cost_usd=0.1, prompt_tokens=2, completion_tokens=3)
    return data


def failing(data: Any) -> None:
    raise ValueError("boom \ud800 ☃")


async def sleeping(data: Any) -> None:
    await trio.sleep_forever()


async def failing_in_cleanup(data: Any) -> None:
    try:
        await trio.sleep_forever()
    finally:
        raise OSError("cleaning up")


def leaf(name: str, agent: Any, **options: Any) -> AnyStep:
    return Step[Any, Any, Any](name, agent, **options)


ok = leaf("ok", charging)
nested = Pipeline[Any, Any, Any]("nested", [ok, ok])
RUNS: dict[str, AnyStep] = {
    "completed": Pipeline("p", [ok, nested, ok]),
    "failed": Pipeline("p", [ok, Pipeline("q", [ok, leaf("bad", failing, retry=ONCE)]), ok]),
    "retried": Pipeline("p", [ok, leaf("bad", failing, retry=RetryPolicy(max_attempts=3, backoff=1.0))]),
    "timed out": Pipeline("p", [ok, leaf("slow", sleeping, timeout=1.0)]),
    "timed out above": Pipeline("p", [Pipeline("q", [ok, leaf("slow", sleeping)], timeout=1.0), ok]),
    "timed out in cleanup": Pipeline("p", [leaf("slow", failing_in_cleanup, timeout=1.0)]),
    "pipeline retried": Pipeline("p", [Pipeline("q", [ok, leaf("bad", failing)], retry=RetryPolicy(max_attempts=2))]),
    "cancelled": Pipeline("p", [ok, Pipeline("q", [ok, leaf("slow", sleeping)])]),
    "cancelled in back-off": Pipeline("p", [leaf("bad", failing, retry=RetryPolicy(max_attempts=3, backoff=10.0))]),
}


async def run(pipeline: AnyStep, backend: StateBackend | None = None) -> PipelineResult[Any, Any]:
    """Run it; after 5 s it is cancelled."""
    async with open_system(storage=backend) as system:
        handle = await system.start(pipeline, 1)
        with trio.move_on_after(5):
            return await handle.wait()
        handle.cancel(reason="enough")
        return await handle.wait()


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node["children"]:
        yield from nodes(child)


@pytest.mark.parametrize("pipeline", RUNS.values(), ids=RUNS.keys())
async def test_the_stored_trace_is_the_result_s(
    pipeline: AnyStep, backend: StateBackend, autojump_clock: MockClock
) -> None:
    result = await run(pipeline, backend)
    assert result.warnings == ()
    assert backend.get_trace(result.run_id) == result.trace_tree
    record = backend.get_run(result.run_id)
    assert record is not None
    assert record.status is result.status
    assert record.pipeline == "p"
    assert record.error == (None if result.failure is None else str(result.failure))
    assert (record.total_cost_usd, record.total_tokens) == (result.total_cost_usd, result.total_tokens)


async def test_of_a_failure_s_long_texts_the_ends_are_stored_and_the_result_has_all(backend: StateBackend) -> None:
    def quote(data: Any) -> None:
        raise ValueError(f"<{'x' * 1_000_000}>")

    result = await run(Step("a", quote, retry=ONCE), backend)
    assert result.failure is not None
    assert len(result.failure.message) == 1_000_002
    *_, span = backend.get_spans(result.run_id)
    failure = span.attributes["failure"]
    assert failure["message"] == f"<{'x' * 4095}… (991,810 characters left out) …{'x' * 4095}>"
    assert failure["traceback"].startswith("Traceback (most recent call last):")
    record = backend.get_run(result.run_id)
    assert record is not None
    for text in (failure["feedback"], failure["traceback"], record.error or ""):
        assert len(text) < 8300
        assert text.rstrip().endswith("x>")


@pytest.mark.parametrize("pipeline", RUNS.values(), ids=RUNS.keys())
async def test_every_tree_is_well_formed(pipeline: AnyStep, autojump_clock: MockClock) -> None:
    result = await run(pipeline)
    root = result.trace_tree
    everything = list(nodes(root))
    assert root["name"] == "pipeline_run"
    assert root["parent_span_id"] is None
    assert root["status"] == str(result.status)
    assert len({node["span_id"] for node in everything}) == len(everything) == len(result.spans)
    for node in everything:
        assert node["end_time"] is not None
        assert node["status"] in {"completed", "failed", "cancelled"}
        assert node["start_time"] <= node["end_time"]
        assert (node["status"] == "completed") == ("failure" not in node["attributes"])
        for child in node["children"]:
            assert child["parent_span_id"] == node["span_id"]
            assert node["start_time"] <= child["start_time"] <= child["end_time"] <= node["end_time"]
            assert child["attributes"]["path"].startswith(node["attributes"]["path"])
        starts = [(child["start_time"], child["span_id"]) for child in node["children"]]
        assert starts == sorted(starts)
        attempts = node["attributes"].get("attempts", [])
        assert [entry["number"] for entry in attempts] == list(range(1, len(attempts) + 1))
        for entry in attempts:
            assert node["start_time"] <= entry["start_time"] <= entry["end_time"] <= node["end_time"]


async def test_costs_stand_where_they_were_spent_and_above() -> None:
    root = (await run(RUNS["completed"])).trace_tree
    figures = [(node["attributes"]["path"], node["attributes"]["cost_usd"]) for node in nodes(root)]
    assert figures == [("", 0.4), ("ok", 0.1), ("nested", 0.2), ("nested/ok", 0.1), ("nested/ok#2", 0.1), ("ok#2", 0.1)]
    assert root["attributes"]["prompt_tokens"] == 8
    assert root["attributes"]["completion_tokens"] == 12


async def test_each_attempt_has_its_time_its_failure_and_its_usage(autojump_clock: MockClock) -> None:
    async def agent(data: Any, *, usage: UsageMeter) -> None:
        usage.charge(cost_usd=0.1)
        await trio.sleep(1)
        raise ValueError("boom")

    root = (await run(leaf("a", agent, retry=RetryPolicy(max_attempts=2, backoff=0.5)))).trace_tree
    (span,) = root["children"]
    entries = [
        (
            entry["number"],
            entry["start_time"] - span["start_time"],
            entry["end_time"] - span["start_time"],
            entry["status"],
            entry["cost_usd"],
            entry["failure"]["feedback"],
        )
        for entry in span["attributes"]["attempts"]
    ]
    feedback = "Agent execution failed with ValueError: boom"
    assert entries == [(1, 0.0, 1.0, "failed", 0.1, feedback), (2, 1.5, 2.5, "failed", 0.1, feedback)]
    assert span["attributes"]["cost_usd"] == 0.2
    assert (span["end_time"] - span["start_time"]) == 2.5


async def test_a_step_tried_once_has_no_list_of_attempts() -> None:
    root = (await run(ok)).trace_tree
    assert "attempts" not in root["children"][0]["attributes"]


async def test_spans_end_in_order_the_root_last() -> None:
    result = await run(RUNS["completed"])
    assert [span.attributes["path"] for span in result.spans][-1] == ""
    ends = [span.end_time for span in result.spans]
    assert ends == sorted(ends, key=lambda end: end or 0)


span_trees: st.SearchStrategy[list[Any]] = st.recursive(
    st.just([]), lambda children: st.lists(children, max_size=4), max_leaves=15
)  # a tree is the list of its children


@settings(max_examples=50)
@given(span_trees, st.randoms(use_true_random=False))
def test_a_trace_is_built_from_its_spans_in_any_order(tree: list[Any], randomness: Any) -> None:
    spans: list[Span] = []

    def plant(children: list[Any], parent: str | None) -> None:
        span_id = f"{len(spans):016x}"
        spans.append(Span(span_id, parent, "n", float(len(spans) // 3), 99.0, SpanStatus.COMPLETED, {"path": ""}))
        for each in children:
            plant(each, span_id)

    plant(tree, None)
    shuffled = list(spans)
    randomness.shuffle(shuffled)
    trace = build_trace(shuffled)
    assert trace is not None
    assert list(flatten_trace(trace)) == spans
    assert build_trace(flatten_trace(trace)) == trace


def test_spans_whose_parent_is_missing_hang_under_the_root() -> None:
    root = Span("00", None, "pipeline_run", 0.0, 1.0, SpanStatus.COMPLETED, {})
    orphan = Span("02", "01", "a", 0.5, 1.0, SpanStatus.COMPLETED, {})
    trace = build_trace([orphan, root])
    assert trace is not None
    assert [child["span_id"] for child in trace["children"]] == ["02"]
    assert build_trace([orphan]) is None
