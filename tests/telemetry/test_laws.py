"""What holds of the exported spans of pipelines of any shape, run to their end or stopped at any moment."""

from __future__ import annotations

import random
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import StatusCode
from trio.testing import MockClock

from flujo_actors import PipelineResult, SpanStatus, open_system
from flujo_actors.telemetry import OpenTelemetryObserver, RunIdGenerator
from tests.telemetry.conftest import Exported, attributes, id_of, trace_of
from tests.test_generated_pipelines import Board, numbered, plans

ERROR_OF = {
    SpanStatus.COMPLETED: StatusCode.UNSET,
    SpanStatus.CANCELLED: StatusCode.UNSET,
    SpanStatus.FAILED: StatusCode.ERROR,
}


@settings(max_examples=150, deadline=None)
@given(plans, st.integers(0, 6), st.integers(0, 3), st.none() | st.floats(0, 4))
def test_spans_are_flujo_s_with_the_same_ids_parents_times_and_outcomes_and_tokens_count_once(
    plan: Any, data: int, seed: int, stopped_after: float | None
) -> None:
    step = numbered(plan, iter(range(1, 1000))).build()
    provider = TracerProvider(id_generator=RunIdGenerator())
    exported = Exported(provider)
    provider.add_span_processor(SimpleSpanProcessor(exported.exporter))

    async def main() -> PipelineResult[Any, Any]:
        async with open_system(random_seed=seed, observers=[OpenTelemetryObserver(provider)]) as system:
            resources = random.Random(seed)  # noqa: S311 - not for secrets
            run = await system.start(step, data, context=Board(), resources=resources)
            if stopped_after is not None:
                await trio.sleep(stopped_after)
                run.cancel(reason="enough")
            return await run.wait()

    result = trio.run(main, clock=MockClock(autojump_threshold=0))
    provider.shutdown()

    ours = {int(span.span_id, 16): span for span in result.spans}
    assert sorted(id_of(span) for span in exported.spans) == sorted(ours)
    assert {trace_of(span) for span in exported.spans} == {int(result.run_id, 16)}
    for span in exported.spans:
        own = ours[id_of(span)]
        assert (None if span.parent is None else f"{span.parent.span_id:016x}") == own.parent_span_id
        assert (span.start_time, span.end_time) == (int(own.start_time * 1e9), int((own.end_time or 0) * 1e9))
        assert span.status.status_code is ERROR_OF[own.status]
        assert all(int(own.start_time * 1e9) <= event.timestamp <= (span.end_time or 0) for event in span.events)
    counted = [
        attributes(span).get(f"gen_ai.usage.{kind}_tokens", 0)
        for span in exported.spans
        for kind in ("input", "output")
    ]
    assert sum(counted) == result.total_tokens
