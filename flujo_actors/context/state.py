"""A sealed state of a whole context: what a fork gets, in one pointer."""

from __future__ import annotations

from typing import Any

from flujo_actors.context.advice import Run
from flujo_actors.context.blame import AnyWriting
from flujo_actors.context.nodes import Node
from flujo_actors.context.tables import MapVersion, SequenceVersion

Versions = tuple[MapVersion | SequenceVersion, ...]


class State:
    """One moment of a context. Nobody changes it."""

    __slots__ = ("aliased", "root", "run", "tangled", "unsettled", "writings")

    def __init__(
        self,
        root: Any,
        run: Run,
        *,
        aliased: frozenset[str] = frozenset(),
        tangled: bool = False,
        writings: AnyWriting | None = None,
        unsettled: Versions = (),
    ) -> None:
        self.root: Node = root
        self.run = run
        self.aliased = aliased
        """Fields that share an object with another field."""
        self.tangled = tangled
        """Whether any object is reachable by two paths."""
        self.writings = writings
        """Who wrote what, newest first."""
        self.unsettled = unsettled
        """Versions of declared collections that may take over their table once this state is handed up."""

    def in_run(self, run: Run) -> State:
        """The same moment, for the branches of `run`."""
        return State(
            self.root,
            run,
            aliased=self.aliased,
            tangled=self.tangled,
            writings=self.writings,
            unsettled=self.unsettled,
        )

    def settle(self) -> None:
        """This state is the one that goes on: let its collections have their tables."""
        for version in self.unsettled:
            version.settle()
        self.unsettled = ()
