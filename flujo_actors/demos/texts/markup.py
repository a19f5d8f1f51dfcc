"""What a document says, taken out of its markup: text, headings, links, and the anchors that links may name.

`parse` is the one entrance. Markdown is parsed by markdown-it-py, a CommonMark parser, because whether `[a](b)` is
a link or only looks like one (in code, in a comment, behind a backslash) takes the whole grammar to tell.
"""

from __future__ import annotations

import enum
from pathlib import PurePath
from typing import Final

import attrs


class Markup(enum.StrEnum):
    """How a document is written."""

    MARKDOWN = "markdown"
    RESTRUCTURED_TEXT = "restructured text"
    PLAIN = "plain text"


MARKUP_BY_SUFFIX: Final = {
    ".md": Markup.MARKDOWN,
    ".markdown": Markup.MARKDOWN,
    ".rst": Markup.RESTRUCTURED_TEXT,
    ".txt": Markup.PLAIN,
}
"""The suffixes, in lower case, of what counts as a document."""


@attrs.frozen
class Block:
    """A stretch of text that stands by itself: a paragraph, a list item, a heading, a cell of a table."""

    text: str
    """The words as a reader sees them, without markup."""
    is_running: bool = True
    """Whether it is made of sentences. Headings and table cells are not."""


@attrs.frozen
class Heading:
    """A heading."""

    level: int
    """1 for the outermost."""
    text: str
    """The words as a reader sees them, without markup."""
    line: int
    """Counted from 1."""


@attrs.frozen
class Link:
    """A link or an image."""

    target: str
    """Where it points, percent signs decoded: `guide.md#set-up`."""
    line: int
    """Counted from 1."""


@attrs.frozen
class ParsedText:
    """A document without its markup. Code blocks, comments and raw HTML are no text of it."""

    blocks: tuple[Block, ...] = ()
    """All text, in order."""
    headings: tuple[Heading, ...] = ()
    """In order."""
    links: tuple[Link, ...] = ()
    """Links and images of all kinds, in order. Only Markdown's are found."""
    anchors: frozenset[str] = frozenset()
    """What may stand behind `#` in a link to this document. Only Markdown's are found."""

    @property
    def text(self) -> str:
        """All text, a block to a paragraph."""
        return "\n\n".join(block.text for block in self.blocks)


def is_document(name: str) -> bool:
    """Whether a file's suffix says that it is a document."""
    return markup_of(name) is not None


def markup_of(name: str) -> Markup | None:
    """The markup that a file's suffix stands for, `None` when the file is not a document."""
    return MARKUP_BY_SUFFIX.get(PurePath(name).suffix.lower())
