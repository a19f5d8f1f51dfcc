"""Deltas as data: what a branch changed, by path, to be stored and applied again.

A list's changes come with the indexes of the list as it was, last place first, so that applying them one after the
other leaves the rest where it is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from flujo_actors.context.blame import Origin
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
from flujo_actors.context.paths import Field, Key, Path, format_path, parse_path
from flujo_actors.context.thaw import publish
from flujo_actors.errors import ContextError

if TYPE_CHECKING:
    from flujo_actors.context.branch import ContextBranch


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


def apply_delta(branch: ContextBranch, delta: Delta, origin: Origin | None = None) -> None:
    """Change the context of a branch as the branch that the delta was taken from changed its own.

    The branch is one with the state that the other was forked from; or with another one, as far as the paths are
    there.

    Args:
        branch: whose context to change.
        delta: what to change. Its values become part of the context.
        origin: who changed it, for `blame`.

    Raises:
        ContextError: a path of the delta is not in this context, or a value does not fit. The branch is unchanged.
    """
    trial = branch.fork()
    for step in delta.steps:
        _apply_step(trial.context, step)
    branch.adopt(trial, origin)


def _apply_step(context: Any, step: Step) -> None:
    try:
        path = parse_path(step.path)
        if step.operation in {"set", "delete"}:
            _write(_descend(context, path[:-1]), path[-1], step)
        else:
            _change_container(_descend(context, path), step)
    except Exception as error:
        raise ContextError(step.path, f"cannot be changed as the delta has it ({step.operation}): {error!r}") from error


def _descend(value: Any, path: Path) -> Any:
    for part in path:
        value = getattr(value, part.name) if isinstance(part, Field) else value[part.value]
    return value


def _write(target: Any, part: Field | Key, step: Step) -> None:
    if step.operation == "delete":
        if isinstance(part, Field):
            delattr(target, part.name)
        else:
            del target[part.value]
    elif isinstance(part, Field):
        _set_field(target, part.name, step.value)
    else:
        target[part.value] = step.value


def _set_field(target: Any, name: str, value: Any) -> None:
    try:
        setattr(target, name, value)
    except (attrs.exceptions.FrozenError, dataclasses.FrozenInstanceError):
        # The branch that the delta was taken from got past the refusal too.
        object.__setattr__(target, name, value)


def _change_container(target: Any, step: Step) -> None:
    match step.operation:
        case "splice" if step.start == len(target):
            target.extend(step.value)
        case "splice":
            target[step.start : step.stop] = step.value
        case "add":
            target.update(step.value)
        case "discard":
            target.difference_update(step.value)
        case _:
            raise ValueError(f"unknown operation {step.operation!r}")
