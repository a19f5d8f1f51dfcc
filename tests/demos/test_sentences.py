from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.texts.sentences import split_sentences


@pytest.mark.parametrize(
    ("block", "sentences"),
    [
        ("", []),
        ("...", []),
        ("No mark at the end", ["No mark at the end"]),
        ("One. Two? Three!", ["One.", "Two?", "Three!"]),
        ("He asked (twice!). “Really?” Yes…", ["He asked (twice!).", "“Really?”", "Yes…"]),
        ("Version 3.11 is e.g. fine.", ["Version 3.11 is e.g. fine."]),
        ("Ask Dr. Who, i.e. The Doctor.", ["Ask Dr. Who, i.e. The Doctor."]),
        ("Wait... what", ["Wait... what"]),
        ("Really?! No.", ["Really?!", "No."]),
        ("One.\n  Two\nthree.", ["One.", "Two three."]),
        ("Yes. . . .", ["Yes. . . ."]),
        ("... Yes. — No.", ["... Yes.", "— No."]),
    ],
)
def test_sentences_of_a_block(block: str, sentences: list[str]) -> None:
    assert split_sentences(block) == sentences


@given(st.text(st.sampled_from('ab .!?…\n"')))
def test_sentences_together_are_the_block_unless_it_has_no_word(block: str) -> None:
    has_word = any(sign.isalnum() for sign in block)
    assert " ".join(split_sentences(block)) == (" ".join(block.split()) if has_word else "")
