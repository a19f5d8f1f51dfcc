"""Values as JSON values of a bounded size.

A run may put anything into its events, a chunk of a gigabyte for one. Telling of it must not cost more than what is
told, so values are shortened while they are copied, not afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar, cast

import attrs

from flujo_actors.plain import plain_attributes

ItemT = TypeVar("ItemT")

VALUE_LIMIT: Final = 2_000
"""Characters that a text or a value may have. The rest is cut off, and `…` says so."""

_CUT: Final = "…"
_DEEPEST: Final = 20
"""Levels of nesting that are copied."""


def shortened_value(value: object) -> Any:
    """A copy in JSON values of at most about `VALUE_LIMIT` characters. What JSON lacks becomes text."""
    try:
        return _Copying().copy(value, 0)
    except Exception:  # noqa: BLE001 - a user's container may do anything when it is gone through
        return f"<{type(value).__name__}>"


@attrs.define
class _Copying:
    """Copies one value, as long as there is room."""

    room: int = VALUE_LIMIT
    """Characters that may still be taken."""

    def copy(self, value: object, depth: int) -> Any:
        if isinstance(value, str):
            return self._text(str.__str__(value))
        if isinstance(value, bytes | bytearray):
            return self._text(repr(bytes(value[: self.room + 1])))
        if not isinstance(value, Mapping | list | tuple):
            return self._scalar(value)
        if depth == _DEEPEST:
            return self._text(_CUT)
        if isinstance(value, Mapping):
            return self._mapping(cast("Mapping[object, object]", value), depth + 1)
        return self._sequence(cast("Sequence[object]", value), depth + 1)

    def _mapping(self, value: Mapping[object, object], depth: int) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for key, item in self._while_there_is_room(value.items()):
            copied[self._text(str(key))] = self.copy(item, depth)
        if len(copied) < len(value):
            copied[_CUT] = _CUT
        return copied

    def _sequence(self, value: Sequence[object], depth: int) -> list[Any]:
        copied = [self.copy(item, depth) for item in self._while_there_is_room(value)]
        return copied if len(copied) == len(value) else [*copied, _CUT]

    def _while_there_is_room(self, items: Iterable[ItemT]) -> Iterator[ItemT]:
        for item in islice(items, self.room):
            if self.room <= 0:
                return
            self.room -= 2  # the item's comma and space
            yield item

    def _scalar(self, value: object) -> Any:
        plain = plain_attributes({"": value})[""]
        text = str(plain)
        if isinstance(plain, str) or len(text) > self.room:
            return self._text(text)
        self.room -= len(text)
        return plain

    def _text(self, text: str) -> str:
        room = max(self.room, 1)
        self.room -= len(text)
        return text if len(text) <= room else text[: room - 1] + _CUT
