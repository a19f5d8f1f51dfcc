"""A draft of a summary: sentences of the text, chosen."""

from __future__ import annotations

import attrs

from flujo_actors.demos.summary.source import Sentence, Source
from flujo_actors.demos.texts.readability import readability


@attrs.frozen
class Draft:
    """Some sentences of a text, in the order of the text."""

    source: Source = attrs.field(repr=False)
    chosen: frozenset[int]
    """The sentences by their place in the text, from 0."""
    refused: frozenset[int] = frozenset()
    """Sentences that the critic wanted out."""

    def adding(self, *places: int) -> Draft:
        """With these sentences, even if they were refused before."""
        return Draft(self.source, self.chosen.union(places), self.refused.difference(places))

    def without(self, place: int) -> Draft:
        """Without a sentence, which may come back."""
        return Draft(self.source, self.chosen - {place}, self.refused)

    def refusing(self, place: int) -> Draft:
        """Without a sentence, which should not come back."""
        return Draft(self.source, self.chosen - {place}, self.refused | {place})

    def holds(self, place: int) -> bool:
        """Whether a sentence was chosen that needs the one before it."""
        return place in self.chosen and self.source.sentences[place].leans_back

    @property
    def sentences(self) -> tuple[Sentence, ...]:
        """The chosen sentences in order."""
        return tuple(self.source.sentences[place] for place in sorted(self.chosen))

    @property
    def text(self) -> str:
        """The summary as one paragraph."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def words(self) -> int:
        """Its length."""
        return sum(sentence.words for sentence in self.sentences)

    @property
    def missing(self) -> tuple[str, ...]:
        """The important terms that it does not have, the most frequent first."""
        there = {term for sentence in self.sentences for term in sentence.terms}
        return tuple(term for term in self.source.important if term not in there)

    @property
    def reading_ease(self) -> float:
        """Flesch reading ease; that of the text for a draft without a sentence."""
        score = readability(sentence.text for sentence in self.sentences) or self.source.readability
        return score.reading_ease
