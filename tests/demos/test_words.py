from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.texts.words import WordStatistics, bare_word, split_words, word_statistics


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        (" \n\t ", 0),
        ("one", 1),
        ("one two\nthree", 3),
        ("well-known isn't 3.5", 3),
        ("before — after - | * #", 2),
        ("naïve Größe слово", 3),
    ],
)
def test_a_word_stands_between_spaces_and_has_a_letter_or_digit(text: str, count: int) -> None:
    assert word_statistics(text).words == count


def test_distinct_words_ignore_case_and_the_signs_around_them() -> None:
    # the, cat, saw; letters: The3 cat3 saw3 the3 Cat3
    assert word_statistics('"The cat" saw the (Cat).') == WordStatistics(words=5, distinct_words=3, letters=15)


def test_no_words_have_an_average_length_of_zero() -> None:
    assert word_statistics("").average_length == 0
    assert word_statistics("a bcd").average_length == 2


@pytest.mark.parametrize(("word", "bare"), [("(word).", "word"), ("isn't!", "isn't"), ("...", ""), ("", "")])
def test_a_bare_word_has_no_signs_around_it(word: str, bare: str) -> None:
    assert bare_word(word) == bare


@given(st.text(), st.text())
def test_words_and_letters_of_two_texts_together_are_the_sums(one: str, other: str) -> None:
    both, first, second = (word_statistics(text) for text in (f"{one} {other}", one, other))
    assert both.words == first.words + second.words
    assert both.letters == first.letters + second.letters
    assert max(first.distinct_words, second.distinct_words) <= both.distinct_words <= both.words


@given(st.text())
def test_counted_words_are_the_words_that_are_split(text: str) -> None:
    assert word_statistics(text).words == len(split_words(text))
