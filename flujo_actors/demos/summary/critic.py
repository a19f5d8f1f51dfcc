"""What a good summary is: short, coherent, of what the text is about, and no harder to read than the text.

The critic makes one demand at a time, the most urgent one, which tells the summariser what to do next.
"""

from __future__ import annotations

from typing import Final, TypeAlias

import attrs

from flujo_actors.demos.printing import count
from flujo_actors.demos.summary.draft import Draft
from flujo_actors.demos.texts.readability import readability

LONGEST: Final = 120
"""Words of a summary."""

LARGEST_GAP: Final = 2
"""How many of the important terms it may leave out."""

HARDER: Final = 5.0
"""Points of Flesch reading ease that it may be below the text."""


@attrs.frozen
class Shorten:
    """It is too long."""

    words: int
    """At least so many have to go."""

    def __str__(self) -> str:
        return f"{count(self.words, 'word')} too long"


@attrs.frozen
class Connect:
    """A sentence of it is not understood without the one before, which is not there."""

    place: int
    """That sentence, by its place in the text, from 0."""
    beginning: str
    """How it begins."""

    def __str__(self) -> str:
        return f"out of its context: “{self.beginning}…”"


@attrs.frozen
class Cover:
    """It says nothing of what the text is about."""

    terms: tuple[str, ...]
    """The important terms that are missing."""
    spellings: tuple[str, ...]
    """How they are written."""

    def __str__(self) -> str:
        return f"says nothing of {', '.join(self.spellings)}"


@attrs.frozen
class Simplify:
    """It is harder to read than the text."""

    place: int
    """The sentence that is hardest to read, by its place in the text, from 0."""
    beginning: str
    """How that begins."""

    def __str__(self) -> str:
        return f"too hard to read: “{self.beginning}…”"


Demand: TypeAlias = Shorten | Connect | Cover | Simplify


def demand_of(draft: Draft) -> Demand | None:
    """The most urgent thing that is wrong with a draft; `None` when it is good."""
    if draft.words > LONGEST:
        return Shorten(draft.words - LONGEST)
    if (torn := _torn_out(draft)) is not None:
        return Connect(torn, _beginning(draft, torn))
    if len(draft.missing) > LARGEST_GAP or not draft.chosen:
        return Cover(draft.missing, tuple(draft.source.important[term] for term in draft.missing))
    if draft.reading_ease < draft.source.readability.reading_ease - HARDER:
        hardest = _hardest(draft)
        return Simplify(hardest, _beginning(draft, hardest))
    return None


def _torn_out(draft: Draft) -> int | None:
    """The first sentence that needs the one before and does not have it."""
    return next((place for place in sorted(draft.chosen) if draft.holds(place) and place - 1 not in draft.chosen), None)


def _hardest(draft: Draft) -> int:
    def ease(place: int) -> float:
        score = readability([draft.source.sentences[place].text])
        assert score is not None, "a sentence has words"  # noqa: S101 - an invariant
        return score.reading_ease

    return min(sorted(draft.chosen), key=ease)


def _beginning(draft: Draft, place: int) -> str:
    return " ".join(draft.source.sentences[place].text.split()[:4])
