"""Counting words.

A word is what stands between white space and has at least one letter or digit: `well-known` is one, `—` is none.
That is how word processors count, and `wc -w` but for its lone signs. Languages written without spaces (Chinese,
Japanese, Thai) are counted far too low.
"""

from __future__ import annotations

from typing import Final

import attrs

APOSTROPHES: Final = "'\N{RIGHT SINGLE QUOTATION MARK}"


@attrs.frozen
class WordStatistics:
    """The words of a text."""

    words: int = 0
    """All of them."""
    distinct_words: int = 0
    """Different ones, whatever their case and the signs around them."""
    letters: int = 0
    """Letters and digits in all words together."""

    @property
    def average_length(self) -> float:
        """Letters and digits in a word on average, 0 for no words."""
        return self.letters / self.words if self.words else 0.0


def split_words(text: str) -> list[str]:
    """The words of a text in order, with the signs around them."""
    return [word for word in text.split() if any(character.isalnum() for character in word)]


def word_statistics(text: str) -> WordStatistics:
    """Count the words of a text."""
    words = split_words(text)
    return WordStatistics(
        words=len(words),
        distinct_words=len({bare_word(word).casefold() for word in words}),
        letters=sum(character.isalnum() for word in words for character in word),
    )


def bare_word(word: str) -> str:
    """A word without the signs before its first and behind its last letter or digit."""
    places = [place for place, character in enumerate(word) if character.isalnum()]
    return word[places[0] : places[-1] + 1] if places else ""
