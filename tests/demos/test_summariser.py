"""Summariser and critic as plain functions: what is demanded of a draft, and what becomes of it then."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.files.reading import ReadingError
from flujo_actors.demos.summary.critic import LONGEST, Connect, Cover, Shorten, Simplify, demand_of
from flujo_actors.demos.summary.draft import Draft
from flujo_actors.demos.summary.pipeline import MOST_ROUNDS
from flujo_actors.demos.summary.source import Source, read_source
from flujo_actors.demos.summary.summariser import first_draft, opening, ranking, revised
from tests.demos.conftest import make_file

PETS = "The cat likes fish. The dog likes bones. The cat hunts mice. Mice fear every cat. They hide well."


@pytest.fixture
def pets(tmp_path: Path) -> Source:
    return read_source(make_file(tmp_path, "pets.txt", PETS))


def long_source(folder: Path) -> Source:
    """A text of 60 sentences of 10 words each, `word7` in every seventh sentence and so on."""
    parts = [
        " ".join([f"Sentence{number} speaks", *(f"of word{k}" for k in range(2, 6) if number % k == 0), "again"])
        for number in range(1, 61)
    ]
    padded = [f"{part} {'and so on ' * 4}".split()[:10] for part in parts]
    return read_source(make_file(folder, "long.txt", " ".join(" ".join(words) + "." for words in padded)))


def test_a_text_is_taken_apart_into_sentences_and_what_they_speak_of(pets: Source) -> None:
    assert [sentence.text for sentence in pets.sentences][:2] == ["The cat likes fish.", "The dog likes bones."]
    assert [sentence.leans_back for sentence in pets.sentences] == [False, False, False, False]
    assert [*pets.important][:3] == ["cat", "like", "mice"]
    assert pets.probabilities["cat"] == pytest.approx(3 / 12)
    assert pets.words == 19


def test_headings_and_what_is_no_whole_sentence_are_left_aside(tmp_path: Path) -> None:
    text = "# Title. Of a kind it is.\n\nToo short.\n\n- no end to this item\n- This item has an end.\n"
    assert [sentence.text for sentence in read_source(make_file(tmp_path, "a.md", text)).sentences] == [
        "This item has an end."
    ]


@pytest.mark.parametrize("text", ["", "# Title\n", "```\nThis is code, not a text.\n```\n", "One two three"])
def test_a_text_without_sentences_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ReadingError, match="has no sentences to make a summary of"):
        read_source(make_file(tmp_path, "a.md", text))


def test_sentences_are_ranked_by_sumbasic_worked_out_by_hand(pets: Source) -> None:
    # cat 3, like 2, mice 2, fish, dog, bone, hunt, fear 1 each: of 12.
    # With `cat`: (3+2+1)/3, (3+1+2)/3, (2+1+3)/3: three times 2; the first wins: The cat likes fish.
    # Then cat 9/144 = 0.75/12, like 4/144 = 0.33/12, fish 0.08/12; `mice` has the most: (0.75+1+2)/3; the first wins:
    # The cat hunts mice. Then mice 0.33/12, cat 0.05/12: dog, bone, fear with 1/12 each: The dog (0.33+1+1)/3.
    assert [pets.sentences[place].text for place in ranking(pets)] == [
        "The cat likes fish.",
        "The cat hunts mice.",
        "The dog likes bones.",
        "Mice fear every cat.",
    ]


def test_the_first_draft_is_some_times_too_long_and_the_opening_is_not(tmp_path: Path) -> None:
    source = long_source(tmp_path)
    assert first_draft(source).words == 3 * LONGEST
    assert opening(source) == Draft(source, frozenset(range(12)))


def test_the_opening_has_a_sentence_even_if_that_is_too_long(tmp_path: Path) -> None:
    source = read_source(make_file(tmp_path, "a.txt", "word " * 200 + "end. One more sentence here."))
    assert opening(source).chosen == {0}


def test_a_long_draft_is_shortened_by_a_part_at_a_time(tmp_path: Path) -> None:
    draft = Draft(long_source(tmp_path), frozenset(range(60)))
    assert demand_of(draft) == Shorten(600 - LONGEST)
    shorter = revised(draft, Shorten(600 - LONGEST))
    assert shorter.words == 400
    assert revised(shorter, Shorten(50)).words == 350
    assert str(Shorten(1)) == "1 word too long"


def test_a_sentence_torn_out_of_its_context_gets_it_or_goes(tmp_path: Path) -> None:
    source = read_source(make_file(tmp_path, "a.txt", "A cat sat on a mat. It slept all the day."))
    torn = Draft(source, frozenset([1]))
    assert demand_of(torn) == Connect(1, "It slept all the")
    assert revised(torn, Connect(1, "")).chosen == {0, 1}
    unwelcome = Draft(source, frozenset([1]), refused=frozenset([0]))
    assert revised(unwelcome, Connect(1, "")) == Draft(source, frozenset(), frozenset([0, 1]))


def test_a_first_sentence_that_points_back_points_nowhere(tmp_path: Path) -> None:
    source = read_source(make_file(tmp_path, "a.txt", "This release mends a bug."))
    assert demand_of(first_draft(source)) is None


def test_a_draft_that_misses_what_the_text_is_about_gets_the_sentence_that_says_most_of_it(pets: Source) -> None:
    draft = Draft(pets, frozenset([1]))
    demand = demand_of(draft)
    assert isinstance(demand, Cover)
    assert set(demand.terms) == {"cat", "mice", "fish", "hunt", "fear"}
    assert str(demand).startswith("says nothing of cat, ")
    assert revised(draft, demand).chosen == {1, 2}


def test_a_refused_sentence_comes_back_only_when_no_other_will_do(pets: Source) -> None:
    draft = Draft(pets, frozenset([1]), refused=frozenset([0, 2]))
    assert revised(draft, Cover(("cat",), ("cat",))).chosen == {1, 3}
    assert revised(draft, Cover(("fish",), ("fish",))) == Draft(pets, frozenset([0, 1]), frozenset([2]))


def test_what_is_added_brings_what_it_leans_on_and_is_dropped_first(tmp_path: Path) -> None:
    text = "Nothing much here at all. A cat sat on a mat. It liked some fish. This made it happy."
    source = read_source(make_file(tmp_path, "a.txt", text))
    draft = revised(Draft(source, frozenset([0])), Cover(("happy",), ("happy",)))
    assert draft.chosen == {0, 1, 2, 3}
    assert 1 in revised(draft, Shorten(6)).chosen


def test_the_hardest_sentence_of_a_hard_draft_is_refused(tmp_path: Path) -> None:
    hard = "Documentation necessitates considerations."
    source = read_source(make_file(tmp_path, "a.txt", f"The {hard} The cat sat on a mat. Cats sit on all the mats."))
    draft = Draft(source, frozenset([0, 1]))
    assert demand_of(draft) == Simplify(0, "The Documentation necessitates considerations.")
    assert revised(draft, Simplify(0, "")) == Draft(source, frozenset([1]), frozenset([0]))


@given(st.lists(st.text(st.sampled_from("abcde .It"), min_size=1), min_size=1, max_size=30))
def test_what_is_demanded_of_any_draft_can_be_done(
    tmp_path_factory: pytest.TempPathFactory, paragraphs: list[str]
) -> None:
    file = make_file(tmp_path_factory.getbasetemp(), "any.txt", "\n\n".join(paragraphs))
    try:
        source = read_source(file)
    except ReadingError:
        return
    draft = first_draft(source)
    for _ in range(MOST_ROUNDS):
        demand = demand_of(draft)
        if demand is None:
            assert draft.chosen
            break
        better = revised(draft, demand)
        assert better != draft
        draft = better
