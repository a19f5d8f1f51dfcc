"""Branches of a context, isolated by copying."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any, Final

import attrs

from flujo_actors.errors import ContextError


class ContextBranch:
    """One running step's own view of the context."""

    __slots__ = ("context",)

    def __init__(self, context: Any) -> None:
        self.context = context
        """The object that the step's code reads and changes."""

    def fork(self) -> ContextBranch:
        """An isolated branch: nothing done in it is seen here, nor the other way round."""
        return ContextBranch(_isolated_copy(self.context))

    def adopt(self, child: ContextBranch) -> None:
        """Take in all that a fork of this branch changed. The fork's own object stays the child's alone.

        Raises:
            ContextError: the child left something that cannot be isolated. This branch is unchanged.
        """
        self.context = _isolated_copy(child.context)

    def publish(self) -> Any:
        """The context as an object of the user's own class that nothing here keeps a hold on."""
        return _isolated_copy(self.context)


class _NoContext(ContextBranch):
    """The branch of a run that has no context."""

    __slots__ = ()

    def fork(self) -> ContextBranch:
        return self

    def adopt(self, child: ContextBranch) -> None:
        pass


NO_CONTEXT: Final = _NoContext(None)


def open_branch(context: Any) -> ContextBranch:
    """The first branch of a run. The caller's object is copied, and never changed.

    Args:
        context: an attrs or dataclass instance, a pydantic model, a dict, or `None` for no context.

    Raises:
        ContextError: it is none of these, or holds something that cannot be copied.
    """
    if context is None:
        return NO_CONTEXT
    if not _is_supported(context):
        raise ContextError(
            path="",
            problem=f"is {type(context).__name__!r}; pass an attrs or dataclass instance, a pydantic model or a dict",
        )
    return ContextBranch(_isolated_copy(context))


def _is_supported(context: object) -> bool:
    if isinstance(context, dict):
        return True
    kind = type(context)
    return attrs.has(kind) or dataclasses.is_dataclass(kind) or hasattr(kind, "model_fields")


def _isolated_copy(context: Any) -> Any:
    if context is None:
        return None
    try:
        return copy.deepcopy(context)
    except Exception as error:
        path, culprit = _find_culprit(context)
        problem = (
            f"holds a {type(culprit).__name__}, which cannot be copied for a step ({error}); pass it as `resources`"
        )
        raise ContextError(path, problem) from error


def _find_culprit(context: Any) -> tuple[str, Any]:
    """The deepest value that cannot be copied. Only looked for once copying has failed."""
    path, value, seen = "", context, {id(context)}
    while True:
        for step, part in _parts(value):
            if id(part) not in seen and not _can_copy(part):
                seen.add(id(part))
                path, value = f"{path}{step}", part
                break
        else:
            return path.removeprefix("."), value


def _can_copy(value: Any) -> bool:
    try:
        copy.deepcopy(value)
    except Exception:  # noqa: BLE001 - whatever a user's class raises when copied
        return False
    return True


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    kind: type[Any] = type(value)
    if issubclass(kind, dict):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif issubclass(kind, list | tuple):
        yield from ((f"[{index}]", part) for index, part in enumerate(value))
    elif attrs.has(kind):
        yield from ((f".{field.name}", getattr(value, field.name)) for field in attrs.fields(kind))
    elif hasattr(value, "__dict__"):
        yield from ((f".{name}", part) for name, part in vars(value).items())
