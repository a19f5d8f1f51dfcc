"""Collections for large state: a branch keeps its own writes over a table that all branches share.

Declare a field as one of these, annotate it `MutableMapping` or `MutableSequence`, or decorate the class with
`@context`. They are no subclasses of dict and list, on purpose: C code would read their storage past the writes.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any, Final, Generic, Self, SupportsIndex, TypeVar, cast, overload

from flujo_actors.context.absent import ABSENT
from flujo_actors.context.atoms import all_atoms
from flujo_actors.context.equality import same_value
from flujo_actors.context.nodes import MapNode, Node, SequenceNode
from flujo_actors.context.paths import Key
from flujo_actors.context.protocols import Seals, Thaws
from flujo_actors.context.tables import MapVersion, SequenceVersion
from flujo_actors.errors import ContextError

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")

_MISSING: Final = object()
_EMPTY_MAP: Final = MapVersion.of({})
_EMPTY_SEQUENCE: Final = SequenceVersion.of([])


class ContextMap(MutableMapping[K, V], Generic[K, V]):  # noqa: PLW1641 - mutable, so without a hash, as dict is
    """A mapping of any size that costs a branch what it touches.

    Iteration is over the keys there were when it began. Keys come in the order in which they were first set; a key
    that was deleted before and is set again comes back in its old place. Not usable where a real dict is demanded
    (`json.dumps`, `|`): `plain(it)` gives one.
    """

    __slots__ = ("__weakref__", "_local", "_node", "_thawer")
    is_context_collection = True

    _local: dict[K, Any]
    """Own writes and mutable values that were read; `ABSENT` for a deleted key."""
    _node: MapNode | None
    _thawer: Thaws | None

    def __init__(self, items: Mapping[K, V] | Iterable[tuple[K, V]] = (), /) -> None:
        self._local = dict(items)
        self._node = None
        self._thawer = None

    @classmethod
    def over(cls, node: MapNode, thawer: Thaws) -> Self:
        """The live map of a branch."""
        made = cls.__new__(cls)
        made._local, made._node, made._thawer = {}, node, thawer
        return made

    @property
    def _version(self) -> MapVersion:
        return _EMPTY_MAP if self._node is None else self._node.version

    def _find(self, key: Any) -> Any:
        value = self._local.get(key, _MISSING)
        if value is not _MISSING:
            return value
        value = self._version.get(key)
        if isinstance(value, Node):
            thawer = self._thawer
            assert thawer is not None, "nodes come from a thawer's version"  # noqa: S101 - an invariant
            value = self._local.setdefault(key, thawer.thaw(value))
        return value

    def __getitem__(self, key: K) -> V:
        value = self._find(key)
        if value is ABSENT:
            raise KeyError(key)
        return cast("V", value)

    def __setitem__(self, key: K, value: V) -> None:
        self._local[key] = value

    def __delitem__(self, key: K) -> None:
        if key not in self:
            raise KeyError(key)
        self._local[key] = ABSENT

    def __contains__(self, key: object) -> bool:
        value = self._local.get(cast("K", key), _MISSING)
        return (self._version.get(key) if value is _MISSING else value) is not ABSENT

    def __len__(self) -> int:
        version = self._version
        return version.size + _growth(version, self._local)

    def __iter__(self) -> Iterator[K]:
        keys = self._version_keys()
        if not self._local:
            return iter(keys)
        both = dict.fromkeys([*keys, *self._local])
        return iter([key for key in both if self._local.get(key) is not ABSENT])

    def _version_keys(self) -> list[K]:
        return [key for key, _ in self._version.items()]

    def clear(self) -> None:
        """Remove all items."""
        self._local = dict.fromkeys(self._version_keys(), cast("Any", ABSENT))

    def copy(self) -> dict[K, V]:
        """A dict with the same items, of its own."""
        return dict(self.items())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self.items()) == dict(other.items())

    def __repr__(self) -> str:
        return f"ContextMap({dict(self.items())!r})"

    def __reduce__(self) -> tuple[type[Self], tuple[dict[K, V]]]:
        return type(self), (dict(self.items()),)

    def atoms_written_over(self, node: MapNode) -> dict[K, Any] | None:
        """The own writes, if all of them are atoms and all there is besides this node; for the engine."""
        local = self.written_over(node)
        return local if local is not None and all_atoms(local.values()) else None

    def written_over(self, node: MapNode) -> dict[K, Any] | None:
        """The own writes and what was read, if they are all there is besides this node; for the engine."""
        return self._local if self._node is node else None

    def touch_all(self) -> None:
        """Have all mutable values at hand, because some are reachable by other paths too; for the engine."""
        for key, value in self._version.items():
            if isinstance(value, Node):
                self._find(key)

    def seal(self, freezer: Seals, original: Node | None) -> Node:
        """The state as a node; for the engine."""
        local, node, thawer = self._local, self._node, self._thawer
        version = self._version
        if freezer.taking:
            self._local = {}
            freezer.on_failure(lambda: setattr(self, "_local", local))
        changes = _sealed_changes(freezer, version, local)
        sealed = node if node is not None and not changes else MapNode(_committed(version, changes), original or node)
        freezer.on_success(lambda: self._rebase(sealed, freezer.successor if freezer.taking else thawer))
        return sealed

    def _rebase(self, node: MapNode, thawer: Thaws | None) -> None:
        self._node, self._thawer = node, thawer
        self._local = {key: value for key, value in self._local.items() if isinstance(node.version.get(key), Node)}


def _committed(version: MapVersion, changes: dict[Any, Any]) -> MapVersion:
    if not version.size:
        return MapVersion.of({key: value for key, value in changes.items() if value is not ABSENT})
    return version.commit(changes, _growth(version, changes))


def _growth(version: MapVersion, changes: dict[Any, Any]) -> int:
    if not version.size:
        return sum(value is not ABSENT for value in changes.values())
    known = version.known(changes)
    return sum((value is not ABSENT) - (key in known) for key, value in changes.items())


def _sealed_changes(freezer: Seals, version: MapVersion, local: dict[Any, Any]) -> dict[Any, Any]:
    if freezer.taking and all_atoms(local.values()):
        return local
    changes: dict[Any, Any] = {}
    for key, value in local.items():
        # The loop's own reference is one more, so a container is copied here and never taken.
        sealed = value if value is ABSENT else freezer.entry(local, key, key)
        if not same_value(version.get(key), sealed):
            changes[key] = sealed
    return changes


class _Items(Sequence[T], Generic[T]):  # noqa: PLW1641 - without a hash, as list is
    """What `ContextList` and `Log` share: a view of a version, items that were touched, and a tail."""

    __slots__ = ("__weakref__", "_node", "_tail", "_thawer", "_touched")
    is_context_collection = True

    _node: SequenceNode | None
    _touched: dict[int, Any]
    """Items of the version that were read and are mutable, or were written over."""
    _tail: list[T]
    _thawer: Thaws | None

    def __init__(self, items: Iterable[T] = (), /) -> None:
        self._node, self._touched, self._tail, self._thawer = None, {}, list(items), None

    @classmethod
    def over(cls, node: SequenceNode, thawer: Thaws) -> Self:
        """The live sequence of a branch."""
        made = cls.__new__(cls)
        made._node, made._touched, made._tail, made._thawer = node, {}, [], thawer
        return made

    @property
    def _version(self) -> SequenceVersion:
        return _EMPTY_SEQUENCE if self._node is None else self._node.version

    def __len__(self) -> int:
        return len(self._version) + len(self._tail)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self._item(place) for place in range(*index.indices(len(self)))]
        return self._item(_place(index, len(self)))

    def _item(self, place: int) -> T:
        begun = len(self._version)
        if place >= begun:
            return self._tail[place - begun]
        value = self._touched.get(place, _MISSING)
        if value is not _MISSING:
            return cast("T", value)
        value = self._version.get(place)
        if isinstance(value, Node):
            thawer = self._thawer
            assert thawer is not None, "nodes come from a thawer's version"  # noqa: S101 - an invariant
            value = self._touched.setdefault(place, thawer.thaw(value))
        return cast("T", value)

    def __iter__(self) -> Iterator[T]:
        place = 0
        while place < len(self):
            yield self._item(place)
            place += 1

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Items | list):
            return NotImplemented
        return list(self) == list(cast("Iterable[Any]", other))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)!r})"

    def __reduce__(self) -> tuple[type[Self], tuple[list[T]]]:
        return type(self), (list(self),)

    def append(self, value: T) -> None:
        """Add an item at the end."""
        self._tail.append(value)

    def extend(self, values: Iterable[T]) -> None:
        """Add items at the end."""
        self._tail.extend(list(values))

    def touch_all(self) -> None:
        """Have all mutable items at hand, because some are reachable by other paths too; for the engine."""
        for place in range(len(self._version)):
            self._item(place)

    def seal(self, freezer: Seals, original: Node | None) -> Node:
        """The state as a node; for the engine."""
        node, touched, tail, thawer = self._node, self._touched, self._tail, self._thawer
        if freezer.taking:
            self._touched, self._tail = {}, []
            freezer.on_failure(lambda: self._restore(touched, tail))
        edits = self._sealed_edits(freezer, touched)
        begun = len(self._version)
        added = [freezer.entry(tail, index, begun + index) for index in range(len(tail))]
        if node is not None and not edits and not added:
            sealed = node
        else:
            version = self._version.commit(edits, added) if begun else SequenceVersion.of(added)
            sealed = SequenceNode(type(self), version, original or node)
        freezer.on_success(lambda: self._rebase(sealed, freezer.successor if freezer.taking else thawer))
        return sealed

    def _restore(self, touched: dict[int, Any], tail: list[T]) -> None:
        self._touched, self._tail = touched, tail

    def _rebase(self, node: SequenceNode, thawer: Thaws | None) -> None:
        begun = len(self._version)
        live = {**self._touched, **{begun + index: value for index, value in enumerate(self._tail)}}
        self._node, self._thawer, self._tail = node, thawer, []
        self._touched = {place: v for place, v in live.items() if isinstance(node.version.get(place), Node)}

    def _sealed_edits(self, freezer: Seals, touched: dict[int, Any]) -> dict[int, Any]:
        edits: dict[int, Any] = {}
        for place in touched:
            sealed = freezer.entry(touched, place, place)
            if not same_value(self._version.get(place), sealed):
                edits[place] = sealed
        return edits


def _place(index: SupportsIndex, length: int) -> int:
    place = index.__index__()
    place = place + length if place < 0 else place
    if not 0 <= place < length:
        raise IndexError("index out of range")
    return place


class ContextList(_Items[T], MutableSequence[T], Generic[T]):
    """A list of any size that costs a branch what it touches.

    Reading, appending, writing over an item and taking from what the branch itself appended cost what they touch.
    Insertion, deletion, sorting and slice assignment elsewhere copy the list, once per branch.
    """

    __slots__ = ()

    @overload
    def __setitem__(self, index: int, value: T) -> None: ...
    @overload
    def __setitem__(self, index: slice, value: Iterable[T]) -> None: ...
    def __setitem__(self, index: int | slice, value: Any) -> None:
        if isinstance(index, slice):
            self._own()[index] = value
            return
        place = _place(index, len(self))
        begun = len(self._version)
        if place < begun:
            self._touched[place] = value
        else:
            self._tail[place - begun] = value

    def __delitem__(self, index: int | slice) -> None:
        begun = len(self._version)
        if isinstance(index, slice):
            del self._own()[index]
            return
        place = _place(index, len(self))
        if place >= begun:
            del self._tail[place - begun]
        else:
            del self._own()[place]

    def insert(self, index: int, value: T) -> None:
        """Put an item before an index."""
        if index >= len(self):
            self._tail.append(value)
        else:
            self._own().insert(index, value)

    def clear(self) -> None:
        """Remove all items."""
        self._node, self._touched, self._tail = self._emptied(), {}, []

    def copy(self) -> list[T]:
        """A list with the same items, of its own."""
        return list(self)

    def sort(self, *, key: Any = None, reverse: bool = False) -> None:
        """Sort in place."""
        self._own().sort(key=key, reverse=reverse)

    def reverse(self) -> None:
        """Turn the order round, in place."""
        self._own().reverse()

    def _own(self) -> list[T]:
        """All items in the tail, to be moved about."""
        if len(self._version):
            items = list(self)
            self.clear()
            self._tail = items
        return self._tail

    def _emptied(self) -> SequenceNode | None:
        return None if self._node is None else SequenceNode(type(self), SequenceVersion.of([]), self._node)


class Log(_Items[T], Generic[T]):
    """A sequence that only grows. Several branches' entries come in declared order and never conflict.

    An entry stays as it was appended: a step that changes one it has read fails when it ends.
    """

    __slots__ = ()

    def _sealed_edits(self, freezer: Seals, touched: dict[int, Any]) -> dict[int, Any]:
        edits = super()._sealed_edits(freezer, touched)
        if edits:
            place = min(edits)
            raise ContextError(
                freezer.path_of(Key(place)),
                "is an entry of a Log, which stays as it was appended; append another",
            )
        return edits


def plain(value: Any) -> Any:
    """The same values in builtin containers: dict for `ContextMap`, list for `ContextList` and `Log`, all the way down.

    Other objects are passed on as they are.
    """
    if isinstance(value, ContextMap | dict):
        items = cast("Mapping[Any, Any]", value)
        return {key: plain(part) for key, part in items.items()}
    if isinstance(value, _Items | list):
        return [plain(part) for part in cast("Iterable[Any]", value)]
    return value
