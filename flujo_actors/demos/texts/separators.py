"""What stands between the cells of a table that is a text."""

from __future__ import annotations

from typing import Final

SEPARATORS: Final = ",;\t|"
"""The usual ones, the most usual first."""


def separator_of(text: str) -> str:
    """The separator that stands most often in the first line with anything in it; a comma when none does."""
    first_line = text.lstrip().partition("\n")[0]
    return max(SEPARATORS, key=first_line.count)
