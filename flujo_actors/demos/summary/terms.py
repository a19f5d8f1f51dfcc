"""What a text speaks of: its terms, which are its words without the little ones that every English text has.

Word forms count as one term when they differ by an ending for the plural alone, as `branch` and `branches` do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from flujo_actors.demos.texts.words import bare_word, split_words

SHORTEST: Final = 3
"""Letters of a term."""

_LITTLE_WORDS: Final = frozenset(
    word
    for line in (
        "a about above across after again against ago all almost along already also although always am among an and",
        "another any anything are as at away back be became because become been before began behind being below best",
        "better between both but by came can cannot come could did do does done down during each either else enough",
        "even ever every everything few first for from further gave get give given go goes got had has have having he",
        "her here hers him his how however i if in instead into is it its itself just kept knew know known last least",
        "less let like made make makes many may me might more most much must my neither never next no nobody none nor",
        "not nothing now of off often on once one only or other others our out over own perhaps put quite rather",
        "really said same saw say says see seem seemed seen she should since so some something soon still such take",
        "taken than that the their them themselves then there therefore these they thing things this those though",
        "three through thus till to together too took toward two under until up upon us use used uses using very was",
        "way we well went were what whatever when where whether which while who whole whom whose why will with within",
        "without would yes yet you your",
    )
    for word in line.split()
)
_PLURAL: Final = re.compile(r"(?<=[^aeiou])ies$|(?<=ch|sh|ss)es$|(?<=x)es$|(?<=[^siu])s$")
_TAIL: Final = re.compile(r"(n't|'[a-z]{1,2})$")


def terms_of(text: str) -> tuple[str, ...]:
    """The terms of a text, in order, each as often as it stands there, in the form that stands for all its forms."""
    return tuple(_in_one_form(word) for word in _words_of(text))


def spellings_of(texts: Iterable[str]) -> Mapping[str, str]:
    """How each term of some texts is mostly written there."""
    written: dict[str, Counter[str]] = {}
    for text in texts:
        for word in _words_of(text):
            written.setdefault(_in_one_form(word), Counter())[word] += 1
    return {term: words.most_common(1)[0][0] for term, words in written.items()}


def _words_of(text: str) -> Iterable[str]:
    words = (bare_word(word).casefold().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'") for word in split_words(text))
    return (bare for word in words if _is_term(bare := _TAIL.sub("", word)))


def _is_term(word: str) -> bool:
    return len(word) >= SHORTEST and word not in _LITTLE_WORDS and not word[0].isdigit()


def _in_one_form(word: str) -> str:
    return _PLURAL.sub(lambda ending: "y" if ending[0] == "ies" else "", word)
