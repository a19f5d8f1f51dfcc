from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.texts.readability import (
    Readability,
    count_syllables,
    readability,
    together,
)


def test_scores_are_those_of_the_formulas_worked_out_by_hand() -> None:
    # 6 words of 1 syllable in 1 sentence: 206.835 - 1.015 * 6 - 84.6 * 1 and 0.39 * 6 + 11.8 * 1 - 15.59
    found = readability(["The cat sat on the mat."])
    assert found == Readability(words=6, sentences=1, syllables=6)
    assert found is not None
    assert found.reading_ease == pytest.approx(116.145)
    assert found.grade == pytest.approx(-1.45)


def test_words_sentences_and_syllables_are_counted_over_all_blocks() -> None:
    # E-ve-ry ta-ble wob-bles. Fix it! | A pa-per nap-kin helps  ->  7 + 2 | 6 syllables
    found = readability(["Every table wobbles. Fix it!", "A paper napkin helps"])
    assert found == Readability(words=9, sentences=3, syllables=15)
    assert found is not None
    assert found.reading_ease == pytest.approx(206.835 - 1.015 * 3 - 84.6 * 15 / 9)
    assert found.grade == pytest.approx(0.39 * 3 + 11.8 * 15 / 9 - 15.59)


@pytest.mark.parametrize("blocks", [[], [""], ["...", "— !"]])
def test_text_without_words_has_no_readability(blocks: list[str]) -> None:
    assert readability(blocks) is None


@pytest.mark.parametrize(
    ("word", "syllables"),
    [
        ("the", 1), ("make", 1), ("makes", 1), ("whole", 1), ("table", 2), ("tables", 2), ("pages", 2), ("boxes", 2),
        ("called", 1), ("wanted", 2), ("agreed", 2), ("reading", 2), ("readability", 5), ("syllable", 3),
        ("well-known", 2), ("don't", 1),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t", 1), ("rhythm", 1), ("über", 2), ("2026", 1), ("b", 1), ("слово", 1),
    ],
)  # fmt: skip
def test_syllables_of_a_word(word: str, syllables: int) -> None:
    assert count_syllables(word) == syllables


def test_a_text_below_a_hundred_words_is_scored_roughly() -> None:
    assert Readability(words=99, sentences=5, syllables=150).is_rough
    assert not Readability(words=100, sentences=5, syllables=150).is_rough


def test_several_texts_are_scored_as_if_they_were_one() -> None:
    parts = [Readability(6, 1, 6), None, Readability(9, 3, 15)]
    assert together(parts) == Readability(words=15, sentences=4, syllables=21)
    assert together([None]) is None


@given(st.lists(st.text()))
def test_any_text_has_at_least_a_syllable_per_word_and_at_most_a_sentence_per_word(blocks: list[str]) -> None:
    found = readability(blocks)
    if found is not None:
        assert 1 <= found.sentences <= found.words <= found.syllables


@given(st.lists(st.text(), min_size=1), st.lists(st.text(), min_size=1))
def test_counts_of_blocks_together_are_the_sums(one: list[str], other: list[str]) -> None:
    assert readability(one + other) == together([readability(one), readability(other)])
