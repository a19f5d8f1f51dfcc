"""Putting changes into effect: from a sealed state and a tree of changes, the next sealed state."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from itertools import repeat
from operator import is_
from typing import Any

from flujo_actors.context.absent import ABSENT
from flujo_actors.context.changes import Change, Delete, Edit, ListEdit, Replace, SetEdit, items_of
from flujo_actors.context.nodes import DictNode, ListNode, MapNode, Node, RecordNode, SequenceNode, SetNode, TupleNode
from flujo_actors.context.tables import MapVersion, SequenceVersion


class Application:
    """One application. The same change to the same node gives one node, by whatever path it is reached."""

    def __init__(self) -> None:
        self.replaced: dict[int, Node] = {}
        """By the id of a node of the base or of a branch: what stands in its place now."""
        self.versions: list[MapVersion | SequenceVersion] = []
        """New versions of declared collections, to be settled once the state is taken."""
        self._made: dict[tuple[int, int], Node] = {}

    def value(self, base: Any, change: Change | None) -> Any:
        """The sealed value that a change makes of a base, `ABSENT` when it deletes it."""
        match change:
            case None:
                return base
            case Replace():
                return change.value
            case Delete():
                return ABSENT
            case _:
                return self._node(base, change)

    def _node(self, base: Node, change: Edit | ListEdit | SetEdit) -> Node:
        key = (id(base), id(change))
        if key not in self._made:
            made = self._made[key] = self._edited(base, change)
            self.replaced.update((id(node), made) for node in change.nodes)
        return self._made[key]

    def _edited(self, base: Any, change: Edit | ListEdit | SetEdit) -> Node:
        match change:
            case SetEdit():
                return SetNode((base.items - change.removed.keys()) | change.added.keys(), base)
            case ListEdit():
                return self._list(base, change)
            case Edit():
                return self._map(base, change) if isinstance(base, MapNode) else self._entries(base, change)

    def _entries(self, base: Any, change: Edit) -> Node:
        entries: dict[Any, Any] = (base.values if isinstance(base, RecordNode) else base.items).copy()
        for key, part in change.parts.items():
            value = self.value(dict.get(entries, key, ABSENT), part)
            if value is ABSENT:
                entries.pop(key, None)
            else:
                entries[key] = value
        if isinstance(base, RecordNode):
            return RecordNode(base.shape, entries, base)
        return DictNode(entries, base, flat=_stays_flat(base, change, entries))

    def _map(self, base: MapNode, change: Edit) -> MapNode:
        version, parts = base.version, change.parts
        before = version.get_all(parts)
        after = [
            part.value if type(part) is Replace else self.value(old, part)
            for old, part in zip(before, parts.values(), strict=True)
        ]
        written = dict(zip(parts, after, strict=True))
        growth = _absent(before) - _absent(after)
        return MapNode(self._committed(version.commit(written, growth)), base)

    def _list(self, base: Any, change: ListEdit) -> Node:
        if isinstance(base, SequenceNode):
            return self._sequence(base, change)
        items = self._spliced(base, change)
        return ListNode(items, base, flat=not any(map(_is_node, items)))

    def _sequence(self, base: SequenceNode, change: ListEdit) -> SequenceNode:
        version = base.version
        end = len(version)
        if any(splice.start != end for splice in change.splices):
            return SequenceNode(base.kind, SequenceVersion.of(self._spliced(base, change)), base)
        tail = [item for splice in change.splices for item in splice.items]
        edits = {index: self.value(version.get(index), part) for index, part in change.parts.items()}
        return SequenceNode(base.kind, self._committed(version.commit(edits, tail)), base)

    def _committed(self, version: Any) -> Any:
        self.versions.append(version)
        return version

    def _spliced(self, base: ListNode | SequenceNode, change: ListEdit) -> list[Any]:
        items = items_of(base).copy()
        for index, part in change.parts.items():
            items[index] = self.value(items[index], part)
        for splice in reversed(change.splices):
            items[splice.start : splice.stop] = splice.items
        return items


def _stays_flat(base: DictNode, change: Edit, entries: dict[Any, Any]) -> bool:
    """A flat dict is as large as it wants to be: only what was written needs a look."""
    return base.flat and not any(_is_node(entries.get(key)) for key in change.parts)


def _absent(values: list[Any]) -> int:
    """How many of the values are not there."""
    return sum(map(is_, values, repeat(ABSENT)))


def _is_node(value: Any) -> bool:
    return isinstance(value, Node)


def rewired(root: Any, replaced: dict[int, Node]) -> Any:
    """The same state with every reference to a replaced node led to what stands in its place.

    For states in which one object is reachable by several paths, also through cycles. Costs what the state weighs.
    """
    return _Rewiring(replaced).value(root)


class _Rewiring:
    def __init__(self, replaced: dict[int, Node]) -> None:
        self._replaced = replaced
        self._made: dict[int, Any] = {}

    def value(self, value: Any) -> Any:
        if not isinstance(value, Node):
            return value
        node = self._replaced.get(id(value), value)
        made = self._made.get(id(node))
        return made if made is not None else self._copied(node)

    def _copied(self, node: Node) -> Any:  # noqa: PLR0911 - one clause for each kind
        match node:
            case RecordNode():
                record = RecordNode(node.shape, {}, node)
                self._made[id(node)] = record
                record.values.update((name, self.value(part)) for name, part in node.values.items())
                return record
            case DictNode():
                entries = DictNode(node.items.copy(), node, flat=node.flat)
                self._made[id(node)] = entries
                self._entries(entries.items)
                return entries
            case ListNode():
                items = ListNode([], node, flat=node.flat)
                self._made[id(node)] = items
                items.items.extend(self.value(part) for part in node.items)
                return items
            case TupleNode():
                parts = TupleNode(node.kind, (), node)
                self._made[id(node)] = parts
                parts.items = tuple(self.value(part) for part in node.items)
                return parts
            case MapNode():
                mapping = MapNode(node.version, node)
                self._made[id(node)] = mapping
                mapping.version = self._map_version(node.version)
                return mapping
            case SequenceNode():
                sequence = SequenceNode(node.kind, node.version, node)
                self._made[id(node)] = sequence
                sequence.version = self._sequence_version(node.version)
                return sequence
            case _:
                self._made[id(node)] = node
                return node

    def _entries(self, entries: dict[Any, Any]) -> None:
        for key, part in list(entries.items()):
            if isinstance(part, Node):
                entries[key] = self.value(part)

    def _map_version(self, version: MapVersion) -> MapVersion:
        entries = dict(version.items())
        if not any(map(_is_node, entries.values())):
            return version
        return MapVersion.of({key: self.value(part) for key, part in entries.items()})

    def _sequence_version(self, version: SequenceVersion) -> SequenceVersion:
        items = version.items()
        if not any(map(_is_node, items)):
            return version
        return SequenceVersion.of([self.value(item) for item in items])
