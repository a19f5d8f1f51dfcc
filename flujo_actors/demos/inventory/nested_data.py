"""JSON and TOML: how deep they nest, and how many keys and values there are."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from typing import Any, cast

import attrs

from flujo_actors.demos.files.reading import File, ReadingError, read_text
from flujo_actors.demos.printing import count


@attrs.frozen
class DataFinding:
    """What nested data is made of."""

    depth: int
    """Objects and lists around the innermost value; 0 for a value that stands alone."""
    keys: int
    """Of all objects together."""
    values: int
    """Texts, numbers and so on, at any depth."""

    @property
    def in_words(self) -> str:
        """All of it."""
        return f"{count(self.keys, 'key')}, {count(self.values, 'value')}, {count(self.depth, 'level')} deep"


def examine_json(file: File) -> DataFinding:
    """Look at a JSON file. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read, or is not JSON.
    """
    return _measure(_parsed(file, json.loads, "JSON"))


def examine_toml(file: File) -> DataFinding:
    """Look at a TOML file. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read, or is not TOML.
    """
    return _measure(_parsed(file, tomllib.loads, "TOML"))


def _parsed(file: File, parse: Callable[[str], Any], name: str) -> Any:
    try:
        return parse(read_text(file))
    except (ValueError, RecursionError) as error:  # both parsers' errors are ValueErrors, with the place in their text
        raise ReadingError(file.name, f"is not valid {name}: {error}") from error


def _measure(data: object) -> DataFinding:
    """Not by recursion: data may nest deeper than Python calls."""
    deepest, keys, values = 0, 0, 0
    waiting: list[tuple[object, int]] = [(data, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, dict):
            inside = cast("dict[str, object]", value)
            keys += len(inside)
            waiting.extend((item, depth + 1) for item in inside.values())
        elif isinstance(value, list):
            waiting.extend((item, depth + 1) for item in cast("list[object]", value))
        else:
            values += 1
            depth -= 1
        deepest = max(deepest, depth + 1)
    return DataFinding(deepest, keys, values)
