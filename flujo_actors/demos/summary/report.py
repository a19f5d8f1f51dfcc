"""What the demo gives: `Summary`, plain frozen data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self

import attrs

from flujo_actors.demos.summary.critic import Demand
from flujo_actors.demos.summary.draft import Draft


@attrs.frozen
class Round:
    """One round of summariser and critic."""

    words: int
    """Of the draft."""
    sentences: int
    """Of the draft."""
    terms: int
    """Important terms that the draft has."""
    reading_ease: float
    """Flesch reading ease of the draft."""
    demand: str | None
    """What the critic wanted; `None` when it was content."""

    @classmethod
    def of(cls, draft: Draft, demand: Demand | None) -> Self:
        """What there is to say of a draft that was judged."""
        return cls(
            words=draft.words,
            sentences=len(draft.chosen),
            terms=len(draft.source.important) - len(draft.missing),
            reading_ease=round(draft.reading_ease, 1),
            demand=None if demand is None else str(demand),
        )


@attrs.frozen
class Summary:
    """A summary, and how it came about."""

    name: str
    """The file, as it was asked for."""
    words_before: int
    """Of the whole text."""
    sentences_before: int
    """Of the text, those that can stand by themselves."""
    reading_ease_before: float
    """Flesch reading ease of these sentences."""
    text: str
    """The summary."""
    words: int
    """Of the summary."""
    terms: tuple[str, ...]
    """What the text mostly speaks of, the most frequent term first."""
    missing: tuple[str, ...]
    """Those of them that the summary does not have."""
    rounds: tuple[Round, ...]
    """What summariser and critic did. Empty when the critic was never content: the summary is how the text begins."""


def summary_of(draft: Draft, rounds: Iterable[Round]) -> Summary:
    """Put a report together."""
    source = draft.source
    return Summary(
        name=source.name,
        words_before=source.words,
        sentences_before=len(source.sentences),
        reading_ease_before=round(source.readability.reading_ease, 1),
        text=draft.text,
        words=draft.words,
        terms=tuple(source.important.values()),
        missing=tuple(source.important[term] for term in draft.missing),
        rounds=tuple(rounds),
    )
