"""SQLite databases: their tables, and how many rows each has."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from urllib.parse import quote

import attrs

from flujo_actors.demos.files.reading import File, ReadingError
from flujo_actors.demos.printing import count


@attrs.frozen
class DatabaseFinding:
    """What a database is made of."""

    rows: dict[str, int]
    """By table."""

    @property
    def in_words(self) -> str:
        """Tables and rows."""
        tables = ", ".join(f"{name} {rows:,}" for name, rows in self.rows.items())
        return f"{count(len(self.rows), 'table')}, rows: {tables}" if self.rows else "no tables"


def examine_database(file: File) -> DatabaseFinding:
    """Count the rows of a SQLite database. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read, or is damaged.
    """
    # Immutable: nothing is locked, and no file appears beside it. What another program has not yet moved from its
    # write-ahead log into the database is not seen.
    address = f"file:{quote(str(file.path))}?mode=ro&immutable=1"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            return DatabaseFinding(_count_rows(database))
    except sqlite3.Error as error:
        raise ReadingError(file.name, f"is not a sound SQLite database: {error}") from error


def _count_rows(database: sqlite3.Connection) -> dict[str, int]:
    listed = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    quoted = {name: name.replace('"', '""') for (name,) in listed.fetchall()}
    return {
        name: database.execute(f'SELECT count(*) FROM "{safe}"').fetchone()[0]  # noqa: S608 - quoted above
        for name, safe in quoted.items()
    }
