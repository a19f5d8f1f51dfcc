"""What a file really is: told by its first bytes, and by its name only as far as these leave it open."""

from __future__ import annotations

import enum
import json
import re
from pathlib import PurePath
from typing import Final

from flujo_actors.demos.files.reading import File, open_file

HEAD: Final = 8192
"""How many bytes are looked at."""


class Kind(enum.StrEnum):
    """What a file is."""

    PYTHON = "Python"
    TEXT = "text"
    TABLE = "table"
    JSON = "JSON"
    TOML = "TOML"
    IMAGE = "image"
    DATABASE = "database"
    BINARY = "binary"
    """Anything else that is no text."""
    EMPTY = "empty"


KIND_BY_SIGNATURE: Final = {
    b"\x89PNG\r\n\x1a\n": Kind.IMAGE,
    b"\xff\xd8\xff": Kind.IMAGE,
    b"GIF87a": Kind.IMAGE,
    b"GIF89a": Kind.IMAGE,
    b"SQLite format 3\0": Kind.DATABASE,
}
"""What files of a kind begin with: PNG, JPEG, GIF twice, SQLite."""

KIND_BY_SUFFIX: Final = {
    ".py": Kind.PYTHON,
    ".pyi": Kind.PYTHON,
    ".csv": Kind.TABLE,
    ".tsv": Kind.TABLE,
    ".json": Kind.JSON,
    ".geojson": Kind.JSON,
    ".ipynb": Kind.JSON,
    ".toml": Kind.TOML,
    ".md": Kind.TEXT,
    ".rst": Kind.TEXT,
    ".txt": Kind.TEXT,
    ".log": Kind.TEXT,
    ".jsonl": Kind.TEXT,
    ".png": Kind.IMAGE,
    ".jpg": Kind.IMAGE,
    ".jpeg": Kind.IMAGE,
    ".gif": Kind.IMAGE,
    ".sqlite": Kind.DATABASE,
}
"""What a file should be by the end of its name, in lower case."""

_PYTHON_SCRIPT: Final = re.compile(rb"#![^\n]*\bpython")
_CUT_CHARACTER: Final = 3
"""Bytes of a character in UTF-8 that may be missing behind the head."""


def read_head(file: File) -> bytes:
    """The first bytes of a file, all of a short one. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read.
    """
    with open_file(file) as opened:
        return opened.read(HEAD)


def kind_named(name: str) -> Kind | None:
    """What a file should be by its name, `None` when that does not tell."""
    return KIND_BY_SUFFIX.get(PurePath(name).suffix.lower())


def kind_of(name: str, head: bytes) -> Kind:
    """What a file is.

    Args:
        name: its name, with or without the folder.
        head: its first bytes.
    """
    if not head:
        return Kind.EMPTY
    signed = next((kind for signature, kind in KIND_BY_SIGNATURE.items() if head.startswith(signature)), None)
    if signed is not None:
        return signed
    if b"\0" in head:
        return Kind.BINARY
    return kind_named(name) or _kind_of_text(head)


def _kind_of_text(head: bytes) -> Kind:
    if not _is_utf_8(head):
        return Kind.BINARY
    if _PYTHON_SCRIPT.match(head):
        return Kind.PYTHON
    return Kind.JSON if _is_json(head) else Kind.TEXT


def _is_json(head: bytes) -> bool:
    """Whether it is an object or a list from its beginning to its end; a longer one has to say so by its name."""
    if not head.lstrip().startswith((b"{", b"[")):
        return False
    try:
        json.loads(head)
    except (ValueError, RecursionError):
        return False
    return True


def _is_utf_8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) == HEAD and error.start >= HEAD - _CUT_CHARACTER
    return True
