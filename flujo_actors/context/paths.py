"""Paths into a context, written as in Python: `a.b['k'][3]`."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any, Final

import attrs


@attrs.frozen
class Field:
    """A step of a path: an attribute."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@attrs.frozen
class Key:
    """A step of a path: a key or an index."""

    value: Any

    def __str__(self) -> str:
        return f"[{self.value!r}]"


Part = Field | Key
Path = tuple[Part, ...]

PRIVATE: Final = "__pydantic_private__"
EXTRA: Final = "__pydantic_extra__"
FIELDS_SET: Final = "__pydantic_fields_set__"
_POCKETS: Final = frozenset({Field(PRIVATE), Field(EXTRA)})
"""Where pydantic keeps attributes in a dict; users know them as attributes."""


def format_path(parts: Iterable[Part]) -> str:
    """The path as text; empty for the context itself."""
    text = ""
    in_pocket = False
    for part in parts:
        if part in _POCKETS:
            in_pocket = True
            continue
        text += f".{part.value}" if in_pocket and isinstance(part, Key) else str(part)
        in_pocket = False
    return text.removeprefix(".")


def parse_path(text: str) -> Path:
    """The parts of a path.

    Args:
        text: `a.b['k'][3]`; keys are Python literals; empty for the context itself.

    Raises:
        ValueError: it is not such a path.
    """
    if not text:
        return ()
    source = f"_{text}" if text.startswith("[") else f"_.{text}"
    try:
        tree = ast.parse(source, mode="eval").body
        return _parts_of(tree)
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{text!r} is not a path such as a.b['k'][3]") from error


def _parts_of(tree: ast.expr) -> Path:
    parts: list[Part] = []
    while not isinstance(tree, ast.Name):
        if isinstance(tree, ast.Attribute):
            parts.append(Field(tree.attr))
        elif isinstance(tree, ast.Subscript):
            parts.append(Key(ast.literal_eval(tree.slice)))
        else:
            raise ValueError(ast.unparse(tree))
        tree = tree.value
    return tuple(reversed(parts))
