"""What the benchmarks of contexts share: the contexts, the clock, and the same work by copying and comparing."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import copy
import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import attrs


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


def taking_turns(variants: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """The median process CPU time of each, in seconds. Each round begins with another one."""
    times: list[list[float]] = [[] for _ in variants]
    order = list(range(len(variants)))
    for round_number in range(rounds):
        shift = round_number % len(order) if order else 0
        for index in order[shift:] + order[:shift]:
            gc.collect()
            begun = time.process_time_ns()
            variants[index]()
            times[index].append(time.process_time_ns() - begun)
    return [statistics.median(each) / 1e9 for each in times]


def peak_bytes(work: Callable[[], object]) -> int:
    """The most memory that was in use at one time beyond what was in use before."""
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    work()
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    return peak


def setting(key: str, value: int) -> Callable[[Any], object]:
    """A write of one key."""
    return lambda context: context.entries.__setitem__(key, value)


def deepcopy_and_compare(context: Any, writes: Sequence[Callable[[Any], object]]) -> None:
    """One branch for each write: copy it all, compare it all, then take over what differs."""
    copies: list[Any] = []
    for write in writes:
        branch = copy.deepcopy(context)
        write(branch)
        copies.append(branch)
    items: list[tuple[dict[Any, Any], Any, Any]] = []
    fields: list[tuple[str, Any]] = []
    for branch in copies:
        for field in attrs.fields(type(context)):
            mine, theirs = getattr(context, field.name), getattr(branch, field.name)
            if isinstance(mine, dict):
                items += ((mine, key, value) for key, value in theirs.items() if key not in mine or mine[key] != value)
            elif mine != theirs:
                fields.append((field.name, theirs))
    for entries, key, value in items:
        entries[key] = value
    for name, value in fields:
        setattr(context, name, value)


def short(number: float) -> str:
    """Three digits, or all before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
