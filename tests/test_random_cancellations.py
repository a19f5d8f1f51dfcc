"""A thousand cancellations at random moments, of every kind of step: nothing is left behind, nothing is forgotten.

A moment is a number of steps that trio's scheduler has taken, so that it falls into spawning, retrying, merging,
cleaning up and storing as often as these take place.
"""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.lowlevel

from flujo_actors import (
    AnyStep,
    CacheStep,
    ConditionalStep,
    ContextMap,
    DynamicParallelRouterStep,
    LoopStep,
    MapStep,
    ParallelStep,
    Pipeline,
    PluginOutcome,
    RefinementCheck,
    RetryPolicy,
    Step,
    System,
    UsageLimitExceededError,
    UsageLimits,
    UsageMeter,
    open_system,
    refine_until,
)
from flujo_actors.storage import SQLiteBackend
from flujo_actors.supervisors import StepActor
from tests.descriptors import LISTED, open_descriptors
from tests.test_laws import nodes

CANCELLATIONS = 1000


@attrs.define
class Board:
    log: list[int] = attrs.Factory(list[int])
    marks: ContextMap[int, int] = attrs.Factory(ContextMap[int, int])


@attrs.define
class Ledger:
    """What the agents of one run have charged."""

    tokens: int = 0
    begun: int = 0
    ended: int = 0


class Builder:
    """Makes random pipelines."""

    def __init__(self, chance: random.Random, ledger: Ledger, system: System) -> None:
        self.chance, self.ledger, self.system = chance, ledger, system
        self.count = 0

    def leaf(self, answer: Callable[[Any], Any] = lambda data: data) -> AnyStep:
        self.count += 1
        number, chance, ledger = self.count, self.chance, self.ledger

        async def agent(data: Any, *, context: Board, usage: UsageMeter) -> Any:
            ledger.begun += 1
            try:
                context.log.append(number)
                context.marks[number] = number
                usage.charge(prompt_tokens=1)
                ledger.tokens += 1
                await trio.sleep(chance.choice([0, 0, 0.0002]))
                if chance.random() < 0.25:
                    raise ValueError("boom")
                if chance.random() < 0.1:
                    inner = Pipeline[Any, Any, Any]("inner", [Step[Any, Any, Any]("again", self.spend)])
                    await self.system.run(inner, data)
                return answer(data)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.lowlevel.checkpoint()
                usage.charge(completion_tokens=1)
                ledger.tokens += 1
                ledger.ended += 1

        retry = RetryPolicy(max_attempts=chance.randint(1, 3), backoff=chance.choice([0.0, 0.0002]))
        return Step[Any, Any, Any](f"leaf{number}", agent, retry=retry, **self.helpers())

    async def spend(self, data: Any, *, usage: UsageMeter) -> Any:
        usage.charge(prompt_tokens=1)
        self.ledger.tokens += 1
        await trio.lowlevel.checkpoint()
        return data

    def helpers(self) -> dict[str, Any]:
        async def approve(output: Any) -> PluginOutcome:
            await trio.lowlevel.checkpoint()
            return PluginOutcome(success=True)

        return {"plugins": [approve]} if self.chance.random() < 0.2 else {}

    def step(self, depth: int) -> AnyStep:
        if depth == 0:
            return self.leaf()
        made = self.chance.choice(
            [self.sequence, self.loop, self.refinement, self.choice, self.fan, self.route, self.map, self.cached]
        )(depth - 1)
        if self.chance.random() < 0.2:
            made = made.with_fallback(self.leaf())
        return attrs.evolve(made, timeout=0.002) if self.chance.random() < 0.1 else made

    def sequence(self, depth: int) -> AnyStep:
        retry = RetryPolicy(max_attempts=self.chance.randint(1, 2))
        return Pipeline[Any, Any, Any]("p", [self.step(depth), self.leaf()], retry=retry)

    def loop(self, depth: int) -> AnyStep:
        return LoopStep[Any, Any, Any](
            "loop",
            self.step(depth),
            exit_condition=lambda output, context: self.chance.random() < 0.4,
            max_loops=3,
            on_max_loops="succeed",
        )

    def refinement(self, depth: int) -> AnyStep:
        critic = self.leaf(lambda data: RefinementCheck(is_complete=self.chance.random() < 0.5))
        return refine_until("refine", self.leaf(), critic, max_refinements=2)

    def choice(self, depth: int) -> AnyStep:
        return ConditionalStep[Any, Any, Any](
            "choice", lambda data, context: self.chance.random() < 0.5, {True: self.step(depth), False: self.leaf()}
        )

    def branches(self, depth: int) -> dict[str, AnyStep]:
        return {"a": self.step(depth), "b": self.leaf(), "c": self.leaf()}

    def fan(self, depth: int) -> AnyStep:
        how: Any = self.chance.choice(["propagate", "ignore", "cancel"])
        return ParallelStep[Any, Any, Any]("fan", self.branches(depth), on_branch_failure=how)

    def route(self, depth: int) -> AnyStep:
        return DynamicParallelRouterStep[Any, Any, Any](
            "route", self.leaf(lambda data: ["a", "c"]), self.branches(depth), max_concurrency=2
        )

    def map(self, depth: int) -> AnyStep:
        return MapStep[Any, Any, Any](
            "map",
            self.step(depth),
            over=lambda data, context: range(3),
            max_concurrency=self.chance.randint(1, 3),
            on_item_failure="ignore",
        )

    def cached(self, depth: int) -> AnyStep:
        return CacheStep[Any, Any, Any]("cached", self.step(depth))


