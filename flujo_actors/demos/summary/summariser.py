"""Making a summary of a text's own sentences, and making it better.

The first draft is SumBasic's: A. Nenkova and L. Vanderwende, "The impact of frequency on summarization", Microsoft
Research, MSR-TR-2005-101 (2005). Of the sentences with the most probable term, the one whose terms are the most
probable on average comes first; then the probability of each term in it is squared, because what was said once need not
be said again; and so on. What a critic demands of the draft is then done one sentence at a time, weighing what a
sentence adds to the others against its length.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from flujo_actors.demos.summary.critic import LONGEST, Connect, Cover, Demand, Shorten, Simplify
from flujo_actors.demos.summary.draft import Draft
from flujo_actors.demos.summary.source import Sentence, Source

FIRST_DRAFT: Final = 3 * LONGEST
"""Words, more or less."""

LARGEST_CUT: Final = 1 / 3
"""How much of a draft goes in one round: what can be missed next depends on what is left."""


def first_draft(source: Source) -> Draft:
    """The sentences that say most, until there are enough words."""
    chosen: set[int] = set()
    words = 0
    for place in ranking(source):
        chosen.add(place)
        words += source.sentences[place].words
        if words >= FIRST_DRAFT:
            break
    return Draft(source, frozenset(chosen))


def opening(source: Source) -> Draft:
    """The first sentences of a text, as many as a summary may have words, but at least one."""
    chosen = {0}
    words = source.sentences[0].words
    for place, sentence in enumerate(source.sentences[1:], start=1):
        words += sentence.words
        if words > LONGEST:
            break
        chosen.add(place)
    return Draft(source, frozenset(chosen))


def revised(draft: Draft, demand: Demand) -> Draft:
    """The draft after doing what was demanded, as well as that can be done."""
    match demand:
        case Shorten(words):
            return _shortened(draft, max(draft.words - words, round(draft.words * (1 - LARGEST_CUT))))
        case Connect(place):
            return _connected(draft, place)
        case Cover(terms):
            return _extended(draft, terms)
        case Simplify(place):
            return draft.refusing(place)


def ranking(source: Source) -> Iterator[int]:
    """All sentences by their place in the text, those that say most first (SumBasic)."""
    probabilities = dict(source.probabilities)
    waiting = dict(enumerate(source.sentences))
    while waiting:
        place = _most_telling(waiting, probabilities)
        yield place
        for term in set(waiting.pop(place).terms):
            probabilities[term] **= 2


def _most_telling(waiting: dict[int, Sentence], probabilities: dict[str, float]) -> int:
    def score(place: int) -> tuple[float, float]:
        chances = [probabilities[term] for term in waiting[place].terms]
        return max(chances, default=0.0), sum(chances) / len(chances) if chances else 0.0

    return max(waiting, key=score)


def _shortened(draft: Draft, longest: int) -> Draft:
    """Without the sentences that are missed least for their length, until the rest is short enough."""
    while len(draft.chosen) > 1 and draft.words > longest:
        removable = [place for place in sorted(draft.chosen) if not draft.holds(place + 1)]
        draft = draft.without(min(removable, key=lambda place: _worth(draft, place)))
    return draft


def _connected(draft: Draft, place: int) -> Draft:
    """With the sentence before when it is welcome and there is room for it; else without the sentence."""
    before = place - 1
    if before in draft.refused or draft.words + draft.source.sentences[before].words > LONGEST:
        return draft.refusing(place)
    return draft.adding(before)


def _extended(draft: Draft, terms: Collection[str]) -> Draft:
    """With the sentence that says most of these terms for its length, and what it leans on.

    One that was refused comes back only when there is no other.
    """
    sentences = draft.source.sentences
    telling = [place for place in range(len(sentences)) if not set(terms).isdisjoint(sentences[place].terms)]
    best = max(telling, key=lambda place: (place not in draft.refused, _worth(draft, place)))
    first = best
    while sentences[first].leans_back:
        first -= 1
    return draft.adding(*range(first, best + 1))


def _worth(draft: Draft, place: int) -> tuple[float, float]:
    """What a sentence adds to the others for each of its words: in important terms first, in all terms second."""
    source, sentence = draft.source, draft.source.sentences[place]
    said = {term for other in draft.chosen - {place} for term in source.sentences[other].terms}
    new = {term: source.probabilities[term] for term in sentence.terms if term not in said}
    important = sum(chance for term, chance in new.items() if term in source.important)
    return important / sentence.words, sum(new.values()) / sentence.words
