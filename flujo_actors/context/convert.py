"""JSON through cattrs: declared collections as arrays and objects."""

from __future__ import annotations

import typing
from typing import Any

import cattrs

from flujo_actors.context.collections import ContextList, ContextMap, Log


def configure_converter(converter: cattrs.Converter) -> None:
    """Teach a converter the declared collections.

    `ContextMap[str, Item]` goes to and from an object, `ContextList[Item]` and `Log[Item]` an array, items included.
    """
    _register(converter, ContextMap, dict, 2)
    _register(converter, ContextList, list, 1)
    _register(converter, Log, list, 1)


def _register(converter: cattrs.Converter, collection: Any, builtin: Any, parameters: int) -> None:
    def is_it(kind: Any) -> bool:
        origin: Any = typing.get_origin(kind)
        return kind is collection or origin is collection

    def structure(value: Any, kind: Any) -> Any:
        arguments = typing.get_args(kind) or (Any,) * parameters
        return collection(converter.structure(value, builtin[arguments]))

    def unstructure(value: Any) -> Any:
        return converter.unstructure(builtin(value))

    converter.register_unstructure_hook_func(is_it, unstructure)
    converter.register_structure_hook_func(is_it, structure)
