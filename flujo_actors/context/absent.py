"""No value here: what a field, key or item has that is not there, or is there no more."""

from __future__ import annotations

from typing import Final


class Absent:
    """The type of `ABSENT`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<absent>"


ABSENT: Final = Absent()
