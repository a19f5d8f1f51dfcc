"""Generated pipelines of every kind of step, held against a plain interpreter that knows no actors.

`predict` says in a few lines of ordinary Python what each kind of step means: its output, whether it succeeds, what
it writes, what it spends. Whatever the order in which the leaves finish, a run has to come to exactly that.
"""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    CacheStep,
    ConditionalStep,
    ContextMap,
    DynamicParallelRouterStep,
    FailureDomain,
    LoopStep,
    MapStep,
    ParallelStep,
    Pipeline,
    PipelineResult,
    RefinementCheck,
    RetryPolicy,
    Step,
    StepResult,
    UsageMeter,
    open_system,
    refine_until,
)
from flujo_actors.storage import MemoryBackend
from tests.test_laws import nodes

FORGIVEN = 1000
"""What a result that stands for a failed branch or item counts as."""


@attrs.define
class Board:
    """The context: every leaf that succeeds writes its number into both."""

    log: list[int] = attrs.Factory(list[int])
    marks: ContextMap[int, bool] = attrs.Factory(ContextMap[int, bool])


@attrs.frozen
class Outcome:
    """What a step comes to."""

    output: Any
    log: tuple[int, ...]
    """What is in the log after it; of a step that failed, what it had accepted."""
    tokens: int
    failure: FailureDomain | None = None


Log = tuple[int, ...]


@attrs.define
class World:
    """What the interpreter remembers of one run."""

    cached: dict[Any, Outcome] = attrs.Factory(dict[Any, Outcome])


class Plan:
    """A step, and what it means."""

    attempts: int = 1

    def build(self) -> AnyStep:
        raise NotImplementedError

    def once(self, data: Any, log: Log, world: World) -> Outcome:
        raise NotImplementedError

    def predict(self, data: Any, log: Log, world: World) -> Outcome:
        """Attempts, each from the same beginning; all of them are paid."""
        outcome = self.once(data, log, world)
        for _ in range(self.attempts - 1):
            if outcome.failure is FailureDomain.AGENT:
                again = self.once(data, log, world)
                outcome = attrs.evolve(again, tokens=outcome.tokens + again.tokens)
        return outcome


def number_of(data: Any) -> int:
    """Whatever a step gave, as a number that the next can count from."""
    match data:
        case None:
            return 0
        case StepResult():
            return FORGIVEN
        case RefinementCheck():
            return 7
        case dict():
            return sum(number_of(value) for value in data.values())
        case list() | tuple():
            return sum(number_of(value) for value in data)
        case _:
            return int(data)


def failed_on(data: Any, modulus: int) -> bool:
    return modulus > 0 and number_of(data) % modulus == 1


@attrs.frozen
class Leaf(Plan):
    number: int
    modulus: int
    """It fails on inputs that leave 1 when divided by it; never for 0."""
    attempts: int = 1

    def answer(self, data: Any) -> Any:
        return number_of(data) % 97 + 1

    def build(self) -> AnyStep:
        async def agent(data: Any, *, context: Board, usage: UsageMeter, resources: random.Random) -> Any:
            usage.charge(completion_tokens=1)
            context.log.append(self.number)
            context.marks[self.number] = True
            await trio.sleep(resources.random())
            if failed_on(data, self.modulus):
                raise ValueError("boom")
            return self.answer(data)

        return Step(f"leaf{self.number}", agent, retry=RetryPolicy(max_attempts=self.attempts))

    def once(self, data: Any, log: Log, world: World) -> Outcome:
        if failed_on(data, self.modulus):
            return Outcome(None, log, 1, FailureDomain.AGENT)
        return Outcome(self.answer(data), (*log, self.number), 1)


class Generator(Leaf):
    def answer(self, data: Any) -> Any:
        return number_of(data["original_input"]) % 97 + (data["feedback"] or 0) + 1


class Critic(Leaf):
    def answer(self, data: Any) -> Any:
        return RefinementCheck(is_complete=data % 3 == 0, feedback=data % 5)


class Router(Leaf):
    def answer(self, data: Any) -> Any:
        number = number_of(data)
        return [name for name in ("c", "a", "nobody", "b") if number % (ord(name[0]) % 5 + 2)]


