"""From live objects to sealed nodes: what a branch's code left, as the state that others read.

A sealed node must be out of reach of the code that made it. A flat container that nobody else holds is taken as it
is, everything else is copied: holding is told by the reference count, along the whole way down from the context.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import copy
import sys
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from operator import is_
from typing import Any, Final

from flujo_actors.context.absent import ABSENT
from flujo_actors.context.atoms import ATOM_TYPES, all_atoms, is_atom_class
from flujo_actors.context.collections import ContextList, ContextMap, Log
from flujo_actors.context.equality import same_opaque, same_value
from flujo_actors.context.lazy import (
    PYDANTIC_POCKETS,
    Lazy,
    instance_dict,
    shape_behind,
    swap_instance_dict,
)
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
from flujo_actors.context.paths import Field, Key, Part, format_path
from flujo_actors.context.resets import Drop, Rebase, Rebind, Restore
from flujo_actors.context.shapes import Shape, shape_of
from flujo_actors.context.tables import MapVersion, SequenceVersion
from flujo_actors.context.thaw import Thawer
from flujo_actors.errors import ContextError
from flujo_actors.failures import text_of


class Freezer:
    """Seals the live objects of one branch, once. Nothing of the branch is changed before `finish`.

    Args (of the constructor):
        thawer: what made the live objects; `None` for objects that no branch has made.
        taking: the branch's code has ended: take what nobody holds, and empty its live objects.
    """

    __slots__ = (
        "_done",
        "_field",
        "_open",
        "_owners",
        "_reentered",
        "_resets",
        "_slot",
        "_taking",
        "_trail",
        "_undo",
        "aliased",
        "originals",
        "successor",
        "tangled",
        "thawer",
        "versions",
        "weight",
    )  # fmt: skip

    def __init__(self, thawer: Thawer | None, successor: Thawer | None, *, taking: bool) -> None:
        self.thawer = thawer
        self.successor = successor
        """What fills the emptied live objects from now on, when taking."""
        self.originals = {} if thawer is None else thawer.counterparts
        self.aliased: set[str] = set()
        """Fields of the root found to share an object with another field."""
        self.tangled = False
        """Whether any object was met twice."""
        self.weight = 0
        """How many entries the new builtin containers have."""
        self.versions: list[MapVersion | SequenceVersion] = []
        """New versions of declared collections."""
        self._taking = taking
        self._done: dict[int, Any] = {}
        self._owners: dict[int, tuple[str, tuple[int, Any]]] = {}
        self._open: set[int] = set()
        self._reentered: set[int] = set()
        self._field = ""
        self._slot: tuple[int, Any] = (0, "")
        self._trail: list[Part] = []
        self._undo: list[Callable[[], None]] = []
        self._resets: list[Callable[[], None]] = []

    @property
    def taking(self) -> bool:
        """Whether the branch's code has ended."""
        return self._taking

    def seal(self, live: Any) -> Any:
        """The sealed value of the whole context.

        Raises:
            ContextError: something in it cannot be isolated; the branch is as before.
        """
        try:
            return self.value(live, owned=False)
        except BaseException as error:
            for undo in reversed(self._undo):
                undo()
            if isinstance(error, RecursionError):
                raise ContextError(format_path(self._trail[:_FEW]), "is nested too deeply to be copied") from error
            raise

    def finish(self) -> None:
        """Point all live objects to what they were sealed as. Cannot fail."""
        for reset in self._resets:
            reset()

    def value(self, live: Any, *, owned: bool) -> Any:
        """The sealed form of a live value. `owned`: only the freezer can reach it."""
        cls = type(live)
        if cls in ATOM_TYPES:
            return live
        done = self._done.get(id(live))
        if done is not None:
            return self._met_again(live, done)
        handler = _HANDLERS.get(cls)
        if handler is not None:
            return handler(self, live, owned)
        return self._by_class(live, cls)

    def _by_class(self, live: Any, cls: type) -> Any:
        if is_atom_class(cls):
            return live
        if issubclass(cls, Lazy):
            return self._lazy(live)
        if hasattr(cls, "seal") and getattr(cls, "is_context_collection", False):
            return self._collection(live)
        shape = shape_of(cls)
        if shape is not None:
            return self._record(live, shape)
        if issubclass(cls, tuple) and hasattr(cls, "_fields"):
            return self._tuple(live, False)  # noqa: FBT003
        return self._opaque(live)

    def path_of(self, step: Part) -> str:
        """The path of a part of what is being sealed."""
        return format_path([*self._trail, step])

    # One object met by several paths, and cycles.

    def _met_again(self, live: Any, done: Any) -> Any:
        if not isinstance(done, Node):
            return done  # a frozen object or tuple of atoms may be in any number of places
        key = id(live)
        if key in self._open:
            self._reentered.add(key)
        self.tangled = True
        field, slot = self._owners[key]
        if slot != self._slot:
            self.aliased |= {field, self._field}
        return done

    def _begin(self, live: Any, node: Node) -> None:
        """A node that is not complete yet stands for the object, should its parts lead back to it."""
        key = id(live)
        self._done[key] = node
        self._owners[key] = (self._field, self._slot)
        self._open.add(key)

    def _end(self, live: Any, node: Node, original: Node | None, *, changed: bool) -> Any:
        key = id(live)
        self._open.discard(key)
        if not changed and original is not None and key not in self._reentered:
            node = original
        return self._keep(live, node)

    def _keep(self, live: Any, node: Any) -> Any:
        key = id(live)
        self._done[key] = node
        self._owners.setdefault(key, (self._field, self._slot))
        if not self._taking and self.thawer is not None:
            self._resets.append(Rebind(self.thawer, live, node))
        return node

    # Containers.

    def part(self, container: Any, key: Any, step: Part, *, owned: bool) -> Any:
        """The sealed form of one value in a live container."""
        if type(container[key]) in ATOM_TYPES:
            return container[key]
        self._trail.append(step)
        alone = owned and sys.getrefcount(container[key]) <= _ALONE + (id(container[key]) in self.originals)
        sealed = self.value(container[key], owned=alone)
        self._trail.pop()
        return sealed

    def entry(self, container: Any, key: Any, place: Any) -> Any:
        """The sealed form of one entry of a declared collection, which is read on its own as a field is."""
        outer, self._slot = self._slot, (id(container), place)
        sealed = self.part(container, key, Key(place), owned=self._taking)
        self._slot = outer
        return sealed

    def _list(self, live: list[Any], owned: bool) -> Any:  # noqa: FBT001 - one signature for all handlers
        original = self.originals.get(id(live))
        base = original.items if isinstance(original, ListNode) else None
        if base is not None and len(base) == len(live) and all(map(is_, base, live)):
            return self._keep(live, original)
        if all_atoms(live):
            self.weight += len(live)
            return self._keep(live, ListNode(live if owned else live.copy(), original, flat=True))
        source = live if owned else live.copy()
        node = ListNode([], original)
        self._begin(live, node)
        node.items = [self.part(source, index, Key(index), owned=owned) for index in range(len(source))]
        node.flat = not any(isinstance(item, Node) for item in node.items)
        return self._end(live, node, original, changed=not _same_items(base, node.items))

    def _dict(self, live: dict[Any, Any], owned: bool) -> Any:  # noqa: FBT001
        if type(live) is not dict and _has_attributes(live):
            return self._opaque(live)
        original = self.originals.get(id(live))
        base = original.items if isinstance(original, DictNode) and original.is_like(live) else None
        if base is not None and _same_entries(base, live):
            return self._keep(live, original)
        if all_atoms(live.values()):
            self.weight += len(live)
            return self._keep(live, DictNode(live if owned else live.copy(), original, flat=True))
        source = live if owned else live.copy()
        node = DictNode({}, original)
        self._begin(live, node)
        sealed = {key: self.part(source, key, Key(key), owned=owned) for key in source}
        node.items = items = source.copy()  # of the same class, which may have a default factory
        for key, value in sealed.items():
            items[key] = value
        node.flat = not any(isinstance(value, Node) for value in sealed.values())
        return self._end(live, node, original, changed=base is None or not _same_entries(base, items))

    def _set(self, live: set[Any], owned: bool) -> Any:  # noqa: FBT001
        original = self.originals.get(id(live))
        if isinstance(original, SetNode) and _same_elements(original.items, live):
            return self._keep(live, original)
        self.weight += len(live)
        return self._keep(live, SetNode(live if owned else live.copy(), original))

    def _tuple(self, live: tuple[Any, ...], owned: bool) -> Any:  # noqa: FBT001
        if all_atoms(live):
            return live
        original = self.originals.get(id(live))
        node = TupleNode(type(live), (), original)
        self._begin(live, node)
        node.items = tuple(self.part(live, index, Key(index), owned=owned) for index in range(len(live)))
        if not any(isinstance(item, Node) for item in node.items):
            self._done[id(live)] = live
            return live
        base = original.items if isinstance(original, TupleNode) else None
        return self._end(live, node, original, changed=not _same_items(base, node.items))

    def _collection(self, live: ContextMap[Any, Any] | ContextList[Any] | Log[Any]) -> Any:
        sealed: Any = live.seal(self, self.originals.get(id(live)))
        self.versions.append(sealed.version)
        return self._keep(live, sealed)

    def _opaque(self, live: Any) -> Any:
        original = self.originals.get(id(live))
        if isinstance(original, OpaqueNode) and same_opaque(original.value, live):
            return self._keep(live, original)
        return self._keep(live, OpaqueNode(self._deep_copy(live), original))

    def _deep_copy(self, live: Any) -> Any:
        try:
            return copy.deepcopy(live)
        except Exception as error:
            problem = (
                f"holds a {type(live).__name__}, which cannot be copied for a step ({text_of(error)}); "
                "pass it as `resources`, or declare the field Shared()"
            )
            raise ContextError(format_path(self._trail), problem) from error

    # Records.

    def _lazy(self, live: Any) -> Any:
        source: RecordNode | None = getattr(live, "__flujo_source__", None)
        touched = instance_dict(live)
        if self._taking and self.successor is not None:
            self._empty(live, touched)
        shape = shape_behind(live)
        node = RecordNode(shape, {}, source)
        self._begin(live, node)
        base = {} if source is None else source.values
        node.values = values = base.copy()
        changed = self._fields(live, shape, touched, values, owned=self._taking)
        if shape.kind == "pydantic":
            changed |= self._fields(live, shape, _pockets_of(live), values, owned=False)
        sealed = self._end(live, node, source, changed=changed or source is None)
        self._resets.append(Rebase(live, sealed, self.successor if self._taking else None))
        return sealed

    def _empty(self, live: Any, touched: dict[str, Any]) -> None:
        """Put what the code touched out of its reach, before looking at who else holds it."""
        former = live.__flujo_thawer__ if hasattr(live, "__flujo_thawer__") else self.successor
        object.__setattr__(live, "__flujo_thawer__", self.successor)
        swap_instance_dict(live, {})
        self._undo.append(Restore(live, touched, former))

    def _record(self, live: Any, shape: Shape) -> Any:
        original = self.originals.get(id(live))
        base = original.values if isinstance(original, RecordNode) else None
        parts = dict(shape.attributes(live))
        node = RecordNode(shape, {}, original)
        self._begin(live, node)
        self._fields(live, shape, parts, node.values, owned=False)
        if shape.frozen and not any(isinstance(value, Node) for value in node.values.values()):
            self._open.discard(id(live))
            self._done[id(live)] = live
            return live
        changed = base is None or not _same_entries(base, node.values)
        return self._end(live, node, original, changed=changed)

    def _fields(self, live: Any, shape: Shape, parts: dict[str, Any], values: dict[str, Any], *, owned: bool) -> bool:
        """Seal attributes into `values`. Returns whether that changed anything."""
        outer_field, outer_slot = self._field, self._slot
        is_root = not self._trail
        changed = False
        for name in parts:
            if name in shape.derived:
                continue
            self._slot = (id(live), name)
            if is_root:
                self._field = name
            sealed = self._attribute(shape, parts, name, owned=owned)
            if not same_value(values.get(name, ABSENT), sealed):
                values[name] = sealed
                changed = True
        self._field, self._slot = outer_field, outer_slot
        return changed

    def _attribute(self, shape: Shape, parts: dict[str, Any], name: str, *, owned: bool) -> Any:
        if name in shape.shared:
            return parts[name]
        spare = not self._taking and self._is_spare(parts, name)
        sealed = self.part(parts, name, Field(name), owned=owned or spare)
        if spare:
            self._resets.append(Drop(parts, name, self.thawer))
        if name in shape.mappings and isinstance(sealed, DictNode):
            return MapNode(MapVersion.of(dict(sealed.items)))
        if name in shape.sequences and isinstance(sealed, ListNode):
            return SequenceNode(ContextList, SequenceVersion.of(list(sealed.items)))
        return sealed

    def _is_spare(self, parts: dict[str, Any], name: str) -> bool:
        """Whether the code that goes on cannot tell if it reads the field anew: a flat container that it does not hold.

        Then the next forks need not look at it again, however large it is.
        """
        if type(parts[name]) not in _BUILTIN:
            return False
        if sys.getrefcount(parts[name]) > _ALONE + (id(parts[name]) in self.originals):
            return False
        return all_atoms(parts[name].values() if isinstance(parts[name], dict) else parts[name])

    def on_failure(self, undo: Callable[[], None]) -> None:
        """Have something undone if sealing fails further on."""
        self._undo.append(undo)

    def on_success(self, reset: Callable[[], None]) -> None:
        """Have something done once everything is sealed."""
        self._resets.append(reset)


