from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.documents.headings import HeadingStatistics, heading_statistics
from flujo_actors.demos.texts.markup import Heading


def headings_of(*levels: int) -> list[Heading]:
    return [Heading(level, f"heading {line}", line) for line, level in enumerate(levels, start=1)]


def test_no_headings_have_no_levels() -> None:
    assert heading_statistics([]) == HeadingStatistics(by_level=(), skipping=())


def test_headings_are_counted_by_level_down_to_the_deepest() -> None:
    found = heading_statistics(headings_of(1, 2, 2, 3, 2))
    assert found.by_level == (1, 3, 1)
    assert found.total == 5


def test_a_heading_two_levels_below_the_one_before_it_skips_a_level() -> None:
    found = heading_statistics(headings_of(1, 3, 1, 2, 4, 5))
    assert [heading.line for heading in found.skipping] == [2, 5]


def test_the_first_heading_may_have_any_level_and_rising_skips_nothing() -> None:
    assert heading_statistics(headings_of(3, 1, 2, 3, 1)).skipping == ()


@given(st.lists(st.integers(1, 6)))
def test_every_heading_is_counted_once(levels: list[int]) -> None:
    assert heading_statistics(headings_of(*levels)).total == len(levels)