@attrs.frozen
class Sequence_(Plan):  # noqa: N801 - `Sequence` is the abstract class
    parts: tuple[Plan, ...]
    attempts: int = 1

    def build(self) -> AnyStep:
        retry = RetryPolicy(max_attempts=self.attempts)
        return Pipeline[Any, Any, Any]("p", [part.build() for part in self.parts], retry=retry)

    def once(self, data: Any, log: Log, world: World) -> Outcome:
        tokens = 0
        for part in self.parts:
            outcome = part.predict(data, log, world)
            data, log, tokens = outcome.output, outcome.log, tokens + outcome.tokens
            if outcome.failure is not None:
                return attrs.evolve(outcome, tokens=tokens)
        return Outcome(data, log, tokens)


@attrs.frozen
class Loop(Plan):
    body: Plan
    rounds: int
    on_max_loops: Any

    def done(self, output: Any) -> bool:
        return number_of(output) % 3 == 0

    def build(self) -> AnyStep:
        return LoopStep[Any, Any, Any](
            "loop",
            self.body.build(),
            exit_condition=lambda output, context: self.done(output),
            max_loops=self.rounds,
            on_max_loops=self.on_max_loops,
        )

    def once(self, data: Any, log: Log, world: World) -> Outcome:
        tokens = 0
        for _ in range(self.rounds):
            outcome = self.body.predict(data, log, world)
            tokens += outcome.tokens
            if outcome.failure is not None:
                return Outcome(None, log, tokens, outcome.failure)
            data, log = outcome.output, outcome.log
            if self.done(data):
                return Outcome(data, log, tokens)
        return Outcome(data, log, tokens, None if self.on_max_loops == "succeed" else FailureDomain.CONDITION)


@attrs.frozen
class Refinement(Plan):
    generator: Leaf
    critic: Leaf
    rounds: int

    def build(self) -> AnyStep:
        return refine_until("refine", self.generator.build(), self.critic.build(), max_refinements=self.rounds)

    def once(self, data: Any, log: Log, world: World) -> Outcome:
        tokens, feedback, check = 0, None, None
        for _ in range(self.rounds):
            made = self.generator.predict({"original_input": data, "feedback": feedback}, log, world)
            tokens += made.tokens
            if made.failure is not None:
                return Outcome(None, log, tokens, made.failure)
            judged = self.critic.predict(made.output, made.log, world)
            tokens += judged.tokens
            if judged.failure is not None:
                return Outcome(None, log, tokens, judged.failure)
            log, check = judged.log, judged.output
            if check.is_complete:
                return Outcome(made.output, log, tokens)
            feedback = check.feedback
        return Outcome(check, log, tokens, FailureDomain.CONDITION)


@attrs.frozen
class Conditional(Plan):
    one: Plan
    other: Plan

    def build(self) -> AnyStep:
        return ConditionalStep[Any, Any, Any](
            "choice",
            lambda data, context: number_of(data) % 2,
            {0: self.one.build()},
            default_branch=self.other.build(),
        )

    def once(self, data: Any, log: Log, world: World) -> Outcome:
        chosen = self.other if number_of(data) % 2 else self.one
        outcome = chosen.predict(data, log, world)
        return outcome if outcome.failure is None else attrs.evolve(outcome, output=None, log=log)


def side_by_side(outcomes: dict[Any, Outcome], log: Log) -> tuple[Log, int]:
    """What those that succeeded wrote, one after another, and what all of them spent."""
    succeeded = [outcome for outcome in outcomes.values() if outcome.failure is None]
    merged = log + tuple(number for outcome in succeeded for number in outcome.log[len(log) :])
    return merged, sum(outcome.tokens for outcome in outcomes.values())


@attrs.frozen
class Parallel(Plan):
    branches: tuple[Plan, ...]
    on_branch_failure: Any
    max_concurrency: int | None

    @property
    def named(self) -> dict[str, Plan]:
        return dict(zip("abc", self.branches, strict=False))

    def options(self) -> dict[str, Any]:
        return {"on_branch_failure": self.on_branch_failure, "max_concurrency": self.max_concurrency}

    def build(self) -> AnyStep:
        branches = {name: branch.build() for name, branch in self.named.items()}
        return ParallelStep[Any, Any, Any]("fan", branches, **self.options())

    def once(self, data: Any, log: Log, world: World) -> Outcome:
        return self.of(list(self.named), data, log, world)

    def of(self, names: Sequence[str], data: Any, log: Log, world: World) -> Outcome:
        outcomes = {name: self.named[name].predict(data, log, world) for name in names}
        merged, tokens = side_by_side(outcomes, log)
        output = {name: outcome.output if outcome.failure is None else FORGIVEN for name, outcome in outcomes.items()}
        failures = [outcome.failure for outcome in outcomes.values() if outcome.failure is not None]
        forgiven = self.on_branch_failure == "ignore" and len(failures) < len(outcomes)
        return Outcome(output, merged, tokens, failures[0] if failures and not forgiven else None)


