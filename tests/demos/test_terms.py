from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.summary.terms import spellings_of, terms_of


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("The cat sat on the mat.", ("cat", "sat", "mat")),
        ("Branches, boxes, classes and cities", ("branch", "box", "class", "city")),
        ("The status of this thesis causes news", ("status", "thesis", "cause", "new")),
        ("It doesn't matter, it's Anna's.", ("matter", "anna")),
        ("Don\N{RIGHT SINGLE QUOTATION MARK}t: 2026 x 3rd", ()),
    ],
)
def test_terms_are_the_words_that_say_something_each_in_one_form(text: str, terms: tuple[str, ...]) -> None:
    assert terms_of(text) == terms


def test_a_term_is_spelled_as_it_mostly_stands_in_the_text() -> None:
    spellings = spellings_of(["Contexts and a context.", "Two contexts; no news."])
    assert spellings == {"context": "contexts", "new": "news"}


@given(st.lists(st.text()))
def test_every_term_of_a_text_has_a_spelling(texts: list[str]) -> None:
    assert {term for text in texts for term in terms_of(text)} == spellings_of(texts).keys()
