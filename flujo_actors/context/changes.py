"""Changes: what one sealed state has otherwise than another, as a tree by path, and how to apply it.

Only what was touched is looked at: what two states share is the same node. The classes are not frozen, because a
merge makes thousands of them and gathers in the ones that it made itself; nobody else changes one.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress, count, islice
from operator import is_, is_not
from typing import Any, Final

import attrs

from flujo_actors.context.absent import ABSENT
from flujo_actors.context.equality import same_opaque, same_value
from flujo_actors.context.nodes import (
    DictNode,
    ListNode,
    MapNode,
    Node,
    OpaqueNode,
    RecordNode,
    SequenceNode,
    SetNode,
    TupleNode,
)
from flujo_actors.context.paths import Field, Key, Part


@attrs.define(eq=False)
class Replace:
    """The value is another one, or new."""

    value: Any
    """Sealed."""
    source: int = 0
    """Which branch of a merge it comes from."""
    by_rule: bool = False
    """Whether a merge rule computed it from several branches' values."""


@attrs.define(eq=False)
class Delete:
    """The attribute or key is gone."""

    source: int = 0


@attrs.define(eq=False)
class Edit:
    """Some fields of an object, or entries of a dict, changed."""

    parts: dict[Any, Change]
    """By field name or key."""
    source: int = 0
    nodes: list[Node] = attrs.field(factory=list[Node])
    """What it was, and what the branches made of it: references to any of them now mean the merged object."""


@attrs.define(eq=False)
class Splice:
    """Items `start` to `stop` of the base, exclusive, gave way to others. An append begins and stops at the end."""

    start: int
    stop: int
    items: list[Any]
    source: int = 0


@attrs.define(eq=False)
class ListEdit:
    """Items of a list changed in place, came or went."""

    parts: dict[int, Change]
    """By index in the base."""
    splices: list[Splice]
    """In order of their start, none overlapping another."""
    source: int = 0
    nodes: list[Node] = attrs.field(factory=list[Node])


@attrs.define(eq=False)
class SetEdit:
    """Elements came or went."""

    added: dict[Any, int]
    """With the branch that added each first."""
    removed: dict[Any, int]
    source: int = 0
    nodes: list[Node] = attrs.field(factory=list[Node])


Change = Replace | Delete | Edit | ListEdit | SetEdit


def diff(base: Any, new: Any, source: int = 0, *, tangled: bool = False) -> Change | None:
    """What makes `new` of `base`, or `None` if they do not differ. `ABSENT` on either side is no value.

    Args:
        base: a sealed value.
        new: a sealed value.
        source: which branch of a merge the changes come from.
        tangled: whether objects are reachable by several paths. Then one object put in the place of another is a
            replacement, however alike they are.
    """
    return Difference(source, tangled=tangled).between(base, new)


def is_same_state(base: Any, new: Any) -> bool:
    """Whether nothing tells two sealed states apart, the order of dict keys included."""
    return _Exact(0, tangled=True).between(base, new) is None


def outline(base: Any, new: Any) -> Change | None:
    """The same without the values: at which paths something was written. Large flat dicts are done at C speed."""
    return _Outline(0, tangled=False).between(base, new)


def list_edit(base: ListNode | SequenceNode, new: ListNode | SequenceNode) -> ListEdit | None:
    """What happened to a list."""
    return Difference(0, tangled=False).lists(items_of(base), items_of(new), [])


def items_of(node: ListNode | SequenceNode) -> list[Any]:
    """The sealed items of a list or declared list."""
    return node.items if isinstance(node, ListNode) else node.version.items()


def value_at(node: Any, part: Part) -> Any:
    """The sealed value one step below another, or `ABSENT`."""
    key: Any = part.name if isinstance(part, Field) else part.value
    match node:
        case RecordNode():
            return node.values.get(key, ABSENT)
        case DictNode():
            return dict.get(node.items, key, ABSENT)
        case MapNode():
            return node.version.get(key)
        case ListNode() | SequenceNode() | TupleNode():
            return _item_at(node.version if isinstance(node, SequenceNode) else node.items, key)
        case _:
            return ABSENT


def _item_at(items: Any, index: Any) -> Any:
    if not isinstance(index, int) or not -len(items) <= index < len(items):
        return ABSENT
    index %= len(items)
    return items[index] if isinstance(items, list | tuple) else items.get(index)


def part_of(node: Any, key: Any) -> Part:
    """How a path names a field of a record, or an entry of anything else."""
    return Field(key) if isinstance(node, RecordNode) else Key(key)


