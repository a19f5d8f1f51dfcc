"""Lines and words of a text."""

from __future__ import annotations

import attrs

from flujo_actors.demos.files.reading import File, read_text
from flujo_actors.demos.printing import count
from flujo_actors.demos.texts.words import split_words


@attrs.frozen
class TextFinding:
    """What a text is made of."""

    lines: int
    """As `wc -l` counts them, and one for a last line without an end."""
    words: int
    longest_line: int
    """Characters in it."""

    @property
    def in_words(self) -> str:
        """Lines and words."""
        return f"{count(self.lines, 'line')}, {count(self.words, 'word')}"


def measure_text(file: File) -> TextFinding:
    """Count what is in a text. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read, or is not UTF-8.
    """
    text = read_text(file)
    lines = text.removesuffix("\n").split("\n") if text else []
    return TextFinding(len(lines), len(split_words(text)), max(map(len, lines), default=0))
