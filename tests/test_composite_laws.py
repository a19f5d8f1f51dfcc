"""Laws of runs of composites, with fallbacks, retries and timeouts, cancelled or over a limit at any time."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    ConditionalStep,
    LoopStep,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    Step,
    UsageLimitExceededError,
    UsageLimits,
    UsageMeter,
    open_system,
)
from flujo_actors.storage import MemoryBackend
from tests.test_laws import act, nodes

CENT = Decimal("0.01")


@attrs.define
class Notes:
    lines: list[int] = attrs.Factory(list[int])


@attrs.define
class Ledger:
    calls: int = 0


Plan = Callable[[Ledger], AnyStep]


def leaf(acts: list[str], options: dict[str, Any]) -> Plan:
    def build(ledger: Ledger) -> AnyStep:
        coming = iter(acts)

        async def agent(data: Any, *, context: Notes, usage: UsageMeter) -> int:
            ledger.calls += 1
            number = ledger.calls
            context.lines.append(number)
            usage.charge(cost_usd=0.01)
            await act(next(coming, acts[-1]))
            return number

        return Step("leaf", agent, **options)

    return build


def loop(body: Plan, rounds: int, options: dict[str, Any]) -> Plan:
    return lambda ledger: LoopStep[Any, Any, Any](
        "loop", body(ledger), exit_condition=lambda output, context: output % 3 == 0, max_loops=rounds, **options
    )


def conditional(one: Plan, other: Plan, options: dict[str, Any]) -> Plan:
    return lambda ledger: ConditionalStep[Any, Any, Any](
        "choice",
        lambda data, context: len(context.lines) % 2,
        {0: one(ledger)},
        default_branch=other(ledger),
        **options,
    )


def pipeline(parts: list[Plan], options: dict[str, Any]) -> Plan:
    return lambda ledger: Pipeline[Any, Any, Any]("p", [part(ledger) for part in parts], **options)


def with_fallback(step: Plan, fallback: Plan) -> Plan:
    return lambda ledger: step(ledger).with_fallback(fallback(ledger))


acts = st.lists(
    st.sampled_from(["return", "raise", "sleep", "sleep long", "sleep and raise", "be stubborn", "raise in cleanup"]),
    min_size=1,
    max_size=3,
)
options = st.fixed_dictionaries(
    {
        "retry": st.builds(RetryPolicy, max_attempts=st.integers(1, 2), backoff=st.sampled_from([0.0, 1.5])),
        "timeout": st.sampled_from([None, None, 2.5, 6.0]),
    }
)
plans: st.SearchStrategy[Plan] = st.recursive(
    st.builds(leaf, acts, options),
    lambda inner: st.one_of(
        st.builds(loop, inner, st.integers(1, 3), options),
        st.builds(conditional, inner, inner, options),
        st.builds(pipeline, st.lists(inner, min_size=1, max_size=3), options),
        st.builds(with_fallback, inner, inner),
    ),
    max_leaves=6,
)


def cents(attributes: dict[str, Any]) -> int:
    cost: float = attributes.get("cost_usd", 0)
    return round(cost * 100)


@settings(max_examples=200, deadline=None)
@given(plans, st.none() | st.sampled_from([0.0, 1.0, 2.0, 2.5, 4.0, 5.5]), st.none() | st.integers(0, 6))
def test_every_run_adds_up(plan: Plan, cancelled_at: float | None, limit: int | None) -> None:
    ledger, backend = Ledger(), MemoryBackend()
    step = plan(ledger)
    limits = None if limit is None else UsageLimits(total_cost_usd_limit=limit * CENT)

    async def main() -> tuple[bool, PipelineResult[Any, Any]]:
        async with open_system(storage=backend, random_seed=0) as system:
            handle = await system.start(step, 1, context=Notes(), usage_limits=limits)
            try:
                if cancelled_at is not None:
                    with trio.move_on_after(cancelled_at):
                        return False, await handle.wait()
                    handle.cancel(reason="enough")
                return False, await handle.wait()
            except UsageLimitExceededError as error:
                return True, error.result

    breached, result = trio.run(main, clock=MockClock(autojump_threshold=0))

    assert result.total_cost_usd == float(ledger.calls * CENT)
    assert breached == (limit is not None and ledger.calls > limit)
    # Nothing goes on after a breach, so what is above the limit is the one call that breached it.
    if breached:
        assert ledger.calls == (limit or 0) + 1

    root = result.trace_tree
    assert backend.get_trace(result.run_id) == root
    for node in nodes(root):
        assert node["status"] in {"completed", "failed", "cancelled"}
        assert (node["status"] == "completed") == ("failure" not in node["attributes"])
        for part in [*node["children"], *node["attributes"].get("attempts", [])]:
            assert node["start_time"] <= part["start_time"] <= part["end_time"] <= node["end_time"]
        if node["attributes"]["kind"] != "Step" and node["children"]:
            assert sum(cents(child["attributes"]) for child in node["children"]) == cents(node["attributes"])

    # A write is of a call, and none is there twice.
    assert set(result.context.lines) <= set(range(1, ledger.calls + 1))
    assert result.context.lines == sorted(set(result.context.lines))
    if result.success:
        assert result.output in result.context.lines
