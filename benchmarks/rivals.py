"""The same work by flujo 0.4.35 and by LangGraph, as their users would write it, beside flujo_actors.

Both are extras of benchmarks (`pip install --group benchmark`); `context_merging.py` ends with this comparison, and
`python benchmarks/rivals.py` makes it alone.

Every variant is run once before it is measured, and what it leaves in its state is looked at: one that fails, or does
not do the work, gets a line that says so in the place of a number. A measured run is a whole one: it begins with the
user's data and ends with the merged result. The CPU time is that of the process, for some use threads.
"""

# Neither package need be there, so nothing is known of their types.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import importlib
import importlib.metadata
import logging
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, TypeAlias, TypedDict

import attrs
import trio
from measuring import WithDict, WithMap, deepcopy_and_compare, numbered, peak_bytes, setting, short, taking_turns

from flujo_actors import Pipeline, Step, open_system
from flujo_actors.context import merge, open_branch

ContextClass: TypeAlias = type[WithDict] | type[WithMap]
Entries: TypeAlias = Mapping[str, Any]
Run: TypeAlias = Callable[[], Entries]


@attrs.frozen
class Work:
    """So many steps or branches, each adding so many keys to a dict that had so many entries before."""

    parts: int
    keys: int
    size: int
    rounds: int = 7

    def base(self) -> dict[str, int]:
        """The entries at the beginning."""
        return numbered(self.size)

    def added(self, part: int) -> dict[str, int]:
        """The entries that one step or branch adds."""
        return {f"{part}-{number}": part for number in range(self.keys)}

    def missing(self, entries: Entries) -> int:
        """How many of the entries that should be there are not."""
        wanted = [item for part in range(self.parts) for item in self.added(part).items()]
        wanted += self.base().items()
        return sum(entries.get(key) != value for key, value in wanted)


@attrs.frozen
class Variant:
    """One way of doing the work."""

    name: str
    prepare: Callable[[Work], Run]
    package: str | None = None


# flujo_actors and plain Python.


def our_steps(context_class: ContextClass) -> Callable[[Work], Run]:
    """Steps in sequence, by the runtime."""

    def prepare(work: Work) -> Run:
        async def add(part: int, *, context: Any) -> int:
            context.entries.update(work.added(part))
            return part + 1

        pipeline: Pipeline[int, int, Any] = Pipeline("all", [Step(f"add{part}", add) for part in range(work.parts)])
        context = context_class(0, work.base())

        async def run() -> Entries:
            async with open_system() as system:
                result = await system.run(pipeline, 0, context=context)
            entries: Entries = result.context.entries
            return entries

        return lambda: trio.run(run)

    return prepare


def our_branches(context_class: ContextClass) -> Callable[[Work], Run]:
    """Branches, by the context engine alone."""

    def prepare(work: Work) -> Run:
        context = context_class(0, work.base())

        def run() -> Entries:
            parent = open_branch(context)
            children = [(f"add{part}", parent.fork(), None) for part in range(work.parts)]
            for part, (_, child, _) in enumerate(children):
                child.context.entries.update(work.added(part))
            merge(parent, children)
            entries: Entries = parent.publish().entries
            return entries

        return run

    return prepare


def deepcopied_branches(work: Work) -> Run:
    """Branches, by copying and comparing."""
    base = work.base()
    writes = [setting(key, value) for part in range(work.parts) for key, value in work.added(part).items()]

    def run() -> Entries:
        context = WithDict(0, dict(base))
        deepcopy_and_compare(context, writes)
        return context.entries

    return run


# flujo 0.4.35. What is shared is the `scratchpad` of its `PipelineContext`, the one dict that a strategy of its own
# merges key by key. Tracing is off, and what it would save after every step is thrown away.


def _flujo_add(work: Work, part: int | None) -> Any:
    """A step; `None`: the part is the step's input."""
    flujo, models = importlib.import_module("flujo"), importlib.import_module("flujo.domain.models")

    async def add(data: int, *, context: Any) -> int:
        context.scratchpad.update(work.added(data if part is None else part))
        return data + 1

    add.__annotations__["context"] = models.PipelineContext  # it insists on a model
    return flujo.Step.from_callable(add, name=f"add{part}")


