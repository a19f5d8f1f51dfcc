"""One SQLite file that threads share: one connection, one lock, transactions that nest."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import sqlite3
import threading
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from flujo_actors.errors import DatabaseFailedError, DatabaseLockedError
from flujo_actors.storage.journal import Journal
from flujo_actors.storage.opening import journal_of, open_connection, problem_of

Row: TypeAlias = Sequence[Any]

_LOCKED: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

_HARMLESS: Final = (*_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG)
"""The errors after which a connection is as good as before. After others, of a damaged file for instance, it may not
notice that what was wrong has been put right."""

_PAGES_AT_ONCE: Final = 500
"""Pages that are given back in one transaction."""

ROWS_AT_ONCE: Final = 256
"""How many rows one statement inserts. Each statement lets go of the interpreter's lock, and while the event loop is
busy gets it back only after a switch interval, 5 ms: with a statement for each row a busy program would store some
two hundred spans in a second."""


class Database:
    """The connection to one file, made when it is needed first.

    Text that UTF-8 does not know, the halves of surrogate pairs, is stored as bytes and comes back as text.
    """

    def __init__(self, path: Path, *, read_only: bool, lock_timeout: float) -> None:
        self.path = path
        self._read_only = read_only
        self._lock_timeout = lock_timeout
        self._journal = Journal(path, lock_timeout)
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        """The file that the connection has open, whatever is at its path now."""
        self._journal_file: tuple[int, int] | None = None
        """The same of its journal."""
        self._is_doubtful = False
        """Whether something has happened after which the connection should be made anew."""
        self._depth = 0
        """How many transactions are open, each inside the one before."""

    def open(self) -> sqlite3.Connection:
        """The connection, made now if there is none.

        Raises:
            DatabaseUnusableError: it cannot be made.
        """
        with self._lock:
            if self._connection is None:
                self._connection = open_connection(
                    self.path, read_only=self._read_only, lock_timeout=self._lock_timeout
                )
                self._file = _file_at(self.path)
                self._journal_file = _file_at(journal_of(self.path))
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
            with self._renewed_if_doubtful():
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
                if not inner:
                    self._check_that_it_is_there()
                    self._look_after_journal(self.open())

    @contextlib.contextmanager
    def statement(self) -> Generator[None]:
        """A transaction for one statement: inside another transaction it is all or nothing by itself."""
        with self._lock:
            if self._depth:
                yield
            else:
                with self.transaction():
                    yield

    @contextlib.contextmanager
    def snapshot(self) -> Generator[None]:
        """Read several times from one state of the file, whatever other processes write meanwhile.

        What is read should be worked on afterwards: as long as somebody reads from an old state, the journal grows.
        """
        with self._lock, self._renewed_if_doubtful():
            if self.open().in_transaction:
                yield
                return
            self.execute("BEGIN")
            try:
                yield
            finally:
                self._roll_back(inner=False)

    @contextlib.contextmanager
    def pausing(self) -> Generator[None]:
        """Do one of many transactions, then wait for as long as it took, so that others may write.

        Who wants to write asks for the lock from time to time, and would miss a gap that is too short.
        """
        begun = time.monotonic()
        yield
        if not self._depth:
            time.sleep(time.monotonic() - begun)

    def shrink(self) -> None:
        """Give what is free in the file back to the disk, step by step; some of it, when others are in the way."""
        before, free = math.inf, self._free_pages()
        if not free:
            return
        with contextlib.suppress(DatabaseLockedError):
            while 0 < free < before:
                with self.pausing():
                    self.rows(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
                before, free = free, self._free_pages()
        with self._lock:
            self._journal.begin_anew(self.open())

    def _free_pages(self) -> int:
        count: int = self.rows("PRAGMA freelist_count")[0][0]
        return count

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

    def insert(self, statement: str, rows: Sequence[Row]) -> int:
        """Insert rows.

        Args:
            statement: up to and without VALUES.
            rows: of the same length each, at least one and no more than `ROWS_AT_ONCE`.

        Returns:
            The number that the last row has got. Those before it have those before.

        Raises:
            DatabaseFailedError: SQLite refused.
        """
        start, last = 0, 0
        with self._used() as connection:
            while count := len(rows) - start:
                # Few different counts, so that SQLite need not compile many statements.
                size = 2 ** (count.bit_length() - 1)
                sql = _insertion(statement, len(rows[0]), size)
                values = list(itertools.chain.from_iterable(rows[start : start + size]))
                start += size
                try:
                    last = connection.execute(sql, values).lastrowid or 0
                except UnicodeEncodeError:
                    last = connection.execute(sql, _storable(values)).lastrowid or 0
        return last

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
                code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # the low byte is the kind of error
                self._is_doubtful = self._is_doubtful or code not in _HARMLESS
                kind = DatabaseLockedError if code in _LOCKED else DatabaseFailedError
                raise kind(self.path, problem_of(error, self._lock_timeout)) from error

    @contextlib.contextmanager
    def _renewed_if_doubtful(self) -> Generator[None]:
        """Close the connection after an outermost block in which it became doubtful: the next use makes a new one."""
        try:
            yield
        finally:
            if self._is_doubtful and not self._depth:
                self._is_doubtful = False
                self.close()

    def _check_that_it_is_there(self) -> None:
        """Notice that the file was removed or replaced: SQLite would go on writing to what nobody will find.

        Raises:
            DatabaseFailedError: it was. The next use opens, or creates, what is at its path.
        """
        if _file_at(self.path) != self._file:
            self._is_doubtful = True
            raise DatabaseFailedError(self.path, "it was removed or replaced while it was in use")

    def _look_after_journal(self, connection: sqlite3.Connection) -> None:
        """Keep the journal small. If it was removed, save what is in it, which nobody else can find."""
        if _file_at(journal_of(self.path)) == self._journal_file:
            self._journal.keep_small(connection)
        elif self._journal.begin_anew(connection):
            self._is_doubtful = True

    def _roll_back(self, *, inner: bool) -> None:
        if not self.open().in_transaction:
            return
        if inner:
            self.execute("ROLLBACK TO inner")
        self.execute("RELEASE inner" if inner else "ROLLBACK")


@functools.lru_cache
def _insertion(statement: str, columns: int, rows: int) -> str:
    row = f"({','.join('?' * columns)})"
    return f"{statement} VALUES {','.join([row] * rows)}"


def _file_at(path: Path) -> tuple[int, int] | None:
    """Which file is at a path, `None` when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


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
