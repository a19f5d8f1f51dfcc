"""Versions of large collections that share one table.

The newest version has the table itself. A version that was superseded keeps what it had where the two differ, and
a pointer to its successor; one that branched off keeps what it changed, and a pointer to where from. So a commit
costs what was written, every older version stays right, and reading the newest is one dict lookup.

The idea is Baker's shallow binding for persistent arrays (1978, 1991).
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import repeat
from typing import Any, Final

from flujo_actors.context.absent import ABSENT

_LONGEST_CHAIN: Final = 8
_MISSING: Final = object()
_SPARE_EDITS: Final = 64


class MapVersion:
    """One version of a map. Reading never changes what it holds, only how it holds it."""

    __slots__ = ("_next", "_table", "diff", "size", "superseded")

    def __init__(
        self, table: dict[Any, Any] | None, diff: dict[Any, Any], successor: MapVersion | None, size: int
    ) -> None:
        self._table = table
        self.diff = diff
        """What it has otherwise than the version it points to."""
        self.superseded = False
        """Whether it had the table once, and points to what came after it; else to what it was made from."""
        self._next = successor
        self.size = size
        """How many keys it has."""

    @classmethod
    def of(cls, table: dict[Any, Any]) -> MapVersion:
        """The first version, which owns the table."""
        return cls(table, {}, None, len(table))

    def get(self, key: Any) -> Any:
        """The sealed value of a key, or `ABSENT`."""
        version, hops = self, 0
        while True:
            table = version._table
            if table is not None:
                value = table.get(key, ABSENT)
                # Another thread may just have moved the table on. It cuts the tie first, so this tells.
                if version._table is table:
                    return value
                continue
            value = version.diff.get(key, _MISSING)
            if value is not _MISSING:
                return value
            version, hops = version._follow(), hops + 1
            if hops > _LONGEST_CHAIN:
                self._shorten()
                version, hops = self, 0

    def get_all(self, keys: Collection[Any]) -> list[Any]:
        """What `get` gives for each key, in their order. At C speed, if it is this version that has the table."""
        table = self._table
        if table is not None:
            found = list(map(table.get, keys, repeat(ABSENT)))
            if self._table is table:
                return found
        return list(map(self.get, keys))

    def known(self, keys: Mapping[Any, Any]) -> AbstractSet[Any]:
        """Those of the keys that it has."""
        table = self._table
        if table is not None and len(table) == self.size:
            found = table.keys() & keys.keys()
            if self._table is table:
                return found
        return {key for key in keys if self.get(key) is not ABSENT}

    def _follow(self) -> MapVersion:
        assert self._next is not None, "a version has a table or a successor"  # noqa: S101 - an invariant
        return self._next

    def _shorten(self) -> None:
        """Fold the chain to the table into this version's own difference. Costs what is in the chain, once."""
        if self._table is not None or self._follow()._table is not None:
            return
        chain = self._chain()
        self.diff, self._next = _folded(chain), chain[-1]._next

    def _chain(self) -> list[MapVersion]:
        """This version and those on the way to the table, without the one that has it."""
        chain: list[MapVersion] = []
        version = self
        while version._table is None:
            chain.append(version)
            version = version._follow()
        return chain

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Keys in the order in which they first came, with sealed values. A snapshot: nothing disturbs it."""
        self._shorten()
        if self._table is not None:
            pairs = list(self._table.items())
            return (pair for pair in pairs if pair[1] is not ABSENT)
        table, diff = self._follow()._table, self.diff
        assert table is not None, "_shorten leaves one step to the table"  # noqa: S101 - an invariant
        return ((key, value) for key, value in {**table, **diff}.items() if value is not ABSENT)

    def commit(self, changes: dict[Any, Any], growth: int) -> MapVersion:
        """The version with these changes.

        Args:
            changes: sealed values by key, `ABSENT` for a key that goes. Belongs to the new version from here on.
            growth: by how many keys the new version has more.
        """
        return MapVersion(None, changes, self, self.size + growth)

    def settle(self) -> None:
        """Take the table over from the version this one was made from, if that has it and the change is small."""
        source = self._next
        if self._table is not None or source is None:
            return
        table = source._table
        if table is None:
            self._consider_own_table()
            return
        changes = self.diff
        undo = dict.fromkeys(changes, ABSENT)
        for key in table.keys() & changes.keys():
            undo[key] = table[key]
        source.diff, source._next, source._table, source.superseded = undo, self, None, True
        table.update(changes)
        self._table, self.diff, self._next = table, {}, None
        if len(table) > 2 * self.size + _SPARE_EDITS:
            self._rebuild()

    def _consider_own_table(self) -> None:
        """Another line of versions has the table. Get one, once that is cheaper than to go on without."""
        version, hops = self, 0
        while version._table is None and hops <= _LONGEST_CHAIN:
            version, hops = version._follow(), hops + 1
        if hops <= _LONGEST_CHAIN:
            return
        self._shorten()
        if self._table is None and 4 * len(self.diff) > self.size:
            self._rebuild()

    def _rebuild(self) -> None:
        """A table of its own, without the places of deleted keys."""
        table = dict(self.items())
        self._table, self.diff, self._next = table, {}, None

    def keys_changed_since(self, base: MapVersion) -> list[Any] | None:
        """All keys in which the two may differ, or `None` if they have no table in common."""
        mine, theirs = self._chain(), base._chain()
        if (mine[-1]._next if mine else self) is not (theirs[-1]._next if theirs else base):
            return None
        return list(dict.fromkeys([*_folded(mine), *_folded(theirs)]))


def _folded(chain: list[MapVersion]) -> dict[Any, Any]:
    """The difference of the first from the table behind the last; keys in the order in which they were written.

    A chain has versions that branched off, newest first, and then superseded ones, oldest first.
    """
    folded: dict[Any, Any] = {}
    for version in reversed(chain):
        if not version.superseded:
            folded.update(version.diff)
    for version in chain:
        if version.superseded:
            for key, value in version.diff.items():
                folded.setdefault(key, value)
    return folded


class SequenceVersion:
    """One version of a list: a shared list up to a length, some items written over, and a tail."""

    __slots__ = ("_edits", "_items", "_view")

    def __init__(self, items: list[Any], length: int, edits: dict[int, Any], tail: list[Any]) -> None:
        self._items = items
        self._edits = edits
        self._view = (length, tail)

    @classmethod
    def of(cls, items: list[Any]) -> SequenceVersion:
        """The first version, which owns the list."""
        return cls(items, len(items), {}, [])

    def __len__(self) -> int:
        length, tail = self._view
        return length + len(tail)

    def get(self, index: int) -> Any:
        """The sealed item at an index from 0."""
        length, tail = self._view
        if index >= length:
            return tail[index - length]
        value = self._edits.get(index, _MISSING)
        return self._items[index] if value is _MISSING else value

    def items(self) -> list[Any]:
        """All sealed items, in a new list."""
        length, tail = self._view
        items = self._items[:length]
        for index, value in self._edits.items():
            items[index] = value
        items.extend(tail)
        return items

    def commit(self, edits: dict[int, Any], tail: list[Any]) -> SequenceVersion:
        """The version with some items written over and others appended."""
        length, own_tail = self._view
        in_tail = {index: value for index, value in edits.items() if index >= length}
        if in_tail:
            own_tail = own_tail.copy()
            for index, value in in_tail.items():
                own_tail[index - length] = value
        in_items = {index: value for index, value in edits.items() if index < length}
        return SequenceVersion(
            self._items, length, {**self._edits, **in_items} if in_items else self._edits, own_tail + tail
        )

    def settle(self) -> None:
        """Put the tail into the shared list, if nobody else has put one there; else get an own list."""
        length, tail = self._view
        if not tail and 4 * len(self._edits) <= length + _SPARE_EDITS:
            return
        if len(self._items) == length and 4 * len(self._edits) <= length + _SPARE_EDITS:
            self._items.extend(tail)
            self._view = (length + len(tail), [])
            return
        items = self.items()
        self._items, self._edits, self._view = items, {}, (len(items), [])

    def changes_since(self, base: SequenceVersion) -> tuple[dict[int, Any], list[Any]] | None:
        """What was written over and appended, or `None` if that takes a comparison of all items."""
        shared = min(self._view[0], base._view[0])
        if self._items is not base._items or len(self) < len(base):
            return None
        candidates = {*self._edits, *base._edits, *range(shared, len(base))}
        edits = {index: self.get(index) for index in sorted(candidates) if index < len(base)}
        return edits, [self.get(index) for index in range(len(base), len(self))]
