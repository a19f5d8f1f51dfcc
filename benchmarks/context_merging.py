"""What isolation and merging cost: each goal of the context engine, measured, next to `copy.deepcopy` and comparison.

    python benchmarks/context_merging.py            the goals, then the same work by flujo 0.4.35 and LangGraph
    python benchmarks/context_merging.py --sweep    also sizes 10² to 10⁶, 1 to 1,000 branches, 1 to 100 writes

Thread CPU time, medians of several rounds; ratios are taken within one run. The others take part where the
`benchmark` dependency group is installed (`rivals.py`).
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import argparse
import itertools
import sys
import tracemalloc
from typing import Any

import rivals
import sweep
from measuring import Counter, WithDict, WithMap, deepcopy_and_compare, numbered, seconds, setting

from flujo_actors.context import Origin, merge, open_branch

FRESH = itertools.count(10**9)
"""Values that nothing has yet: what is measured again must change something again."""


def row(what: str, measured: float, goal: float, unit: str, note: str = "") -> None:
    """Print a measured value that should be no more than its goal."""
    verdict = "OK" if measured <= goal else f"{measured / goal:.2f} × the goal"
    print(f"{what:<78} {measured:>10.3g} {unit:<3} goal {goal:>7g} {unit:<3} {verdict:<18} {note}")


def at_least(what: str, measured: float, goal: float, note: str = "") -> None:
    """Print a ratio that should be no less than its goal."""
    verdict = "OK" if measured >= goal else f"{measured / goal:.2f} of the goal"
    print(f"{what:<78} {measured:>10.3g} ×   goal {goal:>7g} ×   {verdict:<18} {note}")


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
            for number in range(1000):
                child = parent.fork()
                child.context.count = number
                parent.adopt(child, origin)

        named = "" if origin is None else ", with blame"
        row(f"fork + one scalar write + hand-up{named}", seconds(steps) / 1000 * 1e6, 5, "µs")


def many_branches() -> None:
    """A thousand branches of one large map."""
    data = numbered(100_000)
    parent = open_branch(WithMap(0, data))
    names = [f"key-{number}" for number in range(1000)]

    def work() -> None:
        value = next(FRESH)
        children = [(name, parent.fork(), None) for name in names]
        for name, child, _ in children:
            child.context.entries[name] = value
        merge(parent, children)

    mine = seconds(work, rounds=5)
    row("ContextMap of 100,000 entries: 1,000 branches × 1 key, fork + write + merge", mine * 1e3, 6, "ms")
    plain = WithDict(0, data)
    theirs = 200 * seconds(
        lambda: deepcopy_and_compare(plain, [setting(name, next(FRESH)) for name in names[:5]]), rounds=3
    )
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
            value = next(FRESH)
            children = [(str(number), parent.fork(), None) for number in range(50)]
            for number, (_, child, _) in enumerate(children):
                child.context.entries[f"key-{number}"] = value
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
                child.context.entries[f"key-{number}"] = next(FRESH)
            merge(parent, [("a", child, None)])

        repeat = 100_000 // size
        mine = seconds(work, rounds=9, repeat=repeat)
        plain = WithDict(0, data)

        def copying(plain: WithDict = plain) -> None:
            deepcopy_and_compare(plain, [setting("key-1", next(FRESH))])

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


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sweep", action="store_true", help="also sizes, branches and writes")
    arguments = parser.parse_args()
    for part in (forks, scalar_steps, many_branches, per_branch_by_size, touched_builtin, loads, untouched):
        part()
    if arguments.sweep:
        sweep.sweep()
    rivals.compare_all()


if __name__ == "__main__":
    main()
