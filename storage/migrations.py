"""The schema of the SQLite file, and how older files come to it.

`PRAGMA application_id` says that a file is ours, `PRAGMA user_version` how many migrations it has seen. Both
stand in the file's header and belong to transactions, so a migration and its record are one.
"""

from __future__ import annotations

import sqlite3
from typing import Final

APPLICATION_ID: Final = 0x464C554A
"""`FLUJ`: in the header of every file of ours."""

MIGRATIONS: Final[list[tuple[str, ...]]] = [
    (
        f"PRAGMA application_id = {APPLICATION_ID}",
        # total_tokens has no type: what exceeds 64 bits is stored as text, which a type INTEGER would round.
        """
        CREATE TABLE runs (
            id INTEGER PRIMARY KEY,
            run_id TEXT NOT NULL UNIQUE,
            status TEXT NOT NULL,
            pipeline TEXT NOT NULL,
            started_at REAL NOT NULL,
            ended_at REAL,
            total_cost_usd REAL NOT NULL,
            total_tokens NOT NULL,
            error TEXT,
            owner TEXT NOT NULL
        )
        """,
        "CREATE INDEX runs_by_start ON runs (started_at)",
        # Without row ids the spans of a run lie together, in one tree instead of a table and an index.
        """
        CREATE TABLE spans (
            run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
            span_id TEXT NOT NULL,
            parent_span_id TEXT,
            name TEXT NOT NULL,
            start_time REAL NOT NULL,
            end_time REAL,
            status TEXT NOT NULL,
            attributes TEXT NOT NULL,
            PRIMARY KEY (run, span_id)
        ) WITHOUT ROWID
        """,
    ),
    (
        # The spans in the order in which they come, and which stretches of them are whose: span_table says why.
        """
        CREATE TABLE arrived (
            id INTEGER PRIMARY KEY,
            run INTEGER NOT NULL,
            span_id TEXT NOT NULL,
            parent_span_id TEXT,
            name TEXT NOT NULL,
            start_time REAL NOT NULL,
            end_time REAL,
            status TEXT NOT NULL,
            attributes TEXT NOT NULL
        )
        """,
        """
        INSERT INTO arrived (run, span_id, parent_span_id, name, start_time, end_time, status, attributes)
        SELECT run, span_id, parent_span_id, name, start_time, end_time, status, attributes FROM spans ORDER BY run
        """,
        "DROP TABLE spans",
        "ALTER TABLE arrived RENAME TO spans",
        """
        CREATE TABLE segments (
            run INTEGER NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,
            PRIMARY KEY (run, first)
        ) WITHOUT ROWID
        """,
        "INSERT INTO segments SELECT run, min(id), max(id) FROM spans GROUP BY run",
    ),
]
"""What each migration executes. Published ones are never changed; new ones are added at the end."""


def version_of(connection: sqlite3.Connection) -> int:
    """How many migrations the file has seen."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file up to date, each migration in a transaction of its own.

    Raises:
        sqlite3.Error: a migration failed. The file is as the last one that did not fail left it.
    """
    while version_of(connection) < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            _apply_next(connection)
        except BaseException:
            if connection.in_transaction:  # after some errors, a full disk for one, SQLite has done it
                connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def _apply_next(connection: sqlite3.Connection) -> None:
    version = version_of(connection)  # again, under the lock: another process may have been faster
    if version < len(MIGRATIONS):
        for statement in MIGRATIONS[version]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version + 1}")
