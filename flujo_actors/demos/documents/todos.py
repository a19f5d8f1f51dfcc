"""Open TODOs: `TODO`, `FIXME` and `XXX`, in capitals, with what is to be done.

Code blocks are searched too. A marker that is only mentioned does not count: one that stands in backticks by itself,
or is part of a name (`TODO_LIST`, `TODO.md`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import attrs

_TODO: Final = re.compile(r"(?<![\w`./-])(TODO|FIXME|XXX)(?![\w`/-])(?!\.\w)")
_OWNER: Final = re.compile(r"\(([^()]*)\)")
_DASHES: Final = "-\N{EN DASH}\N{EM DASH}"
_LONGEST_TEXT: Final = 100


@attrs.frozen
class Todo:
    """One thing left to do."""

    marker: str
    """`TODO`, `FIXME` or `XXX`."""
    line: int
    """Counted from 1."""
    text: str
    """What the line says after the marker, cut at 100 characters; may be empty."""


def find_todos(text: str) -> tuple[Todo, ...]:
    """The open TODOs of a text in order, one to a line.

    Args:
        text: the document, lines ended by newlines.
    """
    return tuple(_todos(text.split("\n")))


def _todos(lines: list[str]) -> Iterator[Todo]:
    for number, line in enumerate(lines, start=1):
        marker = _TODO.search(line)
        if marker is not None:
            yield Todo(marker[1], number, _what(line[marker.end() :]))


def _what(rest: str) -> str:
    """The task, without the colon before it and the end of a comment behind it. An owner, `TODO(ann):`, is kept."""
    owner = _OWNER.match(rest)
    task = rest[owner.end() :] if owner else rest
    task = task.strip().lstrip(f"{_DASHES}:*_] ").removesuffix("-->").removesuffix("*/").rstrip()
    return _cut(f"{owner[0]} {task}".rstrip() if owner else task)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
