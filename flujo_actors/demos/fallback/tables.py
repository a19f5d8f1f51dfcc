"""`Table`, what both readers make of a file, and the errors that say why one could not."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final, TypeGuard, cast

import attrs

from flujo_actors import FlujoError


class Format(enum.StrEnum):
    """How data is written."""

    CSV = "CSV"
    TSV = "TSV"
    JSON = "JSON"
    JSON_LINES = "JSON Lines"
    """A JSON object to a line."""


FORMAT_BY_SUFFIX: Final = {
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".json": Format.JSON,
    ".jsonl": Format.JSON_LINES,
}
"""The suffixes, in lower case, of what counts as data."""

SEPARATORS: Final = {Format.CSV: ",", Format.TSV: "\t"}
"""What should stand between two cells."""


@attrs.frozen
class Table:
    """Data: columns with names, and rows of values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    """A row should have a value for each column; a validator says whether it does."""
    repairs: tuple[str, ...] = ()
    """What had to be done to read it."""


@attrs.define(eq=False, slots=False)
class BrokenDataError(FlujoError):
    """Data that is not as its format asks for. To be raised, it has to be beyond what the reader forgives."""

    problem: str
    """What is wrong, and where."""

    def __str__(self) -> str:
        return self.problem


class UnfinishedDataError(BrokenDataError):
    """Data that ends in the middle. Somebody may just be writing the rest of it."""


def format_of(name: str) -> Format | None:
    """The format that a file's suffix stands for, `None` when it is not one of ours."""
    return FORMAT_BY_SUFFIX.get(PurePath(name).suffix.lower())


def is_data(name: str) -> bool:
    """Whether a file's suffix says that it is data."""
    return format_of(name) is not None


def known_format(name: str) -> Format:
    """The format of a file.

    Raises:
        BrokenDataError: its suffix does not tell.
    """
    found = format_of(name)
    if found is None:
        raise BrokenDataError(f"its name ends in none of {', '.join(FORMAT_BY_SUFFIX)}")
    return found


def as_items(data: object) -> list[object]:
    """What came from JSON, as a list of things."""
    return cast("list[object]", data) if isinstance(data, list) else [data]


def is_object(item: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether one of these things is an object of JSON."""
    return isinstance(item, dict)


def columns_of(records: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The keys of all records, in the order in which they first appear."""
    return tuple(dict.fromkeys(key for record in records for key in record))
