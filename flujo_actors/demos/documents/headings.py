"""Counting headings, and finding those that skip a level."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import attrs

from flujo_actors.demos.texts.markup import Heading


@attrs.frozen
class HeadingStatistics:
    """The headings of a document."""

    by_level: tuple[int, ...] = ()
    """How many there are of each level, from level 1 down to the deepest."""
    skipping: tuple[Heading, ...] = ()
    """Headings more than one level below the heading before them: a level 3 right after a level 1."""

    @property
    def total(self) -> int:
        """Headings of all levels."""
        return sum(self.by_level)


def heading_statistics(headings: Sequence[Heading]) -> HeadingStatistics:
    """Count headings and find those that skip a level. The first may have any level."""
    levels = [heading.level for heading in headings]
    return HeadingStatistics(
        by_level=tuple(levels.count(level) for level in range(1, max(levels, default=0) + 1)),
        skipping=tuple(below for above, below in pairwise(headings) if below.level > above.level + 1),
    )
