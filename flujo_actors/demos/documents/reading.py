"""Reading one document, with an error that says what is wrong with the file and where."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import attrs

from flujo_actors.demos.documents.markup import Markup, markup_of
from flujo_actors.errors import FlujoError

LARGEST_FILE: Final = 5_000_000
"""Bytes. Whatever is larger was hardly written by hand, and would make everybody wait."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


@attrs.define(eq=False, slots=False)
class DocumentError(FlujoError):
    """A file or folder that cannot be read. Nothing was changed."""

    path: str
    """The file or folder, as it was asked for."""
    problem: str
    """What is wrong with it."""

    def __str__(self) -> str:
        return f"{self.path!r} {self.problem}"


@attrs.frozen
class Document:
    """A document that was read."""

    name: str
    """Its path below the report's folder, with `/` between its parts."""
    markup: Markup
    text: str
    """All of it, lines ended by newlines."""


def read_document(folder: str, name: str) -> Document:
    """Read a document. Blocks on the disk, so steps call it in a thread.

    Args:
        folder: the report's folder.
        name: the document's path below it. A suffix that is not known stands for plain text.

    Raises:
        DocumentError: it cannot be read, is larger than `LARGEST_FILE`, or is not UTF-8 text.
    """
    return Document(name, markup_of(name) or Markup.PLAIN, decode(_read_bytes(Path(folder, name), name), name))


def decode(data: bytes, name: str) -> str:
    """Bytes as text, without a byte order mark, lines ended by newlines.

    Raises:
        DocumentError: they are not UTF-8, or hold a NUL, as binary files do. It names the first byte that is wrong.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        hint = "; it looks like UTF-16" if data.startswith(_UTF_16_MARKS) else ""
        wrong = f"is not UTF-8 text: byte 0x{data[error.start]:02x} at {_place(data, error.start)}{hint}"
        raise DocumentError(name, wrong) from None
    if "\0" in text:
        raise DocumentError(name, f"is a binary file: NUL at {_place(data, data.index(0))}")
    return text.removeprefix(_BYTE_ORDER_MARK.decode()).replace("\r\n", "\n").replace("\r", "\n")


def reason_of(error: OSError | ValueError) -> str:
    """What the system says is wrong, without the path that the message names anyway."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _read_bytes(path: Path, name: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        raise DocumentError(name, f"cannot be read: {reason_of(error)}") from error
    if len(data) > LARGEST_FILE:
        raise DocumentError(name, f"is larger than {LARGEST_FILE:,} bytes, the most that is read")
    return data


def _place(data: bytes, offset: int) -> str:
    line = data.count(b"\n", 0, offset) + 1
    return f"byte offset {offset} (line {line})"