def _pockets_of(live: Any) -> dict[str, Any]:
    return {name: getattr(live, name, None) for name in PYDANTIC_POCKETS}


def _same_items(base: Any, items: Any) -> bool:
    return base is not None and len(base) == len(items) and all(map(same_value, base, items))


def _same_elements(base: set[Any], live: set[Any]) -> bool:
    """Whether both have the very same elements. Equal ones may differ: `True` and `1`, entities with equal ids."""
    return len(base) == len(live) and set(map(id, base)).issuperset(map(id, live))


def _has_attributes(live: Any) -> bool:
    """Whether somebody put attributes on an OrderedDict or a Counter, as `typing` does with one of its own."""
    return not getattr(live, "__dict__", {}).keys() <= {"__orig_class__"}


def _same_entries(base: dict[Any, Any], live: dict[Any, Any]) -> bool:
    """Whether both have the very same keys and values in the same order."""
    return len(base) == len(live) and all(map(is_, base, live)) and all(map(is_, base.values(), live.values()))


_HANDLERS: Final[dict[type, Callable[[Any, Any, Any], Any]]] = {
    list: Freezer._list,  # pyright: ignore[reportPrivateUsage]
    dict: Freezer._dict,  # pyright: ignore[reportPrivateUsage]
    OrderedDict: Freezer._dict,  # pyright: ignore[reportPrivateUsage]
    defaultdict: Freezer._dict,  # pyright: ignore[reportPrivateUsage]
    Counter: Freezer._dict,  # pyright: ignore[reportPrivateUsage]
    set: Freezer._set,  # pyright: ignore[reportPrivateUsage]
    tuple: Freezer._tuple,  # pyright: ignore[reportPrivateUsage]
}


def _count_alone() -> int:
    """What the reference count of an unheld part looks like from `Freezer.part`, on this interpreter."""
    container: list[Any] = [[]]
    return sys.getrefcount(container[0])


_ALONE: Final = _count_alone()
_FEW: Final = 3
_BUILTIN: Final[frozenset[type]] = frozenset({list, dict, set})
