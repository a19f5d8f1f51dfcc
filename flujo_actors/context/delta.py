"""Deltas as data: what a branch changed, by path, to be stored and applied again.

A list's changes come with the indexes of the list as it was, last place first, so that applying them one after the
other leaves the rest where it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from flujo_actors.context.changes import (
    Change,
    Delete,
    Edit,
    ListEdit,
    Replace,
    SetEdit,
    diff,
    part_of,
    value_at,
)
from flujo_actors.context.paths import Key, Path, format_path
from flujo_actors.context.thaw import publish


@attrs.frozen
class Step:
    """One change of a delta."""

    operation: str
    """`set`, `delete`, `splice` (items of a list give way to others), `add` and `discard` (elements of a set)."""
    path: str
    """What is changed; for `splice`, `add` and `discard` the list or set."""
    value: Any = None
    """A plain value, or the list of items or elements."""
    start: int = 0
    stop: int = 0
    """For `splice`: which items give way, `stop` excluded."""


@attrs.frozen
class Delta:
    """What a branch changed, in the order in which it is applied."""

    steps: tuple[Step, ...]

    def __bool__(self) -> bool:
        return bool(self.steps)


def delta_between(base: Any, new: Any) -> Delta:
    """What makes one sealed state of another, as data."""
    change = diff(base, new)
    return Delta(() if change is None else tuple(_steps(base, change, ())))


def _steps(base: Any, change: Change, path: Path) -> Iterator[Step]:
    text = format_path(path)
    match change:
        case Replace():
            yield Step("set", text, publish(change.value))
        case Delete():
            yield Step("delete", text)
        case SetEdit():
            yield Step("discard", text, _ordered(change.removed))
            yield Step("add", text, _ordered(change.added))
        case Edit():
            for key, part in change.parts.items():
                step = part_of(base, key)
                yield from _steps(value_at(base, step), part, (*path, step))
        case ListEdit():
            for index, part in change.parts.items():
                yield from _steps(value_at(base, Key(index)), part, (*path, Key(index)))
            for splice in reversed(change.splices):
                yield Step("splice", text, [publish(item) for item in splice.items], splice.start, splice.stop)


def _ordered(elements: Any) -> list[Any]:
    """In an order that does not depend on hashes, as far as the elements have one."""
    return sorted(elements, key=lambda element: (type(element).__name__, repr(element)))
