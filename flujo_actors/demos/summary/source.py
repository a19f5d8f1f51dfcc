"""The text to be summarised, as the summariser and the critic see it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Final

import attrs

from flujo_actors.demos.files.reading import File, ReadingError
from flujo_actors.demos.summary.terms import spellings_of, terms_of
from flujo_actors.demos.texts.documents import read_document
from flujo_actors.demos.texts.parsing import parse
from flujo_actors.demos.texts.readability import Readability, readability
from flujo_actors.demos.texts.sentences import has_end, split_sentences
from flujo_actors.demos.texts.words import split_words

IMPORTANT_TERMS: Final = 8
"""How many terms count as the most important."""

SHORTEST_SENTENCE: Final = 4
"""Words. What is shorter says little by itself."""

_LEANING: Final = re.compile(
    r"""\W*(also | and | both | but | hence | he | however | instead | it | its | neither | otherwise | she | so | such
    | that | their | then | therefore | these | they | this | those | thus)\b""",
    re.VERBOSE | re.IGNORECASE,
)


@attrs.frozen
class Sentence:
    """A sentence of the text."""

    text: str
    words: int
    terms: tuple[str, ...]
    """In order, each as often as it stands there."""
    leans_back: bool
    """Whether there is a sentence before, and it begins with a word that points back there, such as `They`."""


@attrs.frozen
class Source:
    """A text taken apart."""

    name: str
    """The file, as it was asked for."""
    words: int
    """Of the whole text, headings and lists included."""
    sentences: tuple[Sentence, ...]
    """Those that can stand by themselves, in order."""
    probabilities: Mapping[str, float]
    """How often each term stands in the sentences, as a part of all terms there."""
    important: Mapping[str, str]
    """The terms that stand there most often, the most frequent first, and how they are written."""
    readability: Readability
    """Of the sentences together."""


def read_source(file: File) -> Source:
    """Read a text and take it apart. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read, is not UTF-8 text, or has no sentences.
    """
    document = read_document(file)
    parsed = parse(document.text, document.markup)
    sentences = tuple(_sentences(block.text for block in parsed.blocks if block.is_running))
    score = readability(sentence.text for sentence in sentences)
    if score is None:
        raise ReadingError(file.name, "has no sentences to make a summary of")
    counts = Counter(term for sentence in sentences for term in sentence.terms)
    spellings = spellings_of(sentence.text for sentence in sentences)
    return Source(
        name=file.name,
        words=len(split_words(parsed.text)),
        sentences=sentences,
        probabilities={term: number / counts.total() for term, number in counts.items()},
        important={term: spellings[term] for term, _ in counts.most_common(IMPORTANT_TERMS)},
        readability=score,
    )


def _sentences(blocks: Iterable[str]) -> Iterable[Sentence]:
    is_first = True
    for text in chain.from_iterable(map(split_sentences, blocks)):
        words = len(split_words(text))
        if words >= SHORTEST_SENTENCE and has_end(text):
            leans_back = not is_first and _LEANING.match(text) is not None
            yield Sentence(text, words, terms_of(text), leans_back)
            is_first = False