def _flujo_run(work: Work, pipeline: Any) -> Run:
    flujo, states = importlib.import_module("flujo"), importlib.import_module("flujo.state")
    models = importlib.import_module("flujo.domain.models")
    logging.getLogger("flujo").setLevel(logging.CRITICAL)

    async def nothing(*_arguments: object) -> None:
        pass

    methods: Any = states.StateBackend.__abstractmethods__
    forgetful: Any = type("Forgetful", (states.StateBackend,), dict.fromkeys(methods, nothing))
    runner = flujo.Flujo(
        pipeline, context_model=models.PipelineContext, state_backend=forgetful(), enable_tracing=False
    )
    data = {"initial_prompt": "", "scratchpad": work.base()}

    def run() -> Entries:
        entries: Entries = runner.run(0, initial_context_data=data).final_pipeline_context.scratchpad
        return entries

    return run


def flujo_steps(work: Work) -> Run:
    """Steps in sequence."""
    pipeline = _flujo_add(work, 0)
    for part in range(1, work.parts):
        pipeline = pipeline >> _flujo_add(work, part)
    return _flujo_run(work, pipeline)


def flujo_loop(work: Work) -> Run:
    """One step in a loop."""
    flujo = importlib.import_module("flujo")
    body = flujo.Pipeline.from_step(_flujo_add(work, None))

    def done(output: int, _context: object) -> bool:
        return output >= work.parts

    return _flujo_run(work, flujo.Step.loop_until("loop", body, done, max_loops=work.parts))


def flujo_branches(work: Work) -> Run:
    """Branches."""
    flujo, steps = importlib.import_module("flujo"), importlib.import_module("flujo.domain.dsl.step")
    branches = {f"add{part}": _flujo_add(work, part) for part in range(work.parts)}
    strategy = steps.MergeStrategy.MERGE_SCRATCHPAD
    return _flujo_run(work, flujo.Step.parallel("all", branches, merge_strategy=strategy))


# LangGraph, without a checkpointer. Nodes share the state and return what is new; nothing is isolated.


def _updated(old: dict[str, int], new: dict[str, int]) -> dict[str, int]:
    old.update(new)
    return old


class United(TypedDict):
    """A state that is made anew by `|` with what a node returns."""

    count: int
    entries: Annotated[dict[str, int], operator.or_]


class Updated(TypedDict):
    """A state that is changed in place: whoever has it sees it change."""

    count: int
    entries: Annotated[dict[str, int], _updated]


def _langgraph_run(work: Work, builder: Any) -> Run:
    app = builder.compile()
    state = {"count": 0, "entries": work.base()}
    config = {"recursion_limit": work.parts + 10}

    def run() -> Entries:
        entries: Entries = app.invoke(state, config)["entries"]
        return entries

    return run


def langgraph_loop(state_class: type) -> Callable[[Work], Run]:
    """One node in a loop."""

    def prepare(work: Work) -> Run:
        graph = importlib.import_module("langgraph.graph")

        def add(state: Any) -> Any:
            return {"count": state["count"] + 1, "entries": work.added(state["count"])}

        def following(state: Any) -> Any:
            return graph.END if state["count"] >= work.parts else "add"

        builder = graph.StateGraph(state_class)
        builder.add_node("add", add)
        builder.add_edge(graph.START, "add")
        builder.add_conditional_edges("add", following)
        return _langgraph_run(work, builder)

    return prepare


def langgraph_branches(state_class: type) -> Callable[[Work], Run]:
    """Nodes side by side."""

    def prepare(work: Work) -> Run:
        graph = importlib.import_module("langgraph.graph")

        def adding(part: int) -> Callable[[Any], Any]:
            return lambda _state: {"entries": work.added(part)}

        builder = graph.StateGraph(state_class)
        for part in range(work.parts):
            builder.add_node(f"add{part}", adding(part))
            builder.add_edge(graph.START, f"add{part}")
        return _langgraph_run(work, builder)

    return prepare


# The comparison.

