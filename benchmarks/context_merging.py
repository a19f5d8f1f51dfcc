"""What isolation and merging cost: each goal of the context engine, measured, next to `copy.deepcopy` and comparison.

    python benchmarks/context_merging.py            the goals
    python benchmarks/context_merging.py --sweep    also sizes 10² to 10⁶, 1 to 1,000 branches, 1 to 100 writes

Thread CPU time, medians of several rounds; ratios are taken within one run. With the `benchmark` dependency group
installed, flujo 0.4.35 and LangGraph do the same work beside it.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import argparse
import copy
import functools
import gc
import importlib.util
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, MutableMapping
from typing import Any

import attrs

from flujo_actors.context import Origin, merge, open_branch


@attrs.define
class Counter:
    """A small context."""

    count: int = 0


@attrs.define
class WithDict:
    """A context with a builtin dict."""

    count: int = 0
    entries: dict[str, int] = attrs.Factory(dict[str, int])


@attrs.define
class WithMap:
    """The same, declared."""

    count: int = 0
    entries: MutableMapping[str, int] = attrs.Factory(dict[str, int])


def numbered(size: int) -> dict[str, int]:
    """A dict of so many keys."""
    return {f"key-{number}": number for number in range(size)}


def seconds(work: Callable[[], object], *, rounds: int = 7, repeat: int = 1) -> float:
    """The median thread CPU time of one execution, in seconds."""
    times: list[float] = []
    work()
    for _ in range(rounds):
        gc.collect()
        begun = time.thread_time_ns()
        for _ in range(repeat):
            work()
        times.append((time.thread_time_ns() - begun) / repeat)
    return statistics.median(times) / 1e9


def row(what: str, measured: float, goal: float, unit: str, note: str = "") -> None:
    """Print a measured value that should be no more than its goal."""
    verdict = "OK" if measured <= goal else f"{measured / goal:.2f} × the goal"
    print(f"{what:<78} {measured:>10.3g} {unit:<3} goal {goal:>7g} {unit:<3} {verdict:<18} {note}")


def at_least(what: str, measured: float, goal: float, note: str = "") -> None:
    """Print a ratio that should be no less than its goal."""
    verdict = "OK" if measured >= goal else f"{measured / goal:.2f} of the goal"
    print(f"{what:<78} {measured:>10.3g} ×   goal {goal:>7g} ×   {verdict:<18} {note}")


# The same work by copying and comparing.


def deepcopy_and_compare(context: Any, writes: list[Callable[[Any], object]]) -> None:
    """One branch for each write: copy it all, compare it all, take over what differs."""
    copies: list[Any] = []
    for write in writes:
        branch = copy.deepcopy(context)
        write(branch)
        copies.append(branch)
    for branch in copies:
        for field in attrs.fields(type(context)):
            mine, theirs = getattr(context, field.name), getattr(branch, field.name)
            if isinstance(mine, dict):
                for key, value in theirs.items():
                    if key not in mine or mine[key] != value:
                        mine[key] = value
            elif mine != theirs:
                setattr(context, field.name, theirs)


def setting(key: str) -> Callable[[Any], object]:
    """A write of one key."""
    return lambda context: context.entries.__setitem__(key, -1)


# The goals.


def forks() -> None:
    """What a fork costs."""
    for size in (100, 1_000_000):
        branch = open_branch(WithDict(0, numbered(size)))
        branch.fork()
        loops = range(10_000)

        def fork(branch: Any = branch, loops: range = loops) -> None:
            for _ in loops:
                branch.fork()

        def nothing(loops: range = loops) -> None:
            for _ in loops:
                pass

        row(
            f"fork, no field touched, {size:,} entries",
            (seconds(fork) - seconds(nothing)) / 1e4 * 1e6,
            0.3,
            "µs",
        )
        row(f"memory of a fork, {size:,} entries", fork_bytes(branch), 256, "B")


def fork_bytes(branch: Any) -> float:
    """The memory of a fork, in bytes."""
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [branch.fork() for _ in range(1000)]
    used = tracemalloc.get_traced_memory()[0] - before - sys.getsizeof(kept)
    tracemalloc.stop()
    return used / len(kept)


def scalar_steps() -> None:
    """What a step costs that sets one number."""
    for origin in (None, Origin(step="p/a")):
        parent = open_branch(Counter())

        def steps(parent: Any = parent, origin: Any = origin) -> None:
            for _ in range(1000):
                child = parent.fork()
                child.context.count = 1
                parent.adopt(child, origin)

        named = "" if origin is None else ", with blame"
        row(f"fork + one scalar write + hand-up{named}", seconds(steps) / 1000 * 1e6, 5, "µs")


def many_branches() -> None:
    """A thousand branches of one large map."""
    data = numbered(100_000)
    parent = open_branch(WithMap(0, data))
    names = [f"key-{number}" for number in range(1000)]

    def work() -> None:
        children = [(name, parent.fork(), None) for name in names]
        for name, child, _ in children:
            child.context.entries[name] = -1
        merge(parent, children)

    mine = seconds(work, rounds=5)
    row("ContextMap of 100,000 entries: 1,000 branches × 1 key, fork + write + merge", mine * 1e3, 6, "ms")
    plain = WithDict(0, data)
    theirs = seconds(lambda: deepcopy_and_compare(plain, [setting(name) for name in names[:5]]), rounds=3) * 200
    at_least(
        "  the same by deepcopy + compare (5 branches measured, × 200)",
        theirs / mine,
        2000,
        f"{theirs:.3g} s",
    )


def per_branch_by_size() -> None:
    """That a branch of a map costs the same at any size."""
    per_branch: list[float] = []
    for size in (100, 1_000_000):
        parent = open_branch(WithMap(0, numbered(size)))

        def work(parent: Any = parent) -> None:
            children = [(str(number), parent.fork(), None) for number in range(50)]
            for number, (_, child, _) in enumerate(children):
                child.context.entries[f"key-{number}"] = -1
            merge(parent, children)

        per_branch.append(seconds(work, rounds=15) / 50)
    note = f"{per_branch[0] * 1e6:.3g} and {per_branch[1] * 1e6:.3g} µs"
    row("per branch, ContextMap of 10⁶ against 10² entries", per_branch[1] / per_branch[0], 2, "×", note)


def touched_builtin() -> None:
    """What a large builtin costs that each branch touches."""
    for size in (100, 10_000, 100_000):
        data = numbered(size)
        parent = open_branch(WithDict(0, data))

        def work(parent: Any = parent) -> None:
            child = parent.fork()
            for number in range(4):
                child.context.entries[f"key-{number}"] = number - 1
            merge(parent, [("a", child, None)])

        repeat = 100_000 // size
        mine = seconds(work, rounds=9, repeat=repeat)
        plain = WithDict(0, data)
        copying = functools.partial(deepcopy_and_compare, plain, [setting("key-1")])
        theirs = seconds(copying, rounds=5, repeat=repeat)
        note = f"{mine * 1e3:.3g} against {theirs * 1e3:.3g} ms"
        if size == 100_000:
            at_least(f"builtin dict of {size:,} touched once per branch, against deepcopy", theirs / mine, 7, note)
        else:
            print(f"  the same with {size:,} entries: {theirs / mine:.3g} ×, {note}")


def bare_inserts(iterations: int, keys: int) -> float:
    """The same inserts in plain Python, in seconds."""

    def work() -> None:
        entries: dict[str, int] = {}
        for iteration in range(iterations):
            for number in range(keys):
                entries[f"{iteration}-{number}"] = number

    return seconds(work, rounds=5)


def loop_inserts(context: Any, iterations: int, keys: int, *, keep: bool) -> float:
    """A loop whose iterations insert keys, in seconds."""

    def work() -> None:
        parent = open_branch(context)
        kept: list[Any] = []
        for iteration in range(iterations):
            child = parent.fork()
            entries = child.context.entries
            for number in range(keys):
                entries[f"{iteration}-{number}"] = number
            del entries
            parent.adopt(child, Origin(iteration=iteration))
            if keep:
                kept.append(child.context)

    return seconds(work, rounds=5)


def loads() -> None:
    """Loops that fill a large context."""
    for iterations in (3, 10):
        bare = bare_inserts(iterations, 100_000)
        mine = loop_inserts(WithDict(), iterations, 100_000, keep=False)
        row(f"loop of {iterations} × 100,000 new keys in a plain dict, against bare inserts", mine / bare, 2, "×",
            f"{mine:.3g} s against {bare:.3g} s")  # fmt: skip
    bare = bare_inserts(1000, 1000)
    for keep in (False, True):
        mine = loop_inserts(WithMap(), 1000, 1000, keep=keep)
        also = ", each result's context kept" if keep else ""
        row(f"loop of 1,000 × 1,000 new keys in a ContextMap, against bare inserts{also}", mine / bare, 2.5, "×",
            f"{mine:.3g} s against {bare:.3g} s")  # fmt: skip
    half = loop_inserts(WithMap(), 500, 1000, keep=False)
    whole = loop_inserts(WithMap(), 1000, 1000, keep=False)
    row("  twice the keys in the same loop", whole / half, 2.6, "×")


def untouched() -> None:
    """That what nobody touches costs nothing."""

    def loop(context: Any) -> float:
        parent = open_branch(context)

        def work() -> None:
            for _ in range(200):
                child = parent.fork()
                child.context.count += 1
                parent.adopt(child)

        return seconds(work, rounds=15)

    empty, full = loop(WithDict()), loop(WithDict(0, numbered(200_000)))
    row("200,000 entries that nobody touches, loop of 200, against an empty context", full / empty, 1.2, "×",
        f"{full / 200 * 1e6:.3g} µs an iteration")  # fmt: skip


def sweep() -> None:
    """Sizes, branches, writes."""
    print("\nµs per branch (fork + writes + merge)          size  branches  writes  ContextMap     dict  deepcopy")
    for size in (100, 10_000, 1_000_000):
        for branches, writes in ((1, 1), (1, 100), (10, 1), (100, 10), (1000, 1)):
            heavy = size * branches > 2_000_000
            cells = [
                _sweep_one(WithMap(0, numbered(size)), branches, writes),
                None if heavy else _sweep_one(WithDict(0, numbered(size)), branches, writes),
                None if heavy else _deepcopy_one(WithDict(0, numbered(size)), branches),
            ]
            shown = "  ".join("       –" if cell is None else f"{cell * 1e6:8.3g}" for cell in cells)
            print(f"{'':<40} {size:>10,}  {branches:>8,}  {writes:>6}    {shown}")


def _sweep_one(context: Any, branches: int, writes: int) -> float:
    parent = open_branch(context)

    def work() -> None:
        children = [(str(number), parent.fork(), None) for number in range(branches)]
        for number, (_, child, _) in enumerate(children):
            entries = child.context.entries
            for write in range(writes):
                entries[f"{number}-{write}"] = object
            del entries
        merge(parent, children)

    return seconds(work, rounds=3) / branches


def _deepcopy_one(context: Any, branches: int) -> float:
    measured = min(branches, 3)
    return seconds(lambda: deepcopy_and_compare(context, [setting("key-1")] * measured), rounds=3) / measured


def branch_memory() -> None:
    """What one write takes."""
    print("\nmemory of a branch after one write of one key, bytes")
    for name, context in (
        ("ContextMap", WithMap(0, numbered(10_000))),
        ("dict", WithDict(0, numbered(10_000))),
    ):
        parent = open_branch(context)
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        kept = [parent.fork() for _ in range(20)]
        for branch in kept:
            branch.context.entries["key-1"] = -1
        print(f"  {name} of 10,000 entries: {(tracemalloc.get_traced_memory()[0] - before) / 20:,.0f}")
        tracemalloc.stop()


def rivals() -> None:
    """Others, where installed."""
    for package in ("flujo", "langgraph"):
        if importlib.util.find_spec(package) is None:
            print(f"({package} is not installed: `pip install --group benchmark` to compare)")
    if importlib.util.find_spec("langgraph") is not None:
        _langgraph()


def _count_one(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "count": 1}


def _langgraph() -> None:
    """One step that sets one number of a shared state with 100,000 entries; nothing is isolated."""
    graph: Any = importlib.import_module("langgraph.graph")
    builder = graph.StateGraph(dict)
    builder.add_node("a", _count_one)
    builder.add_edge(graph.START, "a")
    app = builder.compile()
    state = {"count": 0, "entries": numbered(100_000)}
    print(f"langgraph, one node over 100,000 entries: {seconds(lambda: app.invoke(state)) * 1e6:.3g} µs")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", action="store_true", help="also sizes, branches and writes")
    arguments = parser.parse_args()
    for part in (forks, scalar_steps, many_branches, per_branch_by_size, touched_builtin, loads, untouched):
        part()
    if arguments.sweep:
        sweep()
        branch_memory()
    rivals()


if __name__ == "__main__":
    main()
