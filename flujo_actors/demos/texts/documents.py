"""Reading a text file, with the markup that its name tells."""

from __future__ import annotations

import attrs

from flujo_actors.demos.files.reading import File, read_text
from flujo_actors.demos.texts.markup import Markup, markup_of


@attrs.frozen
class Document:
    """A document that was read."""

    name: str
    """Its path below the folder that was asked for, with `/` between its parts."""
    markup: Markup
    text: str
    """All of it, lines ended by newlines."""


def read_document(file: File) -> Document:
    """Read a document, of which a suffix that is not known stands for plain text. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read, is too large, or is not UTF-8 text.
    """
    return Document(file.name, markup_of(file.name) or Markup.PLAIN, read_text(file))