STEPS = (
    Variant("flujo_actors, Pipeline, dict", our_steps(WithDict)),
    Variant("flujo_actors, Pipeline, ContextMap", our_steps(WithMap)),
    Variant("flujo, steps in sequence", flujo_steps, "flujo"),
    Variant("flujo, LoopStep", flujo_loop, "flujo"),
    Variant("LangGraph, loop, state | update", langgraph_loop(United), "langgraph"),
    Variant("LangGraph, loop, changed in place", langgraph_loop(Updated), "langgraph"),
)
BRANCHES = (
    Variant("flujo_actors.context, dict", our_branches(WithDict)),
    Variant("flujo_actors.context, ContextMap", our_branches(WithMap)),
    Variant("copy.deepcopy + compare", deepcopied_branches),
    Variant("flujo, ParallelStep, MERGE_SCRATCHPAD", flujo_branches, "flujo"),
    Variant("LangGraph, state | update", langgraph_branches(United), "langgraph"),
    Variant("LangGraph, changed in place", langgraph_branches(Updated), "langgraph"),
)
STEP_WORKS = (Work(100, 10, 0), Work(100, 1, 10_000, rounds=3), Work(20, 1_000, 0, rounds=5))
BRANCH_WORKS = (
    Work(10, 1, 100),
    Work(10, 1, 10_000),
    Work(10, 1, 100_000, rounds=3),
    Work(100, 1, 10_000, rounds=3),
    Work(1_000, 1, 1_000, rounds=3),
)


def usable(packages: Iterable[str]) -> set[str]:
    """Those rivals that are there; say of each which version it is, or why it is left out."""
    found: set[str] = set()
    missing: list[str] = []
    for package in packages:
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
            continue
        try:
            importlib.import_module(package)
        except ImportError as error:
            print(f"{package} {version} is left out, it cannot be imported: {error}")
            continue
        print(f"{package} {version}")
        found.add(package)
    if missing:
        print(f"Not installed: {', '.join(missing)}. To compare: pip install --group benchmark")
    return found


def first_run(variant: Variant, work: Work) -> tuple[Run | None, str]:
    """The variant ready to be measured; or `None`, and what is wrong with it."""
    try:
        run = variant.prepare(work)
        entries = run()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what the line says
        return None, f"{type(error).__name__}: {error}".splitlines()[0]
    missing = work.missing(entries)
    total = work.parts * work.keys + work.size
    return (None, f"afterwards {missing:,} of {total:,} entries are missing") if missing else (run, "")


def compare(title: str, unit: str, work: Work, variants: list[Variant], *, memory: bool) -> None:
    """Measure all variants in turns and print them."""
    prepared = [first_run(variant, work) for variant in variants]
    runs = [run for run, _ in prepared if run is not None]
    times = dict(zip(map(id, runs), taking_turns(runs, work.rounds), strict=True))
    base = times.get(id(prepared[0][0]))
    print(f"\n{title:<56} {'µs a ' + unit:>12} {'ratio':>9} {'peak B a ' + unit if memory else '':>16}")
    for variant, (run, wrong) in zip(variants, prepared, strict=True):
        if run is None:
            print(f"  {variant.name:<54} {'–':>12}   {wrong}")
            continue
        ratio = f"{short(times[id(run)] / base)} ×" if base else ""
        peak = f"{peak_bytes(run) / work.parts:,.0f}" if memory else ""
        print(f"  {variant.name:<54} {short(times[id(run)] / work.parts * 1e6):>12} {ratio:>9} {peak:>16}")


INTRODUCTION = """
The same work by others. flujo: nothing is saved or traced. LangGraph: no checkpoints, nothing is isolated.
Whole runs from the user's data to the merged result, process CPU, medians of turns; ratios to the first line.
The branches of flujo_actors are forked, written and merged by its context package alone; those of the others are
scheduled, too. What its own scheduling adds is in benchmarks/composites.py."""


def compare_all() -> None:
    """Steps in sequence, then branches."""
    print(INTRODUCTION)
    there = usable(("flujo", "langgraph"))
    steps = [variant for variant in STEPS if variant.package is None or variant.package in there]
    branches = [variant for variant in BRANCHES if variant.package is None or variant.package in there]
    for work in STEP_WORKS:
        title = f"{work.parts:,} steps, each adds {work.keys:,} to a dict of {work.size:,}"
        compare(title, "step", work, steps, memory=False)
    for work in BRANCH_WORKS:
        title = f"{work.parts:,} branches, each adds {work.keys:,} to a dict of {work.size:,}"
        compare(title, "branch", work, branches, memory=True)


if __name__ == "__main__":
    compare_all()
