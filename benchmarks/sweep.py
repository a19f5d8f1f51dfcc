"""What a branch costs by the size of the context, the number of branches and the number of writes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from measuring import WithDict, WithMap, deepcopy_and_compare, numbered, peak_bytes, seconds, short

from flujo_actors.context import ContextBranch, merge, open_branch

SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
SHAPES = ((1, 1), (1, 100), (10, 1), (10, 100), (100, 10), (1000, 1), (1000, 100))
"""Branches, and writes of each."""
MOST_COPIED = 10_000_000


def sweep() -> None:
    """Print the table."""
    print(
        "\nPer branch: fork, writes of keys that no other branch writes, merge; CPU time in µs, peak memory in bytes."
    )
    print(
        f"–: all branches together would copy more than {MOST_COPIED:,} entries. `copy.deepcopy` + compare has no more"
    )
    print("to do for more branches and next to nothing for more writes: it is measured once for each size.")
    for size in SIZES:
        print()
        copied, copied_bytes = _measured(copying(WithDict(0, numbered(size))), 1, 1 if size >= 1_000_000 else 5)
        print(f"{size:,} entries; deepcopy + compare: {short(copied)} µs, {copied_bytes:,.0f} B")
        print(f"  {'branches':>8} {'writes':>6}   {'ContextMap: µs':>14} {'B':>10} {'deepcopy takes':>14}", end="")
        print(f"   {'dict: µs':>14} {'B':>10} {'deepcopy takes':>14}")
        parents = {"map": open_branch(WithMap(0, numbered(size))), "dict": open_branch(WithDict(0, numbered(size)))}
        for branches, writes in SHAPES:
            if branches * writes <= size:
                _line(parents, size, copied, branches, writes)


def _line(parents: Mapping[str, ContextBranch], size: int, copied: float, branches: int, writes: int) -> None:
    print(f"  {branches:>8,} {writes:>6}", end="")
    for kind, parent in parents.items():
        if kind == "dict" and size * branches > MOST_COPIED:
            print(f"   {'–':>14} {'–':>10} {'–':>14}", end="")
            continue
        time, memory = _measured(forking(parent, branches, writes), branches, 9 if branches < 100 else 3)
        print(f"   {short(time):>14} {memory:>10,.0f} {short(copied / time) + ' ×':>14}", end="")
    print()


def _measured(work: Callable[[], None], branches: int, rounds: int) -> tuple[float, float]:
    return seconds(work, rounds=rounds) / branches * 1e6, peak_bytes(work) / branches


def forking(parent: ContextBranch, branches: int, writes: int) -> Callable[[], None]:
    """Branches that write and are merged; each time other values, so that each time something changes."""
    values = itertools.count(10**9)

    def work() -> None:
        children = [(str(number), parent.fork(), None) for number in range(branches)]
        keys = itertools.count()
        for _, child, _ in children:
            entries = child.context.entries
            for _ in range(writes):
                entries[f"key-{next(keys)}"] = next(values)
            del entries
        merge(parent, children)

    return work


def copying(context: Any) -> Callable[[], None]:
    """The same for one branch and one write, by copying and comparing."""
    values = itertools.count(10**9)

    def write(branch: Any) -> None:
        branch.entries["key-1"] = next(values)

    return lambda: deepcopy_and_compare(context, [write])