class Difference:
    """One comparison. A pair of nodes met again has the change it had before; within a cycle, none."""

    def __init__(self, source: int, *, tangled: bool) -> None:
        self._source = source
        self._tangled = tangled
        self._met: dict[tuple[int, int], Change | None] = {}
        self.pairs: list[tuple[Node, Node]] = []
        """Nodes of the base and of the other that were compared and do not differ."""

    def between(self, base: Any, new: Any) -> Change | None:
        """What makes one sealed value of another; `ABSENT` on either side is no value."""
        if same_value(base, new):
            return None
        if new is ABSENT:
            return Delete(self._source)
        if not isinstance(base, Node) or not _is_of_one_kind(base, new):
            return Replace(new, self._source)
        if self._tangled and base.lineage != new.lineage:
            return Replace(new, self._source)
        pair = (id(base), id(new))
        if pair not in self._met:
            self._met[pair] = None
            self._met[pair] = change = self._nodes(base, new)
            if change is None:
                self.pairs.append((base, new))
        return self._met[pair]

    def _nodes(self, base: Any, new: Any) -> Change | None:  # noqa: PLR0911 - one clause for each kind
        match base:
            case RecordNode():
                return self._entries(base.values, new.values, [base, new])
            case DictNode():
                return self._entries(base.items, new.items, [base, new])
            case MapNode():
                return self._maps(base, new)
            case ListNode():
                return self.lists(base.items, new.items, [base, new])
            case SequenceNode():
                return self._sequences(base, new)
            case SetNode():
                return self._sets(base, new)
            case TupleNode():
                same = len(base.items) == len(new.items) and not self._in_place(base.items, new.items)
                return None if same else Replace(new, self._source)
            case OpaqueNode():
                return None if same_opaque(base.value, new.value) else Replace(new, self._source)
            case _:
                raise AssertionError(type(base))

    def _edit(self, parts: dict[Any, Change], nodes: list[Node]) -> Edit | None:
        return Edit(parts, self._source, nodes) if parts else None

    def _entries(self, base: dict[Any, Any], new: dict[Any, Any], nodes: list[Node]) -> Edit | None:
        return self._edit(self._at_keys(_keys_that_differ(base, new), base, new), nodes)

    def _at_keys(self, keys: Iterable[Any], base: dict[Any, Any], new: dict[Any, Any]) -> dict[Any, Change]:
        parts: dict[Any, Change] = {}
        for key in keys:
            # dict.get: a defaultdict's or Counter's own lookup may invent values
            change = self.between(dict.get(base, key, ABSENT), dict.get(new, key, ABSENT))
            if change is not None:
                parts[key] = change
        return parts

    def _maps(self, base: MapNode, new: MapNode) -> Edit | None:
        keys = new.version.keys_changed_since(base.version)
        if keys is None:
            return self._entries(dict(base.version.items()), dict(new.version.items()), [base, new])
        before = {key: base.version.get(key) for key in keys}
        after = {key: new.version.get(key) for key in keys}
        return self._edit(self._at_keys(keys, before, after), [base, new])

    def _sequences(self, base: SequenceNode, new: SequenceNode) -> ListEdit | None:
        changes = new.version.changes_since(base.version)
        if changes is None:
            return self.lists(base.version.items(), new.version.items(), [base, new])
        edits, tail = changes
        before = {index: base.version.get(index) for index in edits}
        length = len(base.version)
        splices = [Splice(length, length, tail, self._source)] if tail else []
        return self._list_edit(self._at_keys(edits, before, edits), splices, [base, new])

    def _list_edit(self, parts: dict[int, Change], splices: list[Splice], nodes: list[Node]) -> ListEdit | None:
        return ListEdit(parts, splices, self._source, nodes) if parts or splices else None

    def lists(self, base: Sequence[Any], new: Sequence[Any], nodes: list[Node]) -> ListEdit | None:
        """What happened to the items of a list, whichever kind of list it is."""
        if len(base) == len(new):
            return self._list_edit(self._in_place(base, new), [], nodes)
        start, end = _aligned(base, new)
        parts = self._in_place(base[:start], new[:start])
        shift = len(new) - len(base)
        for index in range(len(base) - end, len(base)):
            change = self.between(base[index], new[index + shift])
            if change is not None:
                parts[index] = change
        splice = Splice(start, len(base) - end, list(new[start : len(new) - end]), self._source)
        return self._list_edit(parts, [splice], nodes)

    def _in_place(self, base: Sequence[Any], new: Sequence[Any]) -> dict[int, Change]:
        parts: dict[int, Change] = {}
        for index in compress(count(), map(is_not, base, new)):
            change = self.between(base[index], new[index])
            if change is not None:
                parts[index] = change
        return parts

    def _sets(self, base: SetNode, new: SetNode) -> SetEdit | None:
        added, removed = new.items - base.items, base.items - new.items
        altered = _altered(base.items, new.items - added)
        added, removed = added | altered, removed | altered
        if not added and not removed:
            return None
        source = self._source
        return SetEdit(dict.fromkeys(added, source), dict.fromkeys(removed, source), source, [base, new])


