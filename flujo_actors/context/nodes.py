"""The sealed form of a context: a graph of nodes that nobody changes.

A branch reads from nodes and writes to live objects of its own. When it is sealed, what it touched becomes new
nodes and all else is shared, so that forking is passing a pointer and "unchanged" is "the same node". A value that
is not a node is an atom: it cannot be changed, and is shared by everybody.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from flujo_actors.context.shapes import Shape
from flujo_actors.context.tables import MapVersion, SequenceVersion

_lineages = itertools.count(1)


class Node:
    """A sealed mutable value."""

    __slots__ = ("lineage",)

    lineage: int
    """The same for all sealed states of what was one object to the user's code."""

    def __init__(self, origin: Node | None) -> None:
        self.lineage = next(_lineages) if origin is None else origin.lineage


class RecordNode(Node):
    """An object with named fields: attrs, dataclass, pydantic, or of an ordinary Python class."""

    __slots__ = ("shape", "values")

    def __init__(self, shape: Shape, values: dict[str, Any], origin: Node | None = None) -> None:
        # As the base class has it; each step makes a record, and a call costs more than all of this.
        self.lineage = next(_lineages) if origin is None else origin.lineage
        self.shape = shape
        self.values = values


class DictNode(Node):
    """A dict, OrderedDict, defaultdict or Counter; `items` is of that very class."""

    __slots__ = ("flat", "items")

    def __init__(self, items: dict[Any, Any], origin: Node | None = None, *, flat: bool = False) -> None:
        super().__init__(origin)
        self.items = items
        self.flat = flat

    def is_like(self, items: dict[Any, Any]) -> bool:
        """Whether a dict is of the same kind, whatever it holds."""
        kind = type(self.items)
        if kind is not type(items):
            return False
        return kind is dict or getattr(self.items, "default_factory", None) is getattr(items, "default_factory", None)


class ListNode(Node):
    """A list. `flat` means that it holds atoms only, so that a plain copy isolates it."""

    __slots__ = ("flat", "items")

    def __init__(self, items: list[Any], origin: Node | None = None, *, flat: bool = False) -> None:
        super().__init__(origin)
        self.items = items
        self.flat = flat


class TupleNode(Node):
    """A tuple or named tuple that holds at least one node."""

    __slots__ = ("items", "kind")

    def __init__(self, kind: type[tuple[Any, ...]], items: tuple[Any, ...], origin: Node | None = None) -> None:
        super().__init__(origin)
        self.kind = kind
        self.items = items

    def build(self, items: Iterable[Any]) -> tuple[Any, ...]:
        """A tuple of the same class."""
        make: Any = getattr(self.kind, "_make", self.kind)
        made: tuple[Any, ...] = make(items)
        return made


class SetNode(Node):
    """A set. Its elements are hashable, and shared."""

    __slots__ = ("items",)

    def __init__(self, items: set[Any], origin: Node | None = None) -> None:
        super().__init__(origin)
        self.items = items


class OpaqueNode(Node):
    """A value that only `copy.deepcopy` knows how to copy: deque, bytearray, array, a subclass of dict."""

    __slots__ = ("value",)

    def __init__(self, value: Any, origin: Node | None = None) -> None:
        super().__init__(origin)
        self.value = value


class MapNode(Node):
    """A `ContextMap`."""

    __slots__ = ("version",)

    def __init__(self, version: MapVersion, origin: Node | None = None) -> None:
        super().__init__(origin)
        self.version = version


class SequenceNode(Node):
    """A `ContextList` or a `Log`; `kind` says which."""

    __slots__ = ("kind", "version")

    def __init__(self, kind: type[Any], version: SequenceVersion, origin: Node | None = None) -> None:
        super().__init__(origin)
        self.kind = kind
        self.version = version
