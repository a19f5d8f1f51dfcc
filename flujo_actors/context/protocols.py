"""What the live objects of a branch know of who makes them and who seals them: `thaw` and `freeze`, which know them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from flujo_actors.context.nodes import Node
from flujo_actors.context.paths import Part


class Thaws(Protocol):
    """Makes live objects of nodes."""

    def thaw(self, node: Node) -> Any:
        """The live object of a node."""
        ...


class Seals(Protocol):
    """Seals a branch, and with it the collections in it."""

    @property
    def taking(self) -> bool:
        """Whether the branch's code has ended: then a collection is emptied, and what nobody holds is taken."""
        ...

    @property
    def successor(self) -> Thaws | None:
        """What fills the emptied collections from now on, when taking."""
        ...

    def entry(self, container: Any, key: Any, place: Any) -> Any:
        """The sealed form of `container[key]`, which is the entry at a place of the collection."""
        ...

    def path_of(self, step: Part) -> str:
        """The path of an entry, for errors."""
        ...

    def on_failure(self, undo: Callable[[], None]) -> None:
        """Have something undone if sealing fails further on."""
        ...

    def on_success(self, reset: Callable[[], None]) -> None:
        """Have something done once everything is sealed."""
        ...
