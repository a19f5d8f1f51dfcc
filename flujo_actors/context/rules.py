"""Merge rules: how the writes of several branches to one field combine, declared on the field.

    @attrs.define
    class Budget:
        spent: Annotated[float, Sum()] = 0.0

A rule is a pure function of three values: what the field was when the branches forked, what the merge has so far,
and what the next branch, in declared order, made of it.
"""

from __future__ import annotations

import abc
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

METADATA_KEY: Final = "flujo_actors.merge"
"""Where `merged_by` puts a rule in the metadata of an attrs or dataclass field."""


class MergeRule(abc.ABC):
    """How several branches' writes to one field combine. Only asked when two branches wrote it."""

    __slots__ = ()

    @abc.abstractmethod
    def merge(self, base: Any, ours: Any, theirs: Any) -> Any:
        """The combined value.

        Args:
            base: the value when the branches forked, `None` when there was none.
            ours: the value merged so far.
            theirs: the next branch's value.
        """


@attrs.frozen
class Sum(MergeRule):
    """The sum of the changes: counters, costs."""

    def merge(self, base: Any, ours: Any, theirs: Any) -> Any:
        """What it was, and all that was added to it."""
        return ours + theirs if base is None else ours + (theirs - base)


@attrs.frozen
class Concatenate(MergeRule):
    """What each branch appended, in declared order: text, tuples, lists that a branch replaced."""

    def merge(self, base: Any, ours: Any, theirs: Any) -> Any:
        """Ours, and what theirs has beyond the base; all of theirs when it does not begin with the base."""
        begun = 0 if base is None or theirs[: len(base)] != base else len(base)
        return ours + theirs[begun:]


@attrs.frozen
class Union(MergeRule):
    """All elements or keys of all branches, also where one removed them; of two values the later branch's."""

    def merge(self, base: Any, ours: Any, theirs: Any) -> Any:
        """Ours or theirs, as `|` has it."""
        del base
        return ours | theirs


@attrs.frozen
class Max(MergeRule):
    """The largest value that a branch wrote."""

    def merge(self, base: Any, ours: Any, theirs: Any) -> Any:
        """The larger."""
        del base
        return max(ours, theirs)


@attrs.frozen
class Min(MergeRule):
    """The smallest value that a branch wrote."""

    def merge(self, base: Any, ours: Any, theirs: Any) -> Any:
        """The smaller."""
        del base
        return min(ours, theirs)


@attrs.frozen
class Last(MergeRule):
    """The value of the last branch, in declared order, that wrote the field."""

    def merge(self, base: Any, ours: Any, theirs: Any) -> Any:
        """Theirs."""
        del base, ours
        return theirs


@attrs.frozen
class MergeBy(MergeRule):
    """A function of (base, ours, theirs)."""

    function: Callable[[Any, Any, Any], Any]

    def merge(self, base: Any, ours: Any, theirs: Any) -> Any:
        """What the function makes of them."""
        return self.function(base, ours, theirs)


@attrs.frozen
class Shared:
    """Declares that a field's value is shared by all branches, never copied: a client, a lock, a model's weights.

    What is done to it is done for everybody at once, also by attempts that fail.
    """


def merged_by(rule: MergeRule | Shared) -> Mapping[str, Any]:
    """The metadata that declares a rule: `attrs.field(default=0, metadata=merged_by(Sum()))`."""
    return {METADATA_KEY: rule}
