"""Fields of a context, whether it is an object or a dict."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Any

import attrs

from flujo_actors.steps.annotations import as_class


def has_place(context: Any, name: str) -> bool:
    """Whether the context declares a field (or has a key) of this name."""
    return name in (context if isinstance(context, dict) else _names_of(context))


def get(context: Any, name: str) -> Any:
    """The value of a field or key that is there."""
    return context[name] if isinstance(context, dict) else getattr(context, name)


def put(context: Any, name: str, value: Any) -> None:
    """Set a field or key.

    Raises:
        TypeError: the context is frozen.
        Exception: whatever the context's class raises for a value that it refuses.
    """
    if isinstance(context, dict):
        context[name] = value
        return
    try:
        setattr(context, name, value)
    except AttributeError as error:
        raise TypeError(f"field '{name}' cannot be set: {error}") from error


def update_fields(context: Any, output: Any) -> None:
    """Write the fields of a dict or an object to those of the same names in the context; other names are ignored.

    Raises:
        TypeError: a value does not fit the annotated type of its field. Nothing was written.
        Exception: whatever the output raises when it is read, or the context's class for a value that it refuses.
    """
    known = frozenset[str](context if isinstance(context, dict) else _names_of(context))
    values = {name: value for name, value in _fields_of(output).items() if name in known}
    kinds = {} if isinstance(context, dict) else _annotations(type(context))
    for name, value in values.items():
        wanted = kinds.get(name, Any)
        if not _fits(value, wanted):
            kind = as_class(wanted)
            takes = wanted if kind is None else kind.__name__
            raise TypeError(f"field '{name}' takes {takes}, and the output has {type(value).__name__}")
    for name, value in values.items():
        put(context, name, value)


def _fits(value: object, wanted: Any) -> bool:
    if typing.get_origin(wanted) in {typing.Union, UnionType}:
        return any(_fits(value, one) for one in typing.get_args(wanted))
    kind = as_class(wanted)
    is_number = kind is float and isinstance(value, int) and not isinstance(value, bool)
    return kind is None or isinstance(value, kind) or is_number


def _annotations(kind: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except Exception:  # noqa: BLE001 - annotations that cannot be evaluated are annotations we do not have
        return {}


def _fields_of(output: Any) -> dict[str, Any]:
    if isinstance(output, Mapping):
        return {name: value for name, value in output.items() if isinstance(name, str)}
    return {name: getattr(output, name) for name in _names_of(output)}


def _names_of(value: Any) -> Iterable[str]:
    """The fields that an object's class declares."""
    kind: Any = type(value)
    if attrs.has(kind):
        return [field.name for field in attrs.fields(kind)]
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    return getattr(kind, "model_fields", ())
