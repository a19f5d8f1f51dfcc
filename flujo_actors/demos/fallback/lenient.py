"""The lenient reader: takes data as people and programs leave it, and says what it had to do.

Not in UTF-8, other separators, blank and uneven rows, unnamed columns; JSON with all that `mending` mends. What is
clearly something else, such as a picture, is refused here too.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from flujo_actors.demos.fallback.mending import mend
from flujo_actors.demos.fallback.tables import (
    SEPARATORS,
    BrokenDataError,
    Format,
    Table,
    as_items,
    columns_of,
    is_object,
    known_format,
)
from flujo_actors.demos.printing import count
from flujo_actors.demos.texts.separators import separator_of


@attrs.frozen
class Decoded:
    """Bytes as text."""

    text: str
    """Without a byte order mark."""
    encoding: str
    """What it was."""


def decode_leniently(data: bytes) -> Decoded:
    """Bytes as text, whatever the encoding.

    Raises:
        BrokenDataError: there is a NUL, as in files that are no text.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Decoded(data.decode("utf-16", "replace"), "UTF-16")
    if b"\0" in data:
        raise BrokenDataError("it is no text but a binary file")
    try:
        return Decoded(data.decode("utf-8-sig"), "UTF-8")
    except UnicodeDecodeError:
        return Decoded(data.decode("cp1252", "replace"), "Windows-1252")


def parse_leniently(name: str, decoded: Decoded) -> Table:
    """Read data.

    Args:
        name: the file's name, whose suffix tells the format.
        decoded: the data.

    Raises:
        BrokenDataError: nothing can be made of it.
    """
    table = _parse(known_format(name), decoded.text)
    encoding = [] if decoded.encoding == "UTF-8" else [f"encoded in {decoded.encoding}"]
    return attrs.evolve(table, repairs=(*encoding, *table.repairs))


def _parse(known: Format, text: str) -> Table:
    match known:
        case Format.CSV | Format.TSV:
            return _parse_separated(text, SEPARATORS[known])
        case Format.JSON:
            return _parse_json([text])
        case Format.JSON_LINES:
            return _parse_json(text.splitlines())


def _parse_separated(text: str, usual: str) -> Table:
    separator = separator_of(text)
    try:
        rows = list(csv.reader(text.splitlines(keepends=True), delimiter=separator))
    except csv.Error as error:
        raise BrokenDataError(str(error)) from error
    filled = [row for row in rows if any(cell.strip() for cell in row)]
    if not filled:
        raise BrokenDataError("it is empty")
    done = Counter({"row dropped as blank": len(rows) - len(filled)})
    columns = tuple(_names(filled[0], done))
    even = tuple(_even(row, len(columns), separator, done) for row in filled[1:])
    other = [] if separator == usual else [f"separated by {separator!r}"]
    return Table(columns, even, repairs=(*other, *_in_words(done)))


def _names(header: Sequence[str], done: Counter[str]) -> Iterable[str]:
    """A name for each column: those without one are numbered, and so are those with one that was there before."""
    given: Counter[str] = Counter()
    for number, cell in enumerate(header, start=1):
        name = cell.strip() or f"column {number}"
        given[name] += 1
        done["column named"] += name != cell.strip() or given[name] > 1
        yield name if given[name] == 1 else f"{name} {given[name]}"


def _even(row: Sequence[str], width: int, separator: str, done: Counter[str]) -> tuple[str, ...]:
    """A row with as many cells as there are columns. What is too much becomes a part of the last cell."""
    done["row filled up"] += len(row) < width
    done["row joined at its end"] += len(row) > width
    head = [*row[: width - 1], separator.join(row[width - 1 :])]
    return tuple(cell.strip() for cell in head + [""] * (width - len(head)))


def _parse_json(texts: Sequence[str]) -> Table:
    """JSON in one or more pieces, each a list of objects or a single one."""
    done: Counter[str] = Counter()
    records = [record for text in texts if text.strip() for record in _records(text, done)]
    if not records:
        raise BrokenDataError("there is no object in it")
    columns = columns_of(records)
    done["object filled up"] = sum(len(record) < len(columns) for record in records)
    rows = tuple(tuple(record.get(key) for key in columns) for record in records)
    return Table(columns, rows, repairs=_in_words(done))


def _records(text: str, done: Counter[str]) -> list[Mapping[str, Any]]:
    mended = mend(text)
    try:
        data = json.loads(mended.text, strict=False)
    except (ValueError, RecursionError) as error:
        raise BrokenDataError(f"it cannot be mended: {error}") from error
    done.update(mended.repairs)
    items = as_items(data)
    objects = [item for item in items if is_object(item)]
    done["value dropped, being no object"] += len(items) - len(objects)
    return objects


def _in_words(done: Counter[str]) -> tuple[str, ...]:
    """What was done, as `2 rows filled up`."""
    parts = ((number, what.partition(" ")) for what, number in done.items() if number)
    return tuple(f"{count(number, noun)} {rest}" for number, (noun, _, rest) in parts)
