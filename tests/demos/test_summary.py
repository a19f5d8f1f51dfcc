"""The demo from end to end: a real file, through the runtime, to what is printed."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from flujo_actors import SpanStatus, open_system
from flujo_actors.demos.summary import SUMMARY, Revisions
from flujo_actors.demos.summary.critic import LARGEST_GAP, LONGEST
from flujo_actors.demos.summary.report import Round, Summary
from flujo_actors.events import StepEnded
from tests.demos.conftest import make_file, printed, run_demo, spans_named

ENDLESS = "A single sentence goes on " + "and on " * 100 + "until it ends."

PRINTED = """\
mine.txt: 12 words in 12

A cat sat on the mat. A dog ate all the fish.

The critic was content after 1 round
Round  Words  Sentences   Terms   Ease  The critic
1         12          2  6 of 6  116.1  content

Ease: Flesch reading ease, of the whole text 116.1. \
Terms, in brackets what the summary leaves out: cat, sat, mat, dog, ate, fish."""


async def test_the_sample_is_summarised_until_the_critic_is_content() -> None:
    result = await run_demo(SUMMARY, SUMMARY.default_input)
    summary: Summary = result.unwrap()
    text = Path(SUMMARY.default_input).read_text(encoding="utf-8")  # noqa: ASYNC240 - a small file
    assert summary.words <= LONGEST
    assert len(summary.missing) <= LARGEST_GAP
    assert all(sentence in " ".join(text.split()) for sentence in summary.text.split(". ")[:-1])
    assert [each.demand is None for each in summary.rounds] == [False] * (len(summary.rounds) - 1) + [True]
    assert len(summary.rounds) > 2


async def test_each_round_is_shorter_until_the_length_is_right() -> None:
    summary: Summary = (await run_demo(SUMMARY, SUMMARY.default_input)).unwrap()
    too_long = [each for each in summary.rounds if each.words > LONGEST]
    assert [each.demand for each in too_long] == [f"{each.words - LONGEST} words too long" for each in too_long]
    assert all(later.words < earlier.words for earlier, later in pairwise(too_long))


async def test_the_context_has_what_the_critic_said_in_every_round() -> None:
    result = await run_demo(SUMMARY, SUMMARY.default_input)
    assert isinstance(result.context, Revisions)
    assert tuple(result.context.rounds) == result.unwrap().rounds
    assert result.context.rounds[-1].demand is None


async def test_the_trace_has_a_span_for_each_round_with_summariser_and_critic() -> None:
    result = await run_demo(SUMMARY, SUMMARY.default_input)
    (shorten,) = spans_named(result.trace_tree, "shorten")
    rounds = shorten["children"]
    assert [span["attributes"]["iteration"] for span in rounds] == list(range(1, len(result.context.rounds) + 1))
    assert {tuple(child["name"] for child in span["children"]) for span in rounds} == {("pick_sentences", "judge")}


async def test_a_short_text_is_its_own_summary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_file(tmp_path, "mine.txt", "A cat sat on the mat.\nA dog ate all the fish.\n")
    result = await run_demo(SUMMARY, "mine.txt")
    # 12 words of 12 syllables in 2 sentences: 206.835 - 1.015 * 6 - 84.6 = 116.1.
    assert result.unwrap().rounds == (Round(12, 2, terms=6, reading_ease=116.1, demand=None),)
    assert printed(SUMMARY, result) == PRINTED


async def test_when_the_critic_is_never_content_the_summary_is_how_the_text_begins(tmp_path: Path) -> None:
    result = await run_demo(SUMMARY, make_file(tmp_path, "a.txt", f"{ENDLESS} Another sentence follows.").path)
    summary: Summary = result.unwrap()
    assert summary.text == " ".join(ENDLESS.split())
    assert summary.rounds == ()
    assert result.context == Revisions()
    assert "The critic was never content: this is how the text begins." in printed(SUMMARY, result)
    shorten = result.step_history[1]
    assert shorten.metadata["fallback_triggered"]
    assert shorten.metadata["original_error"] == "reached max_loops"
    assert len(spans_named(result.trace_tree, "judge")) == 20
    assert [span["status"] for span in spans_named(result.trace_tree, "first_sentences")] == ["completed"]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("none.md", None, "does not exist"),
        ("garbage.md", bytes(range(256)), "is not UTF-8 text: byte 0x80 at byte offset 128 (line 2)"),
        ("nul.md", b"a\0b", "is a binary file: NUL at byte offset 1 (line 1)"),
        ("table.md", "| a | b |\n|---|---|\n| c | d |\n", "has no sentences to make a summary of"),
        ("empty.md", "", "has no sentences to make a summary of"),
        (".", None, "is a folder, not a file"),
        ("a\0b", None, "cannot be opened: embedded null byte"),
    ],
)
async def test_what_is_no_text_fails_the_run_at_once_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: str | bytes | None, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        make_file(tmp_path, name, content)
    result = await run_demo(SUMMARY, name)
    assert result.failure is not None
    assert (result.failure.message, result.failure.attempt) == (f"{name!r} {problem}", 1)


async def test_a_summary_is_wrapped_on_a_terminal_and_one_line_elsewhere() -> None:
    result = await run_demo(SUMMARY, SUMMARY.default_input)
    text = result.unwrap().text
    assert text in printed(SUMMARY, result)
    assert text not in printed(SUMMARY, result, terminal=True)
    assert text in " ".join(printed(SUMMARY, result, terminal=True).split())


async def test_escape_sequences_in_a_text_are_printed_as_text(tmp_path: Path) -> None:
    file = make_file(tmp_path, "a.txt", "A cat \x1b[31msat [bold]on the mat.")
    assert "A cat \\x1b[31msat [bold]on the mat." in printed(SUMMARY, await run_demo(SUMMARY, file.path), terminal=True)


async def test_json_has_the_summary_and_the_rounds() -> None:
    data = SUMMARY.to_json((await run_demo(SUMMARY, SUMMARY.default_input)).unwrap())
    assert json.loads(json.dumps(data)) == {**data, **{key: [*data[key]] for key in ("terms", "missing", "rounds")}}
    assert data["rounds"][-1]["demand"] is None
    assert len(data["terms"]) == 8


async def test_a_run_can_be_cancelled_between_two_rounds() -> None:
    async with open_system() as system:
        run = await system.start(SUMMARY.pipeline, SUMMARY.default_input, context=SUMMARY.new_context())
        async for event in run.events():
            if isinstance(event, StepEnded) and event.path == "shorten[1]/round/judge":
                run.cancel(reason="enough")
        result = await run.wait()
    assert result.status is SpanStatus.CANCELLED
    assert result.failure is not None
    assert result.failure.feedback == "Cancelled: enough"
