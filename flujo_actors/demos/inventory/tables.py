"""Tables as text, CSV and the like: rows, columns, what seems to be in them, and empty cells."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from flujo_actors.demos.files.reading import File, ReadingError, read_text
from flujo_actors.demos.printing import count
from flujo_actors.demos.texts.separators import separator_of

_TYPES: Final = {
    "whole number": re.compile(r"[+-]?\d+"),
    "number": re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"),
    "date": re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?)?"),
    "yes or no": re.compile(r"true|false|yes|no", re.IGNORECASE),
}
"""What the cells of a column may all look like, the narrowest first; else it is text."""


@attrs.frozen
class Column:
    """One column of a table."""

    name: str
    """As the first row says."""
    type: str
    """What all cells look like that are not empty: `whole number`, `number`, `date`, `yes or no`, `text`, `empty`."""
    empty: int
    """Empty cells, and those that a short row does not have."""


@attrs.frozen
class TableFinding:
    """What a table is made of."""

    separator: str
    """What stands between two cells."""
    rows: int
    """Without the first, which names the columns, and without blank lines."""
    columns: tuple[Column, ...]
    uneven_rows: int
    """Rows with more cells than columns, or fewer."""

    @property
    def in_words(self) -> str:
        """Rows, columns by type, and what is missing."""
        numbers = Counter(column.type for column in self.columns)
        types = ", ".join(f"{number} {name}" for name, number in numbers.items())
        parts = [f"{count(self.rows, 'row')} of {count(len(self.columns), 'column')} ({types})"]
        if empty := sum(column.empty for column in self.columns):
            parts.append(count(empty, "empty cell"))
        if self.uneven_rows:
            parts.append(count(self.uneven_rows, "uneven row"))
        return ", ".join(parts)


def examine_table(file: File) -> TableFinding:
    """Look at a table whose first row names the columns. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read, is not UTF-8, or has no rows.
    """
    text = read_text(file)
    separator = separator_of(text)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator)
    try:
        header, *rows = (row for row in reader if row)
    except csv.Error as error:
        raise ReadingError(file.name, f"is not a table: {error} (line {reader.line_num})") from error
    except ValueError:
        raise ReadingError(file.name, "is not a table: it has blank lines alone") from None
    return TableFinding(
        separator=separator,
        rows=len(rows),
        columns=tuple(_column(name, _cells(rows, place)) for place, name in enumerate(header)),
        uneven_rows=sum(len(row) != len(header) for row in rows),
    )


def type_of(cells: Iterable[str]) -> str:
    """What all of these cells look like."""
    filled = [cell for cell in cells if cell]
    if not filled:
        return "empty"
    return next((name for name, pattern in _TYPES.items() if all(map(pattern.fullmatch, filled))), "text")


def _cells(rows: Iterable[Sequence[str]], place: int) -> list[str]:
    return [row[place].strip() if place < len(row) else "" for row in rows]


def _column(name: str, cells: Sequence[str]) -> Column:
    return Column(name.strip(), type_of(cells), cells.count(""))
