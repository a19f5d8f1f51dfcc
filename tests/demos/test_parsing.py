from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.texts.markdown import anchors_of
from flujo_actors.demos.texts.markup import Block, Heading, Link, Markup, ParsedText, markup_of
from flujo_actors.demos.texts.parsing import parse

MARKUP = st.sampled_from(Markup)
SIGNS = st.text(st.sampled_from("ab \n\t#*_`[]()<>!-=+~|:.\\&\"'^{}/0é"), max_size=80)


def markdown(text: str) -> ParsedText:
    return parse(text, Markup.MARKDOWN)


def rst(text: str) -> ParsedText:
    return parse(text, Markup.RESTRUCTURED_TEXT)


@pytest.mark.parametrize(
    ("name", "markup"),
    [
        ("a.md", Markup.MARKDOWN), ("b/README.MD", Markup.MARKDOWN), ("a.markdown", Markup.MARKDOWN),
        ("a.rst", Markup.RESTRUCTURED_TEXT), ("a.txt", Markup.PLAIN), ("a.py", None), ("md", None), (".md", None),
    ],
)  # fmt: skip
def test_the_suffix_tells_the_markup(name: str, markup: Markup | None) -> None:
    assert markup_of(name) is markup


def test_plain_text_is_cut_into_paragraphs_at_blank_lines() -> None:
    parsed = parse("# no heading\ngoes on\n \t\n[no](link.md)\n", Markup.PLAIN)
    assert parsed == ParsedText((Block("# no heading\ngoes on"), Block("[no](link.md)")))


def test_markdown_text_is_what_a_reader_sees() -> None:
    parsed = markdown("# A *bold* `title`\n\nSee [the guide](g.md), <b>now</b> &amp; ![alt](i.png) here.\n")
    assert parsed.blocks == (
        Block("A bold title", is_running=False),
        Block("See the guide, now &  here."),
    )


def test_code_comments_and_front_matter_are_no_text() -> None:
    text = "---\ntitle: x\n---\n\nText.\n\n```sh\nrun this\n```\n\n    and this\n\n<!-- hidden -->\n"
    parsed = markdown(text)
    assert parsed.text == "Text."
    assert parsed.headings == ()


def test_list_items_are_running_text_and_table_cells_are_not() -> None:
    parsed = markdown("- one\n- two\n\n| a | b |\n|---|---|\n| c | d |\n")
    assert [(block.text, block.is_running) for block in parsed.blocks] == [
        ("one", True), ("two", True), ("a", False), ("b", False), ("c", False), ("d", False),
    ]  # fmt: skip


def test_markdown_headings_of_both_kinds_are_found_and_those_in_code_are_not() -> None:
    parsed = markdown("---\na: b\n---\n# One\n\nTwo\n---\n\n```\n# no\n```\n### Three ###\n")
    assert parsed.headings == (Heading(1, "One", 4), Heading(2, "Two", 6), Heading(3, "Three", 12))


@pytest.mark.parametrize(
    ("title", "anchor"),
    [
        ("Set up!", "set-up"),
        ("What's new in 2.0?", "whats-new-in-20"),
        ("snake_case & kebab-case", "snake_case--kebab-case"),
        ("Größe", "größe"),
        ("a\nb", "a-b"),
        ("***", ""),
    ],
)
def test_anchors_are_made_as_github_makes_them(title: str, anchor: str) -> None:
    assert list(anchors_of([title])) == [anchor]


def test_repeated_anchors_are_numbered() -> None:
    assert list(anchors_of(["Same", "same", "Other", "SAME!"])) == ["same", "same-1", "other", "same-2"]


def test_repeated_anchors_may_be_numbered_as_github_or_python_markdown_does() -> None:
    assert markdown("# Same\n\n# Same\n").anchors == {"same", "same-1", "same_1"}


