"""Laws that hold for every run, whatever its steps do and whenever it is cancelled."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    SpanStatus,
    Step,
    StepResult,
    UsageMeter,
    open_system,
)
from flujo_actors.storage import MemoryBackend

CENT = Decimal("0.01")


@attrs.define
class Notes:
    lines: list[int] = attrs.Factory(list[int])


@attrs.frozen
class Behaviour:
    """What one agent does at each of its calls; the last one repeats."""

    acts: tuple[str, ...]

    def step(self, ledger: Ledger, retry: RetryPolicy, timeout: float | None) -> AnyStep:
        calls = iter([*self.acts, *([self.acts[-1]] * 100)])

        async def agent(data: Any, *, context: Notes, usage: UsageMeter) -> int:
            number = ledger.begin_call()
            usage.charge(cost_usd=0.01)
            context.lines.append(number)
            await act(next(calls))
            return number

        return Step("leaf", agent, retry=retry, timeout=timeout)


async def act(how: str) -> None:
    match how:
        case "return":
            pass
        case "raise":
            raise ValueError("boom")
        case "sleep":
            await trio.sleep(1)
        case "sleep long":
            await trio.sleep(7)
        case "sleep and raise":
            await trio.sleep(2)
            raise ValueError("boom")
        case "be stubborn":
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
        case "raise in cleanup":
            try:
                await trio.sleep(7)
            finally:
                raise OSError("cleaning up")
        case "fail in a nursery":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep, 4)
                nursery.start_soon(act, "sleep and raise")
        case _:
            raise AssertionError(how)


@attrs.define
class Ledger:
    """What the agents know of themselves."""

    calls: int = 0

    def begin_call(self) -> int:
        self.calls += 1
        return self.calls


ACTS = [
    "return",
    "raise",
    "sleep",
    "sleep long",
    "sleep and raise",
    "be stubborn",
    "raise in cleanup",
    "fail in a nursery",
]
behaviours = st.lists(st.sampled_from(ACTS), min_size=1, max_size=3).map(lambda acts: Behaviour(tuple(acts)))
policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 3),
    backoff=st.sampled_from([0.0, 1.5]),
    total_timeout=st.sampled_from([None, None, 5.0]),
)
timeouts = st.sampled_from([None, None, 2.5, 6.0])


@attrs.frozen
class Tree:
    """A pipeline to be: a behaviour for a leaf, or parts."""

    content: Behaviour | tuple[Tree, ...]
    retry: RetryPolicy
    timeout: float | None

    def build(self, ledger: Ledger) -> AnyStep:
        if isinstance(self.content, Behaviour):
            return self.content.step(ledger, self.retry, self.timeout)
        parts = [part.build(ledger) for part in self.content]
        return Pipeline("p", parts, retry=self.retry, timeout=self.timeout)

    def retries_composites(self) -> bool:
        if isinstance(self.content, Behaviour):
            return False
        return self.retry.max_attempts > 1 or any(part.retries_composites() for part in self.content)


trees: st.SearchStrategy[Tree] = st.recursive(
    st.builds(Tree, behaviours, policies, timeouts),
    lambda inner: st.builds(Tree, st.lists(inner, min_size=1, max_size=3).map(tuple), policies, timeouts),
    max_leaves=6,
)


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node["children"]:
        yield from nodes(child)


def leaves_of(results: tuple[StepResult, ...]) -> Iterator[StepResult]:
    for result in results:
        if result.name == "leaf":
            yield result
        yield from leaves_of(result.step_history)


@settings(max_examples=200, deadline=None)
@given(trees, st.none() | st.sampled_from([0.0, 0.5, 1.0, 2.0, 2.5, 3.0, 4.0, 5.5, 7.0]))
def test_every_run_adds_up(tree: Tree, cancelled_at: float | None) -> None:
    ledger, backend = Ledger(), MemoryBackend()
    step = tree.build(ledger)

    async def main() -> PipelineResult[Any, Any]:
        async with open_system(storage=backend, random_seed=0) as system:
            began = trio.current_time()
            handle = await system.start(step, 1, context=Notes())
            if cancelled_at is not None:
                with trio.move_on_at(began + cancelled_at):
                    return await handle.wait()
                handle.cancel(reason="enough")
            return await handle.wait()

    result = trio.run(main, clock=MockClock(autojump_threshold=0))

    # Every call's cent is counted, once.
    assert result.total_cost_usd == float(ledger.calls * CENT)
    leaves = list(leaves_of(result.step_history))
    assert sum(round(leaf.cost_usd * 100) for leaf in leaves) == ledger.calls
    assert sum(leaf.attempts for leaf in leaves) == ledger.calls

    # The trace is one tree in which everything has ended within what it is part of.
    root = result.trace_tree
    assert backend.get_trace(result.run_id) == root
    assert root["status"] == str(result.status)
    for node in nodes(root):
        assert node["status"] in {"completed", "failed", "cancelled"}
        assert (node["status"] == "completed") == ("failure" not in node["attributes"])
        for part in [*node["children"], *node["attributes"].get("attempts", [])]:
            assert node["start_time"] <= part["start_time"] <= part["end_time"] <= node["end_time"]
        cents = [round(child["attributes"].get("cost_usd", 0) * 100) for child in node["children"]]
        if node["children"]:
            assert sum(cents) == round(node["attributes"].get("cost_usd", 0) * 100)
        tries = node["attributes"].get("attempts")
        if tries:
            assert sum(round(each.get("cost_usd", 0) * 100) for each in tries) == round(
                node["attributes"].get("cost_usd", 0) * 100
            )

    # What succeeded has left its writes, and nothing else has.
    if not tree.retries_composites():
        assert len(result.context.lines) == sum(leaf.success for leaf in leaves)
        assert result.context.lines == sorted(result.context.lines)
    if result.success:
        assert result.output == result.context.lines[-1]
        assert result.failure is None
    else:
        assert result.failure is not None
    if result.status is SpanStatus.CANCELLED:
        assert result.failure is not None
        assert result.failure.feedback == "Cancelled: enough"