@attrs.frozen
class Routed(Plan):
    router: Router
    parallel: Parallel

    def build(self) -> AnyStep:
        branches = {name: branch.build() for name, branch in self.parallel.named.items()}
        return DynamicParallelRouterStep[Any, Any, Any](
            "route", self.router.build(), branches, **self.parallel.options()
        )

    def once(self, data: Any, log: Log, world: World) -> Outcome:
        chosen = self.router.predict(data, log, world)
        if chosen.failure is not None:
            return chosen
        names = [name for name in chosen.output if name in self.parallel.named]
        if not names:
            return attrs.evolve(chosen, output={})
        outcome = self.parallel.of(names, data, chosen.log, world)
        return attrs.evolve(outcome, tokens=outcome.tokens + chosen.tokens)


@attrs.frozen
class Map(Plan):
    body: Plan
    count: int
    max_concurrency: int
    on_item_failure: Any

    def build(self) -> AnyStep:
        return MapStep[Any, Any, Any](
            "map",
            self.body.build(),
            over=lambda data, context: range(number_of(data), number_of(data) + self.count),
            max_concurrency=self.max_concurrency,
            on_item_failure=self.on_item_failure,
        )

    def once(self, data: Any, log: Log, world: World) -> Outcome:
        items = range(number_of(data), number_of(data) + self.count)
        if self.max_concurrency > 1:
            outcomes = {item: self.body.predict(item, log, world) for item in items}
            merged, tokens = side_by_side(outcomes, log)
            return Outcome([number_or_forgiven(each) for each in outcomes.values()], merged, tokens)
        outputs: list[Any] = []
        tokens = 0
        for item in items:
            outcome = self.body.predict(item, log, world)
            tokens += outcome.tokens
            outputs.append(number_or_forgiven(outcome))
            if outcome.failure is None:
                log = outcome.log
            elif self.on_item_failure == "fail":
                return Outcome(outputs, log, tokens, outcome.failure)
        return Outcome(outputs, log, tokens)


def number_or_forgiven(outcome: Outcome) -> Any:
    return outcome.output if outcome.failure is None else FORGIVEN


@attrs.frozen
class Cached(Plan):
    body: Plan

    def build(self) -> AnyStep:
        return CacheStep[Any, Any, Any]("cached", self.body.build())

    def once(self, data: Any, log: Log, world: World) -> Outcome:
        key = (id(self), repr(data), log)
        known = world.cached.get(key)
        if known is not None:
            return attrs.evolve(known, tokens=0)
        outcome = self.body.predict(data, log, world)
        if outcome.failure is None and not holds_forgiven(outcome.output):
            world.cached[key] = outcome
        return outcome


def holds_forgiven(output: Any) -> bool:
    parts = output.values() if isinstance(output, dict) else output if isinstance(output, list) else ()
    return FORGIVEN in parts


@attrs.frozen
class WithFallback(Plan):
    primary: Plan
    fallback: Plan

    def build(self) -> AnyStep:
        primary = self.primary.build()
        if primary.fallback is not None:  # a step has one; a second would take its place
            primary = Pipeline[Any, Any, Any]("around", [primary])
        return primary.with_fallback(self.fallback.build())

    def once(self, data: Any, log: Log, world: World) -> Outcome:
        outcome = self.primary.predict(data, log, world)
        if outcome.failure is None:
            return outcome
        instead = self.fallback.predict(data, log, world)
        return attrs.evolve(instead, tokens=outcome.tokens + instead.tokens)


def leaves(kind: Callable[..., Leaf] = Leaf) -> st.SearchStrategy[Any]:
    # `builds` numbers nothing: two leaves that are alike are told apart below, by `numbered`.
    return st.builds(kind, st.just(0), st.sampled_from([0, 0, 2, 3, 5]), st.integers(1, 2))


def composites(inner: st.SearchStrategy[Plan]) -> st.SearchStrategy[Plan]:
    parts = st.lists(inner, min_size=1, max_size=3).map(tuple)
    parallel = st.builds(
        Parallel, parts, st.sampled_from(["propagate", "ignore"]), st.none() | st.integers(min_value=1, max_value=2)
    )
    return st.one_of(
        st.builds(Sequence_, parts, st.integers(1, 2)),
        st.builds(Loop, inner, st.integers(1, 3), st.sampled_from(["fail", "succeed"])),
        st.builds(Refinement, leaves(Generator), leaves(Critic), st.integers(1, 3)),
        st.builds(Conditional, inner, inner),
        parallel,
        st.builds(Routed, leaves(Router), parallel),
        st.builds(Map, inner, st.integers(0, 3), st.just(1), st.sampled_from(["fail", "ignore"])),
        st.builds(Map, inner, st.integers(0, 3), st.integers(2, 3), st.just("ignore")),
        st.builds(WithFallback, inner, inner),
    )