def test_anchors_given_by_hand_are_found() -> None:
    parsed = markdown(
        "## Title {#own .class}\n\n<a name=\"old\"></a> <span ID='mark'>x</span>\n\n<div id=box>\n</div>\n"
    )
    assert parsed.anchors == {"title", "own", "old", "mark", "box"}
    assert parsed.headings == (Heading(2, "Title", 1),)


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("[a](b.md)", [("b.md", 1)]),
        ('[a](<b c.md> "title")', [("b c.md", 1)]),
        ("[a](b%20c.md#d)", [("b c.md#d", 1)]),
        ("![a](b.png)", [("b.png", 1)]),
        ("[![a](b.png)](c.md)", [("c.md", 1), ("b.png", 1)]),
        ("[a][b] [b][] [b]\n\n[b]: c.md\n", [("c.md", 1)] * 3),
        ("x\n`co\nde` [a](b.md)\n[c\nd](e.md) [f](g.md)", [("b.md", 3), ("e.md", 4), ("g.md", 5)]),
        ("> quoted\n> - item\n>   [a](b.md)", [("b.md", 3)]),
        ("| a |\n|---|\n| b |\n| [c](d.md) |", [("d.md", 4)]),
        ("<img\n src='a.png'>\n<a href=b.md>", [("a.png", 2), ("b.md", 3)]),
        ("text\n<img src='a.png'>", [("a.png", 2)]),
        ("<https://example.org>", [("https://example.org", 1)]),
        ("`[a](b.md)`", []),
        ("```\n[a](b.md)\n```", []),
        ("~~~\n[a](b.md)", []),
        ("    [a](b.md)", []),
        ("\\[a](b.md)", []),
        ("<!-- [a](b.md) <img src='c.png'> -->", []),
        ("text <!-- <img src='c.png'> -->", []),
        ("note[^1]\n\n[^1]: Later.", []),
        ("[a] (b.md)", []),
    ],
)
def test_markdown_links_are_found_with_their_lines(text: str, links: list[tuple[str, int]]) -> None:
    assert list(markdown(text).links) == [Link(target, line) for target, line in links]


def test_rst_headings_have_the_level_of_their_adornment() -> None:
    text = "=====\nTitle\n=====\n\nPart\n====\n\nChapter\n-------\n\nPart 2\n======\n"
    assert rst(text).headings == (
        Heading(1, "Title", 2), Heading(2, "Part", 5), Heading(3, "Chapter", 8), Heading(2, "Part 2", 11),
    )  # fmt: skip


def test_an_rst_transition_or_an_indented_line_is_no_heading() -> None:
    assert rst("Text.\n\n----\n\nMore.\n\n  code\n  ====\n").headings == ()


def test_rst_text_is_what_a_reader_sees() -> None:
    text = (
        "Title\n=====\n\n"
        "See `the guide <g.html>`_, :ref:`here` and ``code``, **now**.\n\n"
        ".. note::\n   hidden\n\n   hidden too\n\n"
        "Like this::\n\n   hidden code\n\n   more\n\nEnd.\n"
    )
    parsed = rst(text)
    assert [block.text for block in parsed.blocks] == [
        "Title", "See the guide, here and code, now.", "Like this::", "End.",
    ]  # fmt: skip
    assert [block.is_running for block in parsed.blocks] == [False, True, True, True]


def test_rst_table_borders_are_no_text() -> None:
    parsed = rst("===== =====\nA     B\n===== =====\n1     2\n===== =====\n")
    assert parsed.text.split() == ["A", "B", "1", "2"]
    assert parsed.headings == ()


@given(st.text() | SIGNS, MARKUP)
def test_any_text_can_be_parsed(text: str, markup: Markup) -> None:
    parsed = parse(text, markup)
    last_line = text.count("\n") + 1
    assert all(1 <= heading.line <= last_line for heading in parsed.headings)
    assert all(1 <= link.line <= last_line for link in parsed.links)
    assert all(block.text == block.text.strip() != "" for block in parsed.blocks)


@given(st.text(), st.text())
def test_plain_paragraphs_of_two_texts_are_the_paragraphs_of_both(one: str, other: str) -> None:
    both = parse(f"{one}\n\n{other}", Markup.PLAIN).blocks
    assert both == parse(one, Markup.PLAIN).blocks + parse(other, Markup.PLAIN).blocks
