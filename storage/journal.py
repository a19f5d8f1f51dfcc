"""Keeping SQLite's write-ahead journal small while others read.

What is committed is appended to the journal. From time to time SQLite copies it into the database, and begins the
journal anew when no reader needs what is in it. It tries that with each commit once the journal has about 8 MB, and
gives up when somebody is reading: where readers follow each other without a pause, it never comes to it. So from a
certain size on the writer waits for those who are reading at that moment; those who come meanwhile do not need the
journal any more.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from flujo_actors.storage.opening import journal_of

SIZE_TO_WAIT: Final = 32 * 2**20
"""Bytes from which on a writer waits for readers."""

WAIT: Final = 1.0
"""Seconds that it waits."""


class Journal:
    """The journal of one connection that writes."""

    def __init__(self, database: Path, lock_timeout: float) -> None:
        self._path = journal_of(database)
        self._lock_timeout = lock_timeout
        self._size_to_wait = SIZE_TO_WAIT

    def keep_small(self, connection: sqlite3.Connection) -> None:
        """Begin the journal anew if it is large, after a commit.

        Somebody who reads for longer than the writer waits is left alone until the journal has doubled.
        """
        size = self._size()
        if size < SIZE_TO_WAIT:
            self._size_to_wait = SIZE_TO_WAIT
        elif size >= self._size_to_wait:
            self._size_to_wait = SIZE_TO_WAIT if self.begin_anew(connection) else 2 * size

    def begin_anew(self, connection: sqlite3.Connection) -> bool:
        """Begin the journal anew, waiting a little for those who read. Says whether they have let it."""
        connection.execute(f"PRAGMA busy_timeout = {int(WAIT * 1000)}")
        try:
            (was_busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:  # what was committed is safe; what is wrong here shows with the next commit
            return False
        finally:
            connection.execute(f"PRAGMA busy_timeout = {int(self._lock_timeout * 1000)}")
        return not was_busy

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0
