"""From text to `ParsedText`, whatever the markup."""

from __future__ import annotations

import re
from typing import Final

from flujo_actors.demos.texts.markdown import parse_markdown
from flujo_actors.demos.texts.markup import Block, Markup, ParsedText
from flujo_actors.demos.texts.restructured_text import parse_restructured_text

_BLANK_LINES: Final = re.compile(r"\n[ \t]*\n")


def parse(text: str, markup: Markup) -> ParsedText:
    """Take a document apart.

    Args:
        text: the document, lines ended by newlines.
        markup: how it is written.
    """
    match markup:
        case Markup.MARKDOWN:
            return parse_markdown(text)
        case Markup.RESTRUCTURED_TEXT:
            return parse_restructured_text(text)
        case Markup.PLAIN:
            return parse_plain(text)


def parse_plain(text: str) -> ParsedText:
    """Plain text has paragraphs, set apart by blank lines, and no headings."""
    paragraphs = (paragraph.strip() for paragraph in _BLANK_LINES.split(text))
    return ParsedText(tuple(Block(paragraph) for paragraph in paragraphs if paragraph))
