"""Reading one file, with an error that says what is wrong with it and where."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Final

import attrs

from flujo_actors.errors import FlujoError

LARGEST_FILE: Final = 5_000_000
"""Bytes. Whatever is larger was hardly written by hand, and would make everybody wait."""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_UTF_16_MARKS: Final = (b"\xff\xfe", b"\xfe\xff")


@attrs.define(eq=False, slots=False)
class ReadingError(FlujoError):
    """A file or folder that cannot be read. Nothing was changed."""

    path: str
    """The file or folder, as it was asked for."""
    problem: str
    """What is wrong with it."""

    def __str__(self) -> str:
        return f"{self.path!r} {self.problem}"


@attrs.frozen
class File:
    """A file that is there to be read."""

    folder: str
    """The folder that was asked for, or that of the file that was, an absolute path."""
    name: str
    """The file's path below it, with `/` between its parts."""

    @property
    def path(self) -> Path:
        """Where it is."""
        return Path(self.folder, self.name)


def read_text(file: File) -> str:
    """Read a text file, without a byte order mark, lines ended by newlines. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read, is larger than `LARGEST_FILE`, or is not UTF-8 text.
    """
    return decode(read_bytes(file), file.name)


def read_bytes(file: File) -> bytes:
    """Read a file. Blocks on the disk, so steps call it in a thread.

    Raises:
        ReadingError: it cannot be read, or is larger than `LARGEST_FILE`.
    """
    with open_file(file) as opened:
        data = opened.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise ReadingError(file.name, f"is larger than {LARGEST_FILE:,} bytes, the most that is read")
    return data


@contextmanager
def open_file(file: File) -> Generator[BufferedReader, None, None]:
    """A file that is open while the block runs. Blocks on the disk.

    Raises:
        ReadingError: it cannot be opened, or not be read in the block.
    """
    try:
        with file.path.open("rb") as opened:
            yield opened
    except (OSError, ValueError) as error:
        raise ReadingError(file.name, f"cannot be read: {reason_of(error)}") from error


def decode(data: bytes, name: str) -> str:
    """Bytes as text, without a byte order mark, lines ended by newlines.

    Raises:
        ReadingError: they are not UTF-8, or hold a NUL, as binary files do. It names the first byte that is wrong.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        hint = "; it looks like UTF-16" if data.startswith(_UTF_16_MARKS) else ""
        wrong = f"is not UTF-8 text: byte 0x{data[error.start]:02x} at {_place(data, error.start)}{hint}"
        raise ReadingError(name, wrong) from None
    if "\0" in text:
        raise ReadingError(name, f"is a binary file: NUL at {_place(data, data.index(0))}")
    return text.removeprefix(_BYTE_ORDER_MARK.decode()).replace("\r\n", "\n").replace("\r", "\n")


def reason_of(error: OSError | ValueError) -> str:
    """What the system says is wrong, without the path that the message names anyway."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _place(data: bytes, offset: int) -> str:
    line = data.count(b"\n", 0, offset) + 1
    return f"byte offset {offset} (line {line})"
