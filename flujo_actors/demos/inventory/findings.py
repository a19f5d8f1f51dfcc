"""What every analyser gives."""

from __future__ import annotations

from typing import Protocol


class Finding(Protocol):
    """What one analyser found out about one file: frozen data, and a line for a person."""

    @property
    def in_words(self) -> str:
        """The most important of it."""
        ...
