"""From sealed nodes to live objects: what a branch's code reads and changes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Final, cast

from flujo_actors.context.advice import Run
from flujo_actors.context.collections import ContextMap
from flujo_actors.context.lazy import fill_all, instance_dict, new_lazy
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

_set_attribute: Final = object.__setattr__
_COPIED_WHOLE: Final[frozenset[type]] = frozenset({DictNode, ListNode, SetNode})
"""Nodes of builtin containers."""


class Thawer:
    """Makes the live objects of one branch; one node gives one object, by whatever path it is reached."""

    __slots__ = ("_eager", "aliased", "counterparts", "root", "run")

    def __init__(self, root: Node, aliased: frozenset[str], run: Run | None) -> None:
        self.root = root
        """The record whose fields `aliased` names."""
        self.aliased = aliased
        """Fields that share an object with another field: filled all together, and all the way down."""
        self.run = run
        """Who is told of large copies, if anybody."""
        self.counterparts: dict[int, Any] = {}
        """By the id of a node its live object, by the id of a live object its node: each keeps the other's id alive."""
        self._eager = False

    def fill(self, lazy: Any, name: str, node: Node) -> Any:
        """The live value of a field that is read for the first time."""
        if name in self.aliased and not self._eager and lazy.__flujo_source__.lineage == self.root.lineage:
            self.fill_aliased(lazy)
        value = self.counterparts.get(id(node))
        if value is None:
            value = _THAW[type(node)](self, node)
        if type(node) in _COPIED_WHOLE and self.run is not None:
            self.run.copied(lazy.__class__, name, len(cast("DictNode | ListNode | SetNode", node).items))
        # Of two threads that read a field at the same time, both must get the same object.
        return instance_dict(lazy).setdefault(name, value)

    def fill_aliased(self, lazy: Any) -> None:
        """Fill all fields of the root that share an object, all the way down."""
        self._eager = True
        try:
            touched, values = instance_dict(lazy), lazy.__flujo_source__.values
            for name in sorted(self.aliased):
                if name not in touched and isinstance(values.get(name), Node):
                    touched[name] = self.thaw(values[name])
        finally:
            self._eager = False

    def thaw(self, node: Node) -> Any:
        """The live object of a node."""
        found = self.counterparts.get(id(node))
        return found if found is not None else _THAW[type(node)](self, node)

    def part(self, value: Any) -> Any:
        """The live value of a node or an atom."""
        return self.thaw(value) if isinstance(value, Node) else value

    def bind(self, live: Any, node: Node) -> Any:
        """Remember that the live object came from, or went into, this node."""
        counterparts = self.counterparts
        counterparts[id(node)] = live
        counterparts[id(live)] = node
        return live

    def release(self, live: Any) -> None:
        """Forget a live object that is about to get another node."""
        node = self.counterparts.pop(id(live), None)
        if node is not None:
            self.counterparts.pop(id(node), None)

    def rebind(self, live: Any, node: Node) -> None:
        """Remember that the live object, which came from another node, went into this one."""
        self.counterparts.pop(id(self.counterparts[id(live)]), None)
        self.bind(live, node)

    def thaw_root(self) -> Any:
        """The live object of the whole context."""
        if isinstance(self.root, RecordNode):
            return self._record(self.root)  # of which there is no copy yet
        self._eager = bool(self.aliased)
        live = self.thaw(self.root)
        self._eager = False
        for key, node in cast("DictNode", self.root).items.items():
            if type(node) in _COPIED_WHOLE and self.run is not None:
                self.run.copied(dict, repr(key), len(node.items))
        return live

    def _record(self, node: RecordNode) -> Any:
        if node.shape.kind == "plain":
            return self._plain(node)
        lazy = self.bind(new_lazy(node, self), node)
        if self._eager:
            fill_all(lazy)
        return lazy

    def _plain(self, node: RecordNode) -> Any:
        cls: Any = node.shape.cls
        live = self.bind(object.__new__(cls), node)
        for name, value in node.values.items():
            _set_attribute(live, name, self.part(value))
        return live

    def _dict(self, node: DictNode) -> Any:
        live = self.bind(node.items.copy(), node)
        if not node.flat:
            for key, value in node.items.items():
                if isinstance(value, Node):
                    live[key] = self.thaw(value)
        return live

    def _list(self, node: ListNode) -> Any:
        live = self.bind(node.items.copy(), node)
        if not node.flat:
            live[:] = [self.part(value) for value in node.items]
        return live

    def _set(self, node: SetNode) -> Any:
        return self.bind(node.items.copy(), node)

    def _tuple(self, node: TupleNode) -> Any:
        items = [self.part(value) for value in node.items]
        found = self.counterparts.get(id(node))  # made meanwhile, if the tuple is part of a cycle
        return found if found is not None else self.bind(node.build(items), node)

    def _opaque(self, node: OpaqueNode) -> Any:
        return self.bind(copy.deepcopy(node.value), node)

    def _map(self, node: MapNode) -> Any:
        live = self.bind(ContextMap.over(node, self), node)
        if self._eager:
            live.touch_all()
        return live

    def _sequence(self, node: SequenceNode) -> Any:
        live = self.bind(node.kind.over(node, self), node)
        if self._eager:
            live.touch_all()
        return live


_THAW: Final[dict[type[Node], Callable[[Any, Any], Any]]] = {
    RecordNode: Thawer._record,  # pyright: ignore[reportPrivateUsage]
    DictNode: Thawer._dict,  # pyright: ignore[reportPrivateUsage]
    ListNode: Thawer._list,  # pyright: ignore[reportPrivateUsage]
    SetNode: Thawer._set,  # pyright: ignore[reportPrivateUsage]
    TupleNode: Thawer._tuple,  # pyright: ignore[reportPrivateUsage]
    OpaqueNode: Thawer._opaque,  # pyright: ignore[reportPrivateUsage]
    MapNode: Thawer._map,  # pyright: ignore[reportPrivateUsage]
    SequenceNode: Thawer._sequence,  # pyright: ignore[reportPrivateUsage]
}


class Publisher(Thawer):
    """Makes objects that belong to no branch: the user's own classes, plain containers."""

    __slots__ = ()

    def _record(self, node: RecordNode) -> Any:
        shape = node.shape
        cls: Any = shape.cls
        made = self.bind(object.__new__(cls), node)
        shape.fill(made, {name: self.part(value) for name, value in node.values.items()})
        return made

    def _map(self, node: MapNode) -> Any:
        made: dict[Any, Any] = self.bind({}, node)
        for key, value in node.version.items():
            made[key] = self.thaw(value) if isinstance(value, Node) else value
        return made

    def _sequence(self, node: SequenceNode) -> Any:
        made: list[Any] = self.bind([], node)
        made.extend(self.part(value) for value in node.version.items())
        return made

    def thaw(self, node: Node) -> Any:
        """The plain object of a node."""
        found = self.counterparts.get(id(node))
        if found is not None:
            return found
        own: dict[type[Node], Callable[[Any], Any]] = {
            RecordNode: self._record,
            MapNode: self._map,
            SequenceNode: self._sequence,
        }
        make = own.get(type(node))
        return make(node) if make is not None else _THAW[type(node)](self, node)


def publish(node: Any) -> Any:
    """A plain object for a sealed value, that belongs to the caller."""
    return Publisher(node, frozenset(), None).thaw(node) if isinstance(node, Node) else node
