"""How hard a text is to read, by two formulas made for English.

Flesch reading ease: 206.835 - 1.015 * words per sentence - 84.6 * syllables per word. R. Flesch, "A new readability
yardstick", Journal of Applied Psychology 32 (1948), pages 221-233. 60 to 70 is plain English, more is easier.

Flesch-Kincaid grade: 0.39 * words per sentence + 11.8 * syllables per word - 15.59, in years of school in the United
States. J. P. Kincaid, R. P. Fishburne, R. L. Rogers, B. S. Chissom, "Derivation of new readability formulas for Navy
enlisted personnel", Research Branch Report 8-75, Naval Technical Training Command (1975).

Both want counts of sentences and syllables, which are estimates here. The syllables of a word are its groups of vowels
(`aeiouy`, accents ignored), without a silent `e`, `es` or `ed` at the end, and at least one. Of English words about
nine in ten come out right.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

import attrs

from flujo_actors.demos.texts.sentences import split_sentences
from flujo_actors.demos.texts.words import APOSTROPHES, split_words

ROUGH_BELOW_WORDS: Final = 100
"""Flesch's samples had 100 words. The scores of a shorter text say little."""

_VOWELS: Final = re.compile(r"[aeiouy]+")
_LETTERS: Final = re.compile(r"[a-z]+")
_SILENT_ENDING: Final = re.compile(
    r"""(?<=[^aeiouyl])e$|(?<=[aeiouy]l)e$          # `make` and `whole`, not `table`
    |(?<=[^aeiouylcgsxzh])es$|(?<=[aeiouy]l)es$     # `makes` and `rules`, not `pages`, `boxes`, `tables`
    |(?<=[^aeiouytd])ed$                            # `called`, not `wanted`""",
    re.VERBOSE,
)


@attrs.frozen
class Readability:
    """The counts that the formulas take, and what they give."""

    words: int
    sentences: int
    syllables: int

    @property
    def reading_ease(self) -> float:
        """Flesch reading ease; no bounds, in practice between 0 and 100."""
        return 206.835 - 1.015 * self.words / self.sentences - 84.6 * self.syllables / self.words

    @property
    def grade(self) -> float:
        """Flesch-Kincaid grade, years of school."""
        return 0.39 * self.words / self.sentences + 11.8 * self.syllables / self.words - 15.59

    @property
    def is_rough(self) -> bool:
        """Whether the text is too short for the scores to say much."""
        return self.words < ROUGH_BELOW_WORDS


def readability(blocks: Iterable[str]) -> Readability | None:
    """Count what the formulas take.

    Args:
        blocks: running text: paragraphs and list items, without markup.

    Returns:
        The counts, `None` when there are no words.
    """
    counts = [(*_words_and_syllables(block), len(split_sentences(block))) for block in blocks]
    words, syllables, sentences = (sum(column) for column in zip(*counts, strict=True)) if counts else (0, 0, 0)
    return Readability(words, sentences, syllables) if words else None


def together(parts: Iterable[Readability | None]) -> Readability | None:
    """The readability of several texts as if they were one, `None` when none has words."""
    known = [part for part in parts if part is not None]
    if not known:
        return None
    return Readability(
        words=sum(part.words for part in known),
        sentences=sum(part.sentences for part in known),
        syllables=sum(part.syllables for part in known),
    )


def count_syllables(word: str) -> int:
    """The syllables of an English word, estimated; at least one. Each part of `well-known` is counted by itself."""
    plain = unicodedata.normalize("NFKD", word.lower())
    letters = "".join(sign for sign in plain if sign not in APOSTROPHES and not unicodedata.combining(sign))
    return sum(_syllables_of_part(part) for part in _LETTERS.findall(letters)) or 1


def _words_and_syllables(block: str) -> tuple[int, int]:
    words = split_words(block)
    return len(words), sum(count_syllables(word) for word in words)


def _syllables_of_part(part: str) -> int:
    return len(_VOWELS.findall(_SILENT_ENDING.sub("", part))) or 1
