"""Applying a delta: what one branch did to its context, done again to that of another."""

from __future__ import annotations

import dataclasses
from typing import Any

import attrs

from flujo_actors.context.blame import Origin
from flujo_actors.context.branch import ContextBranch
from flujo_actors.context.delta import Delta, Step
from flujo_actors.context.paths import Field, Key, Path, parse_path
from flujo_actors.errors import ContextError


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