def _is_of_one_kind(base: Any, new: Any) -> bool:
    """Whether one can have been edited to become the other, rather than be replaced by it."""
    if type(base) is not type(new):
        return False
    match base:
        case RecordNode():
            return base.shape is new.shape
        case DictNode():
            return base.is_like(new.items)
        case TupleNode() | SequenceNode():
            return base.kind is new.kind
        case _:
            return True


def _altered(base: set[Any], new: set[Any]) -> set[Any]:
    """Elements that gave way to others which are equal and not the same: `True` for `1`, an entity with equal id."""
    known = set(map(id, base))
    if known.issuperset(map(id, new)):
        return set()
    former = {element: element for element in base}
    return {element for element in new if id(element) not in known and not same_value(former[element], element)}


class _Exact(Difference):
    """A comparison that minds the order of dict keys."""

    def _entries(self, base: dict[Any, Any], new: dict[Any, Any], nodes: list[Node]) -> Edit | None:
        if list(base) != list(new):
            return self._edit({None: Delete()}, nodes)
        return super()._entries(base, new, nodes)


class _Outline(Difference):
    """A comparison that keeps no values."""

    def between(self, base: Any, new: Any) -> Change | None:
        if isinstance(base, DictNode) and isinstance(new, DictNode) and base.flat and new.flat and base is not new:
            return self._flat(base.items, new.items)
        change = super().between(base, new)
        return _WRITTEN if isinstance(change, Replace) else change

    def _flat(self, base: dict[Any, Any], new: dict[Any, Any]) -> Edit | None:
        if _has_grown(base, new):
            return self._edit(dict.fromkeys(islice(new, len(base), None), _WRITTEN), [])
        keys = _keys_that_differ(base, new)
        changed = [key for key in keys if not same_value(base.get(key, ABSENT), new.get(key, ABSENT))]
        return self._edit(dict.fromkeys(changed, _WRITTEN), [])


_WRITTEN: Final = Replace(None)


def _has_grown(base: dict[Any, Any], new: dict[Any, Any]) -> bool:
    """Whether there are only new keys, after all the others."""
    return len(new) > len(base) and all(map(is_, base.values(), new.values())) and all(map(is_, base, new))


def _keys_that_differ(base: dict[Any, Any], new: dict[Any, Any]) -> Iterable[Any]:
    """Candidates, at C speed, in the order of the base and then of the new."""
    if len(base) == len(new) and all(a is b or a == b for a, b in zip(base, new, strict=True)):
        return list(compress(base, map(is_not, base.values(), new.values())))
    if _has_grown(base, new):
        return islice(new, len(base), None)
    missing = object()
    fetch = new.get if type(new) is dict else lambda key, default=None: dict.get(new, key, default)
    changed = [key for key, value in base.items() if fetch(key, missing) is not value]
    return [*changed, *(key for key in new if key not in base)]


def _aligned(base: Sequence[Any], new: Sequence[Any]) -> tuple[int, int]:
    """How many items at the start and at the end of two lists of different length are to be compared in place.

    Either what both begin and end with, around a place where items came or went; or all, up to the end of the
    shorter, when that takes fewer items of the base to be another one: written over, and appended or cut off.
    """
    start = _common(base, new)
    end = _common(base[::-1], new[::-1], min(len(base), len(new)) - start)
    shorter = min(len(base), len(new))
    displaced = len(base) - start - end
    if displaced and _differing(base, new) + len(base) - shorter <= displaced:
        return shorter, 0
    return start, end


def _differing(base: Sequence[Any], new: Sequence[Any]) -> int:
    places = compress(count(), map(is_not, base, new))
    return sum(not _is_same_item(base[place], new[place]) for place in places)


def _common(base: Sequence[Any], new: Sequence[Any], limit: int | None = None) -> int:
    """How many items both begin with: the same, or sealed states of what was one object to the user."""
    length = min(len(base), len(new)) if limit is None else limit
    for index in compress(range(length), map(is_not, base, new)):
        if not _is_same_item(base[index], new[index]):
            return index
    return length


def _is_same_item(one: Any, other: Any) -> bool:
    if isinstance(one, Node) and isinstance(other, Node):
        return one.lineage == other.lineage
    return same_value(one, other)
