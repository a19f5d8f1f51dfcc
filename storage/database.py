"""One SQLite file that threads share: one connection, one lock, transactions that nest."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from flujo_actors.errors import DatabaseFailedError, DatabaseLockedError
from flujo_actors.storage.opening import open_connection, problem_of

Row: TypeAlias = Sequence[Any]


class Database:
    """The connection to one file, made when it is needed first.

    Text that UTF-8 does not know, the halves of surrogate pairs, is stored as bytes and comes back as text.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self._read_only = read_only
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._depth = 0
        """How many transactions are open, each inside the one before."""

    def open(self) -> sqlite3.Connection:
        """The connection, made now if there is none.

        Raises:
            DatabaseUnusableError: it cannot be made.
        """
        with self._lock:
            if self._connection is None:
                self._connection = open_connection(self.path, read_only=self._read_only)
            return self._connection

    def close(self) -> None:
        """Close the connection, if there is one."""
        with self._lock:
            if self._depth:
                raise DatabaseFailedError(self.path, "it cannot be closed inside a transaction")
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """See `StateBackend.transaction`."""
        with self._lock:
            inner = self._depth > 0
            self.execute("SAVEPOINT inner" if inner else "BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                self.execute("RELEASE inner" if inner else "COMMIT")
            except BaseException:
                self._roll_back(inner=inner)
                raise
            finally:
                self._depth -= 1

    @contextlib.contextmanager
    def snapshot(self) -> Generator[None]:
        """Read several times from one state of the file, whatever other processes write meanwhile."""
        with self._lock:
            if self.open().in_transaction:
                yield
                return
            self.execute("BEGIN")
            try:
                yield
            finally:
                self.execute("ROLLBACK")

    def execute(self, sql: str, parameters: Row = ()) -> int:
        """Execute one statement. Says how many rows it changed.

        Raises:
            DatabaseFailedError: SQLite refused.
        """
        with self._used() as connection:
            try:
                return connection.execute(sql, parameters).rowcount
            except UnicodeEncodeError:
                return connection.execute(sql, _storable(parameters)).rowcount

    def execute_many(self, sql: str, rows: Sequence[Row]) -> None:
        """Execute a statement for each row. To do it again for a row must do no harm.

        Raises:
            DatabaseFailedError: SQLite refused.
        """
        with self._used() as connection:
            try:
                connection.executemany(sql, rows)
            except UnicodeEncodeError:
                connection.executemany(sql, map(_storable, rows))

    def rows(self, sql: str, parameters: Row = ()) -> list[Row]:
        """The rows that a query gives.

        Raises:
            DatabaseFailedError: SQLite refused.
        """
        with self._used() as connection:
            try:
                found = connection.execute(sql, parameters).fetchall()
            except UnicodeEncodeError:
                found = connection.execute(sql, _storable(parameters)).fetchall()
        return [_readable(row) for row in found]

    @contextlib.contextmanager
    def _used(self) -> Generator[sqlite3.Connection]:
        """The connection, locked for one use, with SQLite's errors turned into ours."""
        with self._lock:
            connection = self.open()
            # After some errors, a full disk for one, SQLite has rolled back on its own. What the block executes
            # after it caught such an error must not stand alone.
            if self._depth and not connection.in_transaction:
                raise DatabaseFailedError(self.path, "an error inside this transaction has rolled it back")
            try:
                yield connection
            except sqlite3.Error as error:
                busy = getattr(error, "sqlite_errorcode", None) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
                kind = DatabaseLockedError if busy else DatabaseFailedError
                raise kind(self.path, problem_of(error)) from error

    def _roll_back(self, *, inner: bool) -> None:
        if not self.open().in_transaction:
            return
        if inner:
            self.execute("ROLLBACK TO inner")
        self.execute("RELEASE inner" if inner else "ROLLBACK")


def _storable(row: Row) -> Row:
    return [_storable_text(value) if isinstance(value, str) else value for value in row]


def _storable_text(text: str) -> str | bytes:
    data = text.encode("utf-8", "surrogatepass")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _readable(row: Row) -> Row:
    """The row with text where bytes stand: nothing else is stored as bytes."""
    if bytes not in map(type, row):
        return row
    return [value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value for value in row]
