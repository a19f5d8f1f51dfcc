"""Whether a value that we cannot look into was changed: compared by what `pickle` would store of it.

`==` does not tell: an array has no truth value, an object may be equal only to itself, an OrderedDict subclass may
hide state.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from typing import Any

from flujo_actors.context.atoms import is_atom_class, same_atom


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
