"""What one run notices about its context: large builtins that are copied again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from flujo_actors.context.blame import Memory

LARGE: Final = 10_000
"""Entries from which on a copy costs more than all else a step does to its context."""
OFTEN: Final = 3
"""How many copies of one field are taken as a habit."""


@attrs.frozen
class Advice:
    """A field that would cost less if it were declared otherwise."""

    field: str
    """`Class.field`, or the key of a dict context."""
    entries: int
    """How large it was when this was noticed."""

    def __str__(self) -> str:
        return (
            f"{self.field} is a builtin container of {self.entries:,} entries and is copied whole by each step that "
            "touches it; declare it as ContextMap or ContextList (or annotate it MutableMapping or MutableSequence, "
            "or decorate the class with @context), and a step will cost what it changes"
        )


@attrs.define(eq=False)
class Run:
    """What all branches of one run share."""

    on_advice: Callable[[Advice], None] | None = None
    advice: list[Advice] = attrs.field(factory=list[Advice])
    """In the order in which it was noticed, each field once."""
    memory: Memory = attrs.field(factory=Memory)
    """What blame keeps alive."""
    touched: set[str | None] | None = None
    """In a watched part of the run: the fields that were read or written, `None` for all. Elsewhere `None`."""
    _copies: dict[str, int] = attrs.field(factory=dict[str, int])

    def watched(self) -> Run:
        """The same for a part of the run of which is noted what it touches."""
        return attrs.evolve(self, touched=set())

    def copied(self, cls: type, name: str, entries: int) -> None:
        """Count one copy of a builtin container."""
        if entries < LARGE:
            return
        field = f"{cls.__name__}.{name}" if cls is not dict else f"The key {name}"
        self._copies[field] = count = self._copies.get(field, 0) + 1
        if count == OFTEN:
            self._advise(Advice(field, entries))

    def _advise(self, advice: Advice) -> None:
        self.advice.append(advice)
        if self.on_advice is not None:
            self.on_advice(advice)
