"""The strict reader: data exactly as its format asks for, in UTF-8.

CSV as in RFC 4180, the first row naming the columns; JSON as in RFC 8259, no key twice in one object.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from typing import Any, Never

from flujo_actors.demos.fallback.tables import (
    SEPARATORS,
    BrokenDataError,
    Format,
    Table,
    UnfinishedDataError,
    as_items,
    columns_of,
    is_object,
    known_format,
)

_ENDS_TOO_EARLY = "unexpected end of data"
"""What `csv` says of a cell that begins with a quotation mark and has no other."""


def parse_strictly(name: str, text: str) -> Table:
    """Read data.

    Args:
        name: the file's name, whose suffix tells the format.
        text: the data, lines ended by newlines.

    Raises:
        UnfinishedDataError: it ends in the middle.
        BrokenDataError: it is not as the format asks for.
    """
    match known_format(name):
        case Format.CSV | Format.TSV as separated:
            return _parse_separated(text, SEPARATORS[separated])
        case Format.JSON:
            return _as_table(_parse_json(text))
        case Format.JSON_LINES:
            return _as_table(_parse_lines(text))


def _parse_separated(text: str, separator: str) -> Table:
    reader = csv.reader(text.splitlines(keepends=True), delimiter=separator, strict=True)
    try:
        rows = [tuple(row) for row in reader]
    except csv.Error as error:
        kind = UnfinishedDataError if str(error) == _ENDS_TOO_EARLY else BrokenDataError
        raise kind(f"line {reader.line_num}: {error}") from error
    if not rows:
        raise BrokenDataError("it is empty")
    return Table(rows[0], tuple(rows[1:]))


def _parse_lines(text: str) -> list[Any]:
    records: list[Any] = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            records.append(_parse_json(line))
        except UnfinishedDataError as error:
            is_last = number == len(text.splitlines())
            raise (UnfinishedDataError if is_last else BrokenDataError)(f"line {number}: {error}") from error
        except BrokenDataError as error:
            raise BrokenDataError(f"line {number}: {error}") from error
    return records


def _parse_json(text: str) -> Any:
    if not text.strip():
        raise BrokenDataError("it is empty")
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_with_distinct_keys)
    except json.JSONDecodeError as error:
        kind = UnfinishedDataError if _is_at_the_end(error) else BrokenDataError
        raise kind(f"{error.msg} (line {error.lineno}, column {error.colno})") from error
    except RecursionError as error:
        raise BrokenDataError("it nests too deeply") from error


def _is_at_the_end(error: json.JSONDecodeError) -> bool:
    return error.msg.startswith("Unterminated string") or error.pos >= len(error.doc.rstrip())


def _refuse_constant(constant: str) -> Never:
    raise BrokenDataError(f"{constant} is no value of JSON")


def _with_distinct_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        raise BrokenDataError(f"a key is there twice: {next(key for key in keys if keys.count(key) > 1)!r}")
    return record


def _as_table(data: Any) -> Table:
    """A list of objects as rows; a single object as one row. A row lacks what its object lacks."""
    items = as_items(data)
    records = [item for item in items if is_object(item)]
    if len(records) < len(items):
        raise BrokenDataError("it is neither an object nor a list of objects")
    columns = columns_of(records)
    return Table(columns, tuple(tuple(record[key] for key in columns if key in record) for record in records))
