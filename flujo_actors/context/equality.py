"""Whether two values are the same: whether anything tells them apart.

`==` does not tell. 0.0 equals -0.0, and 1 equals 1.0; an array has no truth value, an object may be equal only to
itself, an OrderedDict subclass may hide state. A value that we cannot look into is compared by what `pickle` would
store of it.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import math
from typing import Any, Final

from flujo_actors.context.atoms import is_atom_class
from flujo_actors.context.nodes import Node

_EXACT: Final[frozenset[type]] = frozenset({type(None), bool, int, str, bytes})
"""Types in which equal values cannot be told apart."""


def same_value(one: Any, other: Any) -> bool:
    """Whether two sealed values are the same node, or atoms that cannot be told apart."""
    return one is other or (not (isinstance(one, Node) or isinstance(other, Node)) and same_atom(one, other))


def same_atom(one: Any, other: Any) -> bool:
    """Whether two atoms cannot be told apart by value. A NaN is the same as a NaN; 0.0 is not -0.0, nor is 1 1.0."""
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in _EXACT:
        return bool(one == other)
    if kind is float:
        return _same_float(one, other)
    if is_atom_class(kind) and kind is not frozenset:
        return _looks_equal(one, other)
    # Tuples, frozen sets and frozen objects, whose fields may be left out of both `__eq__` and `__repr__`.
    return same_opaque(one, other)


def _same_float(one: float, other: float) -> bool:
    if one == other:
        return one != 0.0 or math.copysign(1.0, one) == math.copysign(1.0, other)
    return one != one and other != other  # noqa: PLR0124 - only a NaN differs from itself


def _looks_equal(one: Any, other: Any) -> bool:
    """For Decimal("1.0") and Decimal("1.00"), and times of different zones: equal, and not the same."""
    try:
        return bool(one == other) and repr(one) == repr(other)
    except Exception:  # noqa: BLE001 - a user's `__eq__` may do anything, an array's has no truth value
        return False


def same_opaque(one: Any, other: Any) -> bool:
    """Whether two values store the same state. When that cannot be told, they are taken to differ."""
    try:
        return _Comparison().same(one, other)
    except Exception:  # noqa: BLE001 - whatever a user's `__reduce_ex__` raises
        return False


class _Comparison:
    """Walks two values side by side; pairs met before are taken to be the same, so cycles end."""

    def __init__(self) -> None:
        self._met: set[tuple[int, int]] = set()
        self._kept: list[Any] = []

    def same(self, one: Any, other: Any) -> bool:
        if one is other:
            return True
        if type(one) is not type(other):
            return False
        if is_atom_class(type(one)) and type(one) is not frozenset:
            return same_atom(one, other)
        pair = (id(one), id(other))
        if pair in self._met:
            return True
        self._met.add(pair)
        self._kept.append((one, other))  # a state made on the fly must not give its id to the next one
        return self._same_parts(one, other)

    def _same_parts(self, one: Any, other: Any) -> bool:
        if type(one) in {list, tuple}:
            return self._same_items(one, other)
        if type(one) is dict:
            return self._same_items([*one, *one.values()], [*other, *other.values()])
        if type(one) in {set, frozenset}:
            return self._same_elements(one, other)
        if type(one) is bytearray:
            return bytes(one) == bytes(other)
        return self._same_items(_stored(one), _stored(other))

    def _same_elements(self, one: Any, other: Any) -> bool:
        counterparts = {element: element for element in other}
        return bool(one == other) and all(self.same(element, counterparts[element]) for element in one)

    def _same_items(self, one: Any, other: Any) -> bool:
        return len(one) == len(other) and all(self.same(a, b) for a, b in zip(one, other, strict=True))


def _stored(value: Any) -> list[Any]:
    """What `pickle` would store, iterators spelled out."""
    reduced = value.__reduce_ex__(4)
    if isinstance(reduced, str):
        return [reduced]
    return [list(part) if index > 2 and part is not None else part for index, part in enumerate(reduced)]