uncached: st.SearchStrategy[Plan] = st.recursive(leaves(), composites, max_leaves=8)
plans: st.SearchStrategy[Plan] = uncached | st.builds(
    lambda inner, rounds: Loop(Sequence_((Cached(inner), Leaf(0, 0))), rounds, "succeed"), uncached, st.integers(1, 4)
)
"""A cached step is run again by a loop only: items side by side may or may not find what another one made."""


def numbered(plan: Any, numbers: Iterator[int]) -> Any:
    """The plan with a number of its own for each leaf."""
    if isinstance(plan, tuple):
        return tuple(numbered(part, numbers) for part in plan)
    if not isinstance(plan, Plan):
        return plan
    kind: Any = type(plan)
    fields = {field.name: numbered(getattr(plan, field.name), numbers) for field in attrs.fields(kind)}
    if isinstance(plan, Leaf):
        fields["number"] = next(numbers)
    return kind(**fields)


def run(
    step: AnyStep, data: Any, *, seed: int, times: int = 1, backend: MemoryBackend | None = None
) -> list[PipelineResult[Any, Any]]:
    """Runs at the same time on one system each, with agents that take seeded times."""
    results: list[PipelineResult[Any, Any]] = []

    async def one(number: int) -> None:
        async with open_system(storage=backend, random_seed=seed + number) as system:
            resources = random.Random(seed + number)  # noqa: S311 - not for secrets
            results.append(await system.run(step, data, context=Board(), resources=resources))

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(times):
                nursery.start_soon(one, number)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    return results


def told(result: PipelineResult[Any, Any]) -> tuple[Any, ...]:
    """What a run came to, without what depends on times."""
    return (
        result.success,
        number_of(result.output) if result.success else None,
        tuple(result.context.log),
        set(result.context.marks),
        result.total_tokens,
        result.failure.domain if result.failure else None,
        result.failure.feedback if result.failure else None,
    )


def check_trace(trace: dict[str, Any]) -> None:
    for node in nodes(trace):
        assert node["status"] in {"completed", "failed"}
        attributes = node["attributes"]
        for part in [*node["children"], *attributes.get("attempts", [])]:
            assert node["start_time"] <= part["start_time"] <= part["end_time"] <= node["end_time"]
        if node["children"]:
            inside = sum(child["attributes"].get("completion_tokens", 0) for child in node["children"])
            own = attributes.get("completion_tokens", 0)
            assert inside == own or (attributes["kind"] == "Step" and inside <= own), (
                "a leaf has its own, and a fallback"
            )


@settings(max_examples=300, deadline=None)
@given(plans, st.integers(0, 6), st.integers(0, 3))
def test_a_pipeline_of_any_shape_comes_to_what_its_steps_mean(plan: Any, data: int, seed: int) -> None:
    plan = numbered(plan, iter(range(1, 1000)))
    expected = plan.predict(data, (), World())
    backend = MemoryBackend()
    (result,) = run(plan.build(), data, seed=seed, backend=backend)

    assert result.success == (expected.failure is None)
    assert (result.failure.domain if result.failure else None) == expected.failure
    assert tuple(result.context.log) == expected.log
    assert set(result.context.marks) == set(expected.log)
    assert result.total_tokens == expected.tokens
    if result.success:
        assert number_of(result.output) == number_of(expected.output)
    assert backend.get_trace(result.run_id) == result.trace_tree
    check_trace(result.trace_tree)


@settings(max_examples=60, deadline=None)
@given(plans, st.integers(0, 6))
def test_what_comes_out_does_not_depend_on_who_finishes_first(plan: Any, data: int) -> None:
    step = numbered(plan, iter(range(1, 1000))).build()
    assert len({repr(told(result)) for seed in range(4) for result in run(step, data, seed=seed)}) == 1


@settings(max_examples=15, deadline=None)
@given(plans, st.integers(0, 6))
def test_one_pipeline_object_run_fifty_times_at_once_gives_fifty_equal_results(plan: Any, data: int) -> None:
    step = numbered(plan, iter(range(1, 1000))).build()
    results = run(step, data, seed=0, times=50)
    assert len(results) == 50
    assert len({repr(told(result)) for result in results}) == 1
