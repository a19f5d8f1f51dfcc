"""Remembered results of steps, for `CacheStep`.

What a step made of an input depends on its definition, on the input, and on what it read of the context; which fields
these are is known once it has run. So a cache keeps, for each definition and input, results with the fingerprints of
the fields that each had touched, and finds one again when these fields are as they were.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from flujo_actors.context import Delta
from flujo_actors.steps import AnyStep

MAX_ENTRIES: Final = 1024
"""Results that a cache keeps unless it is told otherwise."""


@attrs.frozen(eq=False)
class CachedResult:
    """What a step gave, once. The cache and whoever takes it from there share the values: copy them."""

    read: Mapping[str | None, str]
    """The fingerprint of each field of the context that the step touched; under `None` that of the whole context."""
    output: Any
    delta: Delta
    """What the step changed in the context."""


@attrs.frozen(eq=False)
class CacheStatistics:
    """How useful a cache has been."""

    hits: int
    misses: int
    entries: int
    max_entries: int


class ResultCache:
    """Results of steps in the memory of this process. Of more than `max_entries` those used longest ago are dropped.

    A system has one of its own; pass one to several systems to share it. It belongs to one thread.
    """

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        """Remember nothing yet.

        Raises:
            ValueError: `max_entries` is less than 1.
        """
        if max_entries < 1:
            raise ValueError(f"max_entries is a whole number, 1 or more, got {max_entries!r}")
        self._max_entries = max_entries
        self._results: OrderedDict[tuple[_Definition, str], list[CachedResult]] = OrderedDict()
        self._entries = self._hits = self._misses = 0

    def get(
        self, step: AnyStep, input_fingerprint: str, fingerprint_of: Callable[[str | None], str | None]
    ) -> CachedResult | None:
        """The result of a step for an input in a context, if it is remembered.

        Args:
            step: the step.
            input_fingerprint: that of the input.
            fingerprint_of: the fingerprint of a field of the context as it is now, of all of it for `None`; `None`
                where there is no such field, or it has none.
        """
        key = (_Definition(step), input_fingerprint)
        for result in self._results.get(key, ()):
            if all(fingerprint_of(name) == read for name, read in result.read.items()):
                self._results.move_to_end(key)
                self._hits += 1
                return result
        self._misses += 1
        return None

    def put(self, step: AnyStep, input_fingerprint: str, result: CachedResult) -> None:
        """Remember a result, instead of one that steps side by side have found for the same meanwhile."""
        key = (_Definition(step), input_fingerprint)
        results = self._results.setdefault(key, [])
        others = [each for each in results if each.read != result.read]
        self._entries += len(others) + 1 - len(results)
        results[:] = [*others, result]
        self._results.move_to_end(key)
        while len(self) > self._max_entries:
            self._drop_oldest()

    def clear(self) -> None:
        """Forget everything but the statistics."""
        self._results.clear()
        self._entries = 0

    def statistics(self) -> CacheStatistics:
        """How useful it has been so far."""
        return CacheStatistics(self._hits, self._misses, len(self), self._max_entries)

    def __len__(self) -> int:
        return self._entries

    def _drop_oldest(self) -> None:
        key, results = next(iter(self._results.items()))
        del results[0]
        self._entries -= 1
        if not results:
            del self._results[key]


class _Definition:
    """A step as a key: steps that are equal are one; of one that cannot be hashed only the very same."""

    __slots__ = ("_hash", "_step")

    def __init__(self, step: AnyStep) -> None:
        self._step = step
        try:
            self._hash = hash(step)
        except TypeError:
            self._hash = id(step)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Definition) and self._hash == other._hash and self._step == other._step
