"""Blame: which step of which run wrote the value that a path has now.

Nothing is compared when a step ends. Each sealed state remembers the one before it and who made it; a question walks
back to the first state in which the value was another one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import attrs

from flujo_actors.context.changes import (
    Change,
    Delete,
    Edit,
    ListEdit,
    Replace,
    SetEdit,
    diff,
    list_edit,
    outline,
    value_at,
)
from flujo_actors.context.equality import same_value
from flujo_actors.context.nodes import ListNode, Node, SequenceNode
from flujo_actors.context.paths import Field, Key, Path
from flujo_actors.frozen import frozen

_HEAVY: Final = 1_000
"""Entries from which on a writing is watched."""
_MOST: Final = 4_000_000
"""Entries that the states of one run may keep alive for blame alone, some hundred bytes each at the most."""


@frozen
class Origin:
    """Who wrote something. All optional: whoever hands writes up says what it knows."""

    run_id: str | None = None
    step: str | None = None
    """The path of the step, `pipeline/grow[3]/double`."""
    iteration: int | None = None
    """From 1."""
    branch: str | None = None
    attempt: int | None = None
    """From 1."""

    def __str__(self) -> str:
        parts = [f"step {self.step!r}" if self.step else "a step without a name"]
        parts += [f"branch {self.branch!r}"] if self.branch else []
        parts += [f"iteration {self.iteration}"] if self.iteration else []
        parts += [f"attempt {self.attempt}"] if self.attempt else []
        return ", ".join(parts)


@attrs.define(eq=False)
class Writing:
    """One set of writes, and its writer."""

    origin: Origin | None
    """`None` until the branch that wrote is handed up."""
    before: Any
    after: Any
    """The sealed states around it, `None` once `change` has replaced them."""
    previous: AnyWriting | None
    change: Change | None = None
    weight: int = 0
    """How many entries the builtin containers have that only the states around it may keep alive."""

    def condense(self) -> None:
        """Remember what changed, and let the states around it go."""
        if self.change is None:
            self.change = outline(self.before, self.after) or Edit({})
            self.before = self.after = None

    def trace(self, path: Path) -> Path | Author:
        """Where the value at a path was before these writes, or who wrote it with them."""
        place = _retrace(self.before, self.after, path) if self.change is None else _untouched(self.change, path)
        return Author(self.origin) if place is None else place


@attrs.frozen(eq=False)
class Merging:
    """A merge of several branches."""

    change: Change
    """What was merged; each leaf says which branch it came from."""
    branches: tuple[tuple[Origin | None, AnyWriting | None], ...]
    """For each branch: who it was, and its writings."""
    base: AnyWriting | None
    """The writings that the branches had in common."""
    previous: AnyWriting | None

    def trace(self, path: Path) -> Path | Author:
        """Where the value at a path was before the merge, or who wrote it in one of the branches."""
        found = _written_by(self.change, path)
        return self._author_in(found, path) if isinstance(found, int) else found

    def _author_in(self, source: int, path: Path) -> Author:
        origin, latest = self.branches[source]
        for writing in writings_since(latest, self.base):
            found = writing.trace(path)
            if isinstance(found, Author):
                return Author(found.origin or origin)
            path = found
        return Author(origin)


AnyWriting = Writing | Merging


@attrs.frozen
class Author:
    """The answer to a question for blame."""

    origin: Origin | None


def writings_since(latest: AnyWriting | None, base: AnyWriting | None) -> Iterator[AnyWriting]:
    """Newest first, until those that the base has too."""
    while latest is not None and latest is not base:
        yield latest
        latest = latest.previous


def signed(latest: AnyWriting | None, base: AnyWriting | None, origin: Origin | None) -> AnyWriting | None:
    """The same writings, with a name put to those that have none."""
    if isinstance(latest, Writing) and latest.previous is base and latest.change is None:
        return Writing(latest.origin or origin, latest.before, latest.after, base, None, latest.weight)
    if latest is base:
        return base
    result = base
    for writing in reversed(list(writings_since(latest, base))):
        if isinstance(writing, Writing):
            result = attrs.evolve(writing, origin=writing.origin or origin, previous=result)
        else:
            result = attrs.evolve(writing, previous=result)
    return result


def find_origin(latest: AnyWriting | None, path: Path) -> Origin | None:
    """Who wrote the value at a path; `None` for what the context had from the beginning."""
    for writing in writings_since(latest, None):
        found = writing.trace(path)
        if isinstance(found, Author):
            return found.origin
        path = found
    return None


class Memory:
    """The writings of one run whose states hold large containers. The oldest are condensed when it gets too much."""

    def __init__(self) -> None:
        self._heavy: deque[Writing] = deque()
        self._weight = 0

    def keep(self, writing: Writing) -> None:
        """Take note of a writing that was handed up."""
        if writing.weight < _HEAVY:
            return
        self._heavy.append(writing)
        self._weight += writing.weight
        while self._weight > _MOST:
            oldest = self._heavy.popleft()
            self._weight -= oldest.weight
            oldest.condense()


def _retrace(before: Any, after: Any, path: Path) -> Path | None:
    """Follow a path through two states, translating indexes where a list has moved its items."""
    place: list[Field | Key] = []
    for depth, part in enumerate(path):
        if same_value(before, after):
            return (*place, *path[depth:])
        if isinstance(part, Key) and isinstance(before, ListNode | SequenceNode) and type(after) is type(before):
            moved = _old_index(before, after, part.value)
            if moved is None:
                return None
            place.append(Key(moved))
        else:
            place.append(part)
        before, after = value_at(before, place[-1]), value_at(after, part)
    return tuple(place) if same_value(before, after) or _nothing_changed(before, after) else None


def _nothing_changed(before: Any, after: Any) -> bool:
    return isinstance(before, Node) and isinstance(after, Node) and diff(before, after) is None


def _old_index(before: Any, after: Any, index: int) -> int | None:
    edit = list_edit(before, after)
    return index if edit is None else _unshifted(edit, index)


def _unshifted(edit: ListEdit, index: int) -> int | None:
    shift = 0
    for splice in edit.splices:
        start = splice.start + shift
        if index < start:
            break
        if index < start + len(splice.items):
            return None
        shift += len(splice.items) - (splice.stop - splice.start)
    return index - shift


def _untouched(change: Change, path: Path) -> Path | None:
    found = _written_by(change, path)
    return None if isinstance(found, int) else found


def _written_by(change: Change, path: Path) -> Path | int:
    """Where the value at a path was before a change, or the branch that wrote it."""
    place: list[Field | Key] = []
    for depth, part in enumerate(path):
        step: Any = part.name if isinstance(part, Field) else part.value
        match change:
            case Replace() | Delete() | SetEdit():
                return change.source
            case ListEdit():
                index = _unshifted(change, step)
                if index is None:
                    return _splicer(change, step)
                step = index
                place.append(Key(index))
            case Edit():
                place.append(part)
        inner = change.parts.get(step)
        if inner is None:
            return (*place, *path[depth + 1 :])
        change = inner
    return change.source


def _splicer(change: ListEdit, index: int) -> int:
    shift = 0
    for splice in change.splices:
        start = splice.start + shift
        if start <= index < start + len(splice.items):
            return splice.source
        shift += len(splice.items) - (splice.stop - splice.start)
    return change.source
