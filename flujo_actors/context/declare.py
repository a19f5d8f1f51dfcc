"""`@context`: one decorator for a context class with large state."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import typing
from collections.abc import Callable, MutableMapping, MutableSequence
from typing import Any, TypeVar, dataclass_transform, overload

import attrs

from flujo_actors.context.collections import ContextList, ContextMap
from flujo_actors.context.shapes import COLLECTIONS_ATTRIBUTE

ClassT = TypeVar("ClassT", bound=type)


@overload
def context(cls: ClassT) -> ClassT: ...
@overload
def context(**options: Any) -> Callable[[ClassT], ClassT]: ...
@dataclass_transform(field_specifiers=(attrs.field,))
def context(cls: Any = None, **options: Any) -> Any:
    """Make an attrs class of a class, whose dict and list fields become `ContextMap` and `ContextList`.

    The constructor and assignments take plain dicts and lists; reading gives the collections; a run's result has
    plain ones again.

    Args:
        cls: the class.
        **options: for `attrs.define`.
    """
    if cls is None:
        return lambda decorated: context(decorated, **options)
    return attrs.define(cls, field_transformer=_with_converters, **options)


def _with_converters(cls: type, fields: list[attrs.Attribute[Any]]) -> list[attrs.Attribute[Any]]:
    type.__setattr__(cls, COLLECTIONS_ATTRIBUTE, True)
    return [field.evolve(converter=_converter(field)) for field in fields]


def _converter(field: attrs.Attribute[Any]) -> Any:
    if field.converter is not None:
        return field.converter
    kind = _kind(field.type)
    if kind in _KINDS[dict]:
        return _as_map
    return _as_list if kind in _KINDS[list] else None


_KINDS: typing.Final[dict[type, frozenset[Any]]] = {
    dict: frozenset({dict, MutableMapping, ContextMap, "dict", "MutableMapping", "ContextMap"}),
    list: frozenset({list, MutableSequence, ContextList, "list", "MutableSequence", "ContextList"}),
}


def _kind(hint: Any) -> Any:
    if isinstance(hint, str):
        return hint.partition("[")[0].rpartition(".")[2]
    if hasattr(hint, "__metadata__"):
        return _kind(hint.__origin__)
    return typing.get_origin(hint) or hint


def _as_map(value: Any) -> Any:
    return ContextMap(value) if type(value) is dict else value


def _as_list(value: Any) -> Any:
    return ContextList(value) if type(value) is list else value
