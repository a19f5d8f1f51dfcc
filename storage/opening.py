"""Opening an SQLite file: making it when it is missing, refusing it when it is not ours to use."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Final

from flujo_actors.errors import DatabaseUnusableError
from flujo_actors.storage.migrations import APPLICATION_ID, MIGRATIONS, migrate, version_of

JOURNAL_SIZE: Final = 16 * 2**20
"""Bytes that the journal keeps on the disk at the most while it is empty."""

_CREATING: Final = threading.Lock()

_NO_DATABASE: Final = "it is not an SQLite database; choose another path, or move the file away"

_SMALLEST_DATABASE: Final = 512
"""Bytes in the smallest page that SQLite knows. What has fewer it may take as empty, and write over it."""


def open_connection(path: Path, *, read_only: bool, lock_timeout: float) -> sqlite3.Connection:
    """A connection to the database at `path`, checked and up to date, for use in any thread.

    Args:
        path: the file.
        read_only: whether nothing will be written.
        lock_timeout: seconds to wait for another process that has locked the file, now and later.

    Raises:
        DatabaseUnusableError: it cannot be used. What was in the file is in it still.
    """
    try:
        if not read_only:
            _create_folders(path.parent)
            _create_file(path)
        _check_file(path, read_only=read_only)
        return _connect_to_read(path, lock_timeout) if read_only else _connect_to_write(path, lock_timeout)
    except OSError as error:
        raise DatabaseUnusableError(path, f"it cannot be opened: {error.strerror} ({error.filename})") from error
    except sqlite3.Error as error:
        raise DatabaseUnusableError(path, problem_of(error, lock_timeout)) from error


def problem_of(error: sqlite3.Error, lock_timeout: float) -> str:
    """What is wrong, for the user. `lock_timeout` is how long a lock was waited for, in seconds."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:  # the low byte is the kind, the rest says more than is needed
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return f"another process has locked it, and did not let go within {lock_timeout:g} s"
        case sqlite3.SQLITE_NOTADB:
            return _NO_DATABASE
        case sqlite3.SQLITE_READONLY:
            return f"it may only be read: {error}"
        case sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return f"it cannot be opened, see the permissions of the file and its folder: {error}"
        case _:
            return str(error)


def journal_of(path: Path) -> Path:
    """The file that SQLite writes what is new into, before it comes into the database."""
    return path.with_name(f"{path.name}-wal")


def _create_folders(folder: Path) -> None:
    """Create what is missing of a path of folders, for this user only."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o700, exist_ok=True)


def _create_file(path: Path) -> None:
    """Create the file, for this user only, unless it is there.

    SQLite would create it with the rights that the umask leaves, for a moment readable by everyone. The files
    it puts next to it later get the rights of this one.
    """
    # Closing any descriptor of a file drops all locks that the process has on it, those of SQLite too. So no other
    # thread may connect before the descriptor is closed, and a file that was there already is not touched.
    with _CREATING, contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _check_file(path: Path, *, read_only: bool) -> None:
    """Refuse what SQLite would report in words that help nobody."""
    if not path.exists():
        raise DatabaseUnusableError(path, "there is no such file")
    if not path.is_file():
        raise DatabaseUnusableError(path, f"it is {'a folder' if path.is_dir() else 'not a file'}")
    if 0 < path.stat().st_size < _SMALLEST_DATABASE:
        raise DatabaseUnusableError(path, _NO_DATABASE)
    if read_only:
        return
    if not _may_write(path):
        raise DatabaseUnusableError(path, "the file may not be written; open it with read_only=True to read it")
    if not _may_write(path.parent):
        raise DatabaseUnusableError(path, "its folder may not be written, and SQLite needs to put its journal there")


def _may_write(path: Path) -> bool:
    return os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _connect_to_write(path: Path, lock_timeout: float) -> sqlite3.Connection:
    # To change a new file's journal SQLite needs it alone, and says at once that it is busy instead of waiting. So
    # processes that create one file together try again.
    give_up_at = time.monotonic() + lock_timeout
    while True:
        try:
            return _try_to_connect_to_write(path, lock_timeout)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up_at:
                raise
        time.sleep(0.01)


def _try_to_connect_to_write(path: Path, lock_timeout: float) -> sqlite3.Connection:
    connection = _connect(path, "mode=rw", lock_timeout)
    with _closed_on_error(connection):
        _check_identity(connection, path)
        # These three are written into a new file, and do nothing to one that has tables. Pages of 8 KiB take a tenth
        # less time for a span than the usual 4. What is deleted can be given back to the disk step by step.
        connection.execute("PRAGMA page_size = 8192")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {JOURNAL_SIZE}")
        migrate(connection)
        return connection


def _connect_to_read(path: Path, lock_timeout: float) -> sqlite3.Connection:
    connection = _connect(path, _mode_to_read(path), lock_timeout)
    with _closed_on_error(connection):
        _check_identity(connection, path)
        if (version := version_of(connection)) < len(MIGRATIONS):
            raise DatabaseUnusableError(path, _why_too_old(version))
        return connection


def _why_too_old(version: int) -> str:
    if not version:
        return "it is empty; nothing was stored in it yet"
    return (
        f"its format {version} is older than {len(MIGRATIONS)}; it is brought up to date when it is opened to be "
        "written, as `flujo run` does"
    )


def _mode_to_read(path: Path) -> str:
    """How to read without getting into the way of who writes.

    Also a reader puts the index of the journal next to the file, with the file's rights. Where these are not to
    write, whoever writes later could not use it. So there the file is read alone, if there is no journal.
    """
    alone = not (_may_write(path) and _may_write(path.parent)) and not journal_of(path).exists()
    return "immutable=1" if alone else "mode=ro"


def _connect(path: Path, mode: str, lock_timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?{mode}", uri=True, timeout=lock_timeout, isolation_level=None, check_same_thread=False
    )


@contextlib.contextmanager
def _closed_on_error(connection: sqlite3.Connection) -> Generator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


def _check_identity(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse the databases of other programs and of newer versions. An empty one is as good as a new one."""
    # One state of the file, whatever another process makes of an empty one meanwhile.
    connection.execute("BEGIN")
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    version = version_of(connection)
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    connection.execute("ROLLBACK")
    if application_id != APPLICATION_ID and (application_id, version, tables) != (0, 0, 0):
        raise DatabaseUnusableError(path, "it is an SQLite database of another program; choose another path")
    if version > len(MIGRATIONS):
        raise DatabaseUnusableError(
            path, f"a newer flujo_actors wrote it, in format {version}; this one knows {len(MIGRATIONS)}. Upgrade it"
        )
