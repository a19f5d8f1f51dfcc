"""reStructuredText, as far as a report needs it: headings and text.

This is no docutils: headings are found by their underlines; explicit markup (a line that begins with `.. `, with
all that is indented below it) and literal blocks (what is indented below a paragraph that ends in `::`) are no text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from flujo_actors.demos.texts.markup import Block, Heading, ParsedText

_ADORNMENT: Final = re.compile(r"([!-/:-@\[-`{-~])\1+\s*")
_TABLE_BORDER: Final = frozenset("=+|- ")
_LINK: Final = re.compile(r"`([^`<]*)<[^`<>]*>`_{1,2}")
_ROLE: Final = re.compile(r":[A-Za-z][\w.:+-]{0,60}:(?=`)")
_EMPHASIS: Final = re.compile(r"`|\*\*?(?=\S)|(?<=\S)\*\*?")


def parse_restructured_text(text: str) -> ParsedText:
    """Take a reStructuredText document apart.

    Args:
        text: the document, lines ended by newlines.
    """
    lines = text.split("\n")
    headings = tuple(_headings(lines))
    titles = {heading.line - 1 for heading in headings}
    blocks = (_block(paragraph) for paragraph in _paragraphs(lines, titles))
    return ParsedText(tuple(block for block in blocks if block.text), headings)


@attrs.frozen
class _Line:
    text: str
    is_title: bool

    @property
    def indent(self) -> int:
        return len(self.text) - len(self.text.lstrip())


def _headings(lines: list[str]) -> Iterator[Heading]:
    """A style of adornment is a level; the levels are numbered in the order in which they turn up."""
    styles: list[tuple[str, bool]] = []
    for index in range(len(lines) - 1):
        if _is_title(lines, index):
            style = lines[index + 1][0], _has_overline(lines, index)
            if style not in styles:
                styles.append(style)
            yield Heading(styles.index(style) + 1, _without_inline_markup(lines[index].strip()), index + 1)


def _is_title(lines: list[str], index: int) -> bool:
    title, underline = lines[index].rstrip(), lines[index + 1].rstrip()
    if not title.strip() or _ADORNMENT.fullmatch(title) or not _ADORNMENT.fullmatch(underline):
        return False
    is_first_line = index == 0 or not lines[index - 1].strip()
    is_long_enough = len(underline) >= min(len(title), 4)
    return is_long_enough and (_has_overline(lines, index) or (is_first_line and not title[0].isspace()))


def _has_overline(lines: list[str], index: int) -> bool:
    above = lines[index - 1].rstrip() if index else ""
    return bool(_ADORNMENT.fullmatch(above)) and above == lines[index + 1].rstrip()


def _paragraphs(lines: list[str], titles: set[int]) -> Iterator[list[_Line]]:
    """What stands between blank lines, titles by themselves, without explicit markup and literal blocks."""
    paragraph: list[_Line] = []
    for line in _text_lines([_Line(text, index in titles) for index, text in enumerate(lines)]):
        if paragraph and (not line.text.strip() or line.is_title or paragraph[-1].is_title):
            yield paragraph
            paragraph = []
        if line.text.strip():
            paragraph.append(line)
    if paragraph:
        yield paragraph


def _text_lines(lines: Iterable[_Line]) -> Iterator[_Line]:
    skipped_below: int | None = None
    for line in lines:
        if not line.text.strip():
            yield line
            continue
        if skipped_below is not None and line.indent > skipped_below:
            continue
        is_explicit = line.text.lstrip().startswith(".. ") or line.text.strip() == ".."
        skipped_below = line.indent if is_explicit or line.text.rstrip().endswith("::") else None
        if not is_explicit and not _is_ornament(line.text):
            yield line


def _is_ornament(text: str) -> bool:
    is_border = _TABLE_BORDER.issuperset(text) and ("==" in text or "--" in text)
    return is_border or bool(_ADORNMENT.fullmatch(text.strip()))


def _block(paragraph: list[_Line]) -> Block:
    text = "\n".join(line.text.strip() for line in paragraph)
    return Block(_without_inline_markup(text), is_running=not paragraph[0].is_title)


def _without_inline_markup(text: str) -> str:
    return _EMPHASIS.sub("", _ROLE.sub("", _LINK.sub(lambda link: link[1].rstrip(), text))).strip()
