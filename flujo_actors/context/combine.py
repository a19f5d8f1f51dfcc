"""The three-way merge: the changes of several branches to one base as one tree of changes, and the conflicts."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from flujo_actors.context.absent import ABSENT
from flujo_actors.context.application import Application
from flujo_actors.context.atoms import is_atom_class, is_number
from flujo_actors.context.changes import (
    Change,
    Delete,
    Edit,
    ListEdit,
    Replace,
    SetEdit,
    Splice,
    diff,
    part_of,
    value_at,
)
from flujo_actors.context.freeze import Freezer
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
from flujo_actors.context.paths import FIELDS_SET, Key, Part, Path, format_path
from flujo_actors.context.shapes import shape_of
from flujo_actors.context.strategies import MergeStrategy
from flujo_actors.context.thaw import publish
from flujo_actors.errors import ContextError
from flujo_actors.failures import text_of


@attrs.frozen(eq=False)
class Clash:
    """Two changes of one path that do not go together."""

    path: Path
    base: Any
    ours: Change
    theirs: Change


class Combination:
    """One merge in the making: what was combined so far, and what did not go together."""

    def __init__(self, strategy: MergeStrategy, *, tangled: bool) -> None:
        self.clashes: list[Clash] = []
        self._tangled = tangled
        self._own: dict[int, Edit] = {}
        self._strict = strategy is MergeStrategy.ERROR_ON_CONFLICT
        self._first_wins = strategy is MergeStrategy.KEEP_FIRST
        self._path: list[Part] = []
        self._made: dict[tuple[int, int], Change] = {}
        self._kept: list[Change] = []

    def of(self, base: Any, ours: Change | None, theirs: Change | None) -> Change | None:
        """Both changes to a base in one. Of two that clash, ours is kept."""
        if ours is None or theirs is None:
            return ours or theirs
        if not self._tangled:
            return self._combined(base, ours, theirs)
        key = (id(ours), id(theirs))
        if key not in self._made:
            self._kept += [ours, theirs]  # so that no other change gets the same id
            self._made[key] = self._combined(base, ours, theirs)
        return self._made[key]

    def _combined(self, base: Any, ours: Change, theirs: Change) -> Change:
        match ours, theirs:
            case Edit(), Edit():
                return self._edits(base, ours, theirs)
            case ListEdit(), ListEdit():
                return self._list_edits(base, ours, theirs)
            case SetEdit(), SetEdit():
                return self._set_edits(base, ours, theirs)
            case Replace(), Replace() if base is ABSENT and _are_alike(ours.value, theirs.value):
                return self._both_new(ours, theirs)
            case _:
                return ours if self._agree(ours, theirs) else self._clash(base, ours, theirs)

    def _agree(self, ours: Change, theirs: Change) -> bool:
        if self._strict:
            return False
        if isinstance(ours, Delete) and isinstance(theirs, Delete):
            return True
        if not isinstance(ours, Replace) or not isinstance(theirs, Replace) or _may_hold_number(ours.value):
            return False
        return diff(ours.value, theirs.value) is None

    def _clash(self, base: Any, ours: Change, theirs: Change) -> Change:
        if not self._first_wins:
            self.clashes.append(Clash(tuple(self._path), base, ours, theirs))
        return ours

    def _at(self, part: Part, base: Any, ours: Change | None, theirs: Change | None) -> Change | None:
        self._path.append(part)
        combined = self.of(base, ours, theirs)
        self._path.pop()
        return combined

    def _edits(self, base: Any, ours: Edit, theirs: Edit) -> Edit:
        gathered = self._own.get(id(ours))
        if gathered is None:
            gathered = Edit(dict(ours.parts), ours.source, list(ours.nodes))
            self._own[id(gathered)] = gathered
        gathered.nodes += theirs.nodes
        self._gather(base, gathered.parts, theirs)
        return gathered

    def _gather(self, base: Any, parts: dict[Any, Change], theirs: Edit) -> None:
        for key, change in theirs.parts.items():
            mine = parts.get(key)
            if mine is None:
                parts[key] = change
                continue
            part = part_of(base, key)
            ruled = self._by_rule(base, key, mine, change)
            combined = ruled if ruled is not None else self._at(part, value_at(base, part), mine, change)
            assert combined is not None, "two changes make one"  # noqa: S101 - an invariant
            parts[key] = combined

    def _by_rule(self, base: Any, name: Any, ours: Change, theirs: Change) -> Change | None:
        """The field's declared rule, asked with plain values. `None` when there is none, or it does not apply."""
        if not isinstance(base, RecordNode) or self._strict or self._first_wins:
            return None
        if name == FIELDS_SET:
            return theirs if not (isinstance(ours, SetEdit) and isinstance(theirs, SetEdit)) else None
        rule = base.shape.rules.get(name)
        if rule is None:
            return None
        before = base.values.get(name, ABSENT)
        application = Application()
        values = [_plain(application.value(before, change)) for change in (None, ours, theirs)]
        try:
            merged = rule.merge(*values)
            sealed = Freezer(None, None, taking=False).seal(merged)
        except Exception as error:
            path = format_path([*self._path, part_of(base, name)])
            raise ContextError(path, f"cannot be merged by its rule {rule!r}: {text_of(error)}") from error
        return Replace(sealed, _last_source(theirs), by_rule=True)

    def _set_edits(self, base: Any, ours: SetEdit, theirs: SetEdit) -> SetEdit:
        if self._strict:
            both = (ours.added.keys() & theirs.added.keys()) | (ours.removed.keys() & theirs.removed.keys())
            if both and not (self._path and format_path(self._path[-1:]) == FIELDS_SET):
                self._clash(base, ours, theirs)
        return SetEdit(
            {**theirs.added, **ours.added},
            {**theirs.removed, **ours.removed},
            theirs.source,
            _nodes(ours, theirs),
        )

    # Lists.

    def _list_edits(self, base: Any, ours: ListEdit, theirs: ListEdit) -> ListEdit:
        parts = dict(ours.parts)
        for index, change in theirs.parts.items():
            crossed = _crossing(ours.splices, index)
            if crossed is not None:
                self._clash_at(base, index, Replace(_as_list(crossed.items), crossed.source), change)
                continue
            combined = self._at(Key(index), value_at(base, Key(index)), parts.get(index), change)
            assert combined is not None, "theirs is a change"  # noqa: S101 - an invariant
            parts[index] = combined
        splices = list(ours.splices)
        splices += [splice for splice in theirs.splices if self._has_room(base, ours, splice)]
        # A stable sort: of two appends, ours stays before theirs.
        splices.sort(key=lambda splice: (splice.start, splice.stop))
        return ListEdit(parts, splices, theirs.source, _nodes(ours, theirs))

    def _has_room(self, base: Any, ours: ListEdit, splice: Splice) -> bool:
        """Whether a splice goes with ours. It is no conflict to append where another one did."""
        replacement = Replace(_as_list(splice.items), splice.source)
        end = len(base.items) if isinstance(base, ListNode) else len(base.version)
        for other in ours.splices:
            if _overlap(other, splice) and (self._strict or self._first_wins or not _are_appends(other, splice, end)):
                self._clash_at(base, splice.start, Replace(_as_list(other.items), other.source), replacement)
                return False
        edited = [index for index in ours.parts if splice.start <= index < splice.stop]
        for index in edited:
            self._clash_at(base, index, ours.parts[index], replacement)
        return not edited

    def _clash_at(self, base: Any, index: int, ours: Change, theirs: Change) -> None:
        self._path.append(Key(index))
        self._clash(value_at(base, Key(index)), ours, theirs)
        self._path.pop()

    def _both_new(self, ours: Replace, theirs: Replace) -> Change:
        """Two branches made a container where there was none: it is as if it had been there, empty."""
        empty = _emptied(ours.value)
        combined = self.of(empty, diff(empty, ours.value, ours.source), diff(empty, theirs.value, theirs.source))
        return Replace(Application().value(empty, combined), theirs.source, by_rule=True)