@attrs.define(eq=False)
class AtStep(trio.abc.Instrument):
    """Does something once the scheduler has taken so many steps from now."""

    left: int
    act: Callable[[], object]
    token: trio.lowlevel.TrioToken = attrs.field(factory=trio.lowlevel.current_trio_token)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self.token.run_sync_soon(self.act)


def check(trace: dict[str, Any], tokens: int) -> None:
    def spent(attributes: dict[str, Any]) -> int:
        amount: int = attributes.get("prompt_tokens", 0) + attributes.get("completion_tokens", 0)
        return amount

    assert spent(trace["attributes"]) == tokens
    for node in nodes(trace):
        assert node["status"] in {"completed", "failed", "cancelled"}
        assert node["end_time"] is not None
        for child in node["children"]:
            assert child["parent_span_id"] == node["span_id"]
            assert node["start_time"] <= child["start_time"] <= child["end_time"] <= node["end_time"]
        if node["children"] and node["attributes"]["kind"] != "Step":
            assert sum(spent(child["attributes"]) for child in node["children"]) == spent(node["attributes"])


@contextmanager
def at_a_random_step(chance: random.Random, act: Callable[[], object]) -> Generator[None, None, None]:
    instrument = AtStep(chance.randint(1, 400), act)
    trio.lowlevel.add_instrument(instrument)
    try:
        yield
    finally:
        trio.lowlevel.remove_instrument(instrument)


async def stop_host(system: System, step: AnyStep, chance: random.Random, options: dict[str, Any]) -> None:
    with trio.CancelScope() as host, at_a_random_step(chance, host.cancel):
        await system.run(step, 1, **options)


async def stop_run(system: System, step: AnyStep, chance: random.Random, options: dict[str, Any]) -> None:
    run = await system.start(step, 1, **options)
    with at_a_random_step(chance, lambda: run.cancel(reason="at random")):
        await run.wait()


async def stop_part(system: System, step: AnyStep, chance: random.Random, options: dict[str, Any]) -> None:
    run = await system.start(step, 1, **options)

    def stop() -> None:
        root = run.snapshot()
        if root is not None:
            run.cancel(chance.choice(list(root.walk())).span_id, reason="at random")

    with at_a_random_step(chance, stop):
        await run.wait()


async def stop_one(system: System, backend: SQLiteBackend, chance: random.Random, known: set[str]) -> str:
    """One run of a random pipeline that is stopped at a random moment in a random way. Gives its record's status."""
    ledger = Ledger()
    step = Builder(chance, ledger, system).step(chance.randint(1, 3))
    limits = UsageLimits(total_tokens_limit=chance.randint(3, 12)) if chance.random() < 0.1 else None
    with suppress(UsageLimitExceededError):
        stop = chance.choice([stop_host, stop_run, stop_part])
        await stop(system, step, chance, {"context": Board(), "usage_limits": limits})
    new = [record for record in backend.list_runs(limit=5) if record.run_id not in known]
    if not new:
        assert ledger.tokens == 0, "a run that was stopped before it began has no record"
        return "never begun"
    (record,) = new
    known.add(record.run_id)
    trace = backend.get_trace(record.run_id)
    assert trace is not None
    assert record.total_tokens == ledger.tokens
    assert ledger.begun == ledger.ended
    check(trace, ledger.tokens)
    return str(record.status)


def actors() -> set[int]:
    """Those that anything still refers to."""
    gc.collect()
    return {id(thing) for thing in gc.get_objects() if isinstance(thing, StepActor)}


@pytest.mark.skipif(not LISTED.exists(), reason="the kernel does not list a process's descriptors")
def test_after_a_thousand_random_cancellations_nothing_is_left_and_every_trace_and_total_is_whole(
    tmp_path: Path,
) -> None:
    chance = random.Random(20_261)  # noqa: S311 - not for secrets
    ended: list[str] = []

    async def main() -> None:
        backend = SQLiteBackend(tmp_path / "runs.db")
        async with open_system(storage=backend, random_seed=1) as system:
            known: set[str] = set()
            before = trio.lowlevel.current_statistics().tasks_living
            for _ in range(CANCELLATIONS):
                ended.append(await stop_one(system, backend, chance, known))
                assert trio.lowlevel.current_statistics().tasks_living == before

    trio.run(trio.sleep, 0)  # what trio opens once and keeps
    actors_before, threads, before = actors(), threading.active_count(), open_descriptors()
    trio.run(main)
    assert len(ended) == CANCELLATIONS
    assert all(ended.count(status) > 20 for status in ("cancelled", "failed", "completed"))
    assert open_descriptors() - before == set()
    assert threading.active_count() <= threads + 2  # trio keeps idle threads for some seconds
    assert actors() - actors_before == set()
