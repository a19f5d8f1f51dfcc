"""Splitting a text into sentences.

A sentence ends at `.`, `!`, `?` or `…` before white space, unless a small letter follows or the word is an
abbreviation such as `e.g.` or `Dr.`; a block of text ends one too.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from flujo_actors.demos.texts.words import APOSTROPHES, bare_word

_ABBREVIATIONS: Final = frozenset(
    ["cf", "dr", "e.g", "eq", "fig", "i.e", "mr", "mrs", "ms", "no", "p", "pp", "prof", "st", "vs"]
)
_SENTENCE_ENDS: Final = (".", "!", "?", "…")
_CLOSING_SIGNS: Final = f'{APOSTROPHES}"”)]»*_'


def split_sentences(block: str) -> list[str]:
    """The sentences in a block of text, white space in them as single spaces; at least one when it has a word."""
    sentences: list[str] = []
    chunks: list[str] = []
    has_word = False
    for chunk, following in pairwise([*block.split(), ""]):
        chunks.append(chunk)
        has_word = has_word or bool(bare_word(chunk))
        if has_word and (_is_end(chunk, following) or not following):
            sentences.append(" ".join(chunks))
            chunks, has_word = [], False
    if sentences and chunks:  # signs alone, behind the last word
        sentences[-1] = " ".join([sentences[-1], *chunks])
    return sentences


def has_end(text: str) -> bool:
    """Whether a text ends as a sentence does, with or without a closing quotation mark or bracket."""
    return text.rstrip(_CLOSING_SIGNS).endswith(_SENTENCE_ENDS)


def _is_end(chunk: str, following: str) -> bool:
    return has_end(chunk) and not following[:1].islower() and bare_word(chunk).lower() not in _ABBREVIATIONS