def _nodes(ours: ListEdit | SetEdit, theirs: ListEdit | SetEdit) -> list[Node]:
    return [*ours.nodes, *theirs.nodes]


def _as_list(items: list[Any]) -> ListNode:
    return ListNode(items)


def _crossing(splices: list[Splice], index: int) -> Splice | None:
    return next((splice for splice in splices if splice.start <= index < splice.stop), None)


def _overlap(one: Splice, other: Splice) -> bool:
    if one.start == other.start:
        return True
    first, second = (one, other) if one.start < other.start else (other, one)
    return second.start < first.stop


def _are_appends(one: Splice, other: Splice, end: int) -> bool:
    return one.start == other.start == end


def _are_alike(one: Any, other: Any) -> bool:
    if isinstance(one, DictNode) and isinstance(other, DictNode):
        return one.is_like(other.items)
    return type(one) is type(other) and isinstance(one, ListNode | SetNode)


def _emptied(node: Any) -> Node:
    if isinstance(node, DictNode):
        items = node.items.copy()
        items.clear()
        return DictNode(items, node)
    return ListNode([], node) if isinstance(node, ListNode) else SetNode(set(), node)


def _may_hold_number(sealed: Any) -> bool:
    """Whether equal writes of this value may hide a lost update: there is a number in it, or no telling."""
    seen: set[int] = set()
    waiting = [sealed]
    while waiting:
        value = waiting.pop()
        if is_number(value) or isinstance(value, OpaqueNode):
            return True
        if id(value) not in seen:
            seen.add(id(value))
            waiting.extend(_contents(value))
    return False


def _contents(value: Any) -> Iterator[Any]:
    match value:
        case RecordNode():
            return iter(value.values.values())
        case DictNode():
            return iter(value.items.values())
        case MapNode() | SequenceNode():
            return _version_values(value)
        case ListNode() | TupleNode() | SetNode():
            return iter(value.items)
        case tuple() | frozenset():
            return iter(value)
        case _:
            return _attributes(value)


def _attributes(atom: Any) -> Iterator[Any]:
    """What a frozen object holds."""
    shape = None if is_atom_class(type(atom)) else shape_of(type(atom))
    return iter(()) if shape is None else (part for _, part in shape.attributes(atom))


def _version_values(node: Any) -> Iterator[Any]:
    for item in node.version.items():
        yield item[1] if isinstance(item, tuple) else item


def _last_source(change: Change) -> int:
    return change.source


def _plain(value: Any) -> Any:
    return None if value is ABSENT else publish(value)
