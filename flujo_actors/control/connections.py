"""One end of a connection: who is at the other, and the lines that come from there."""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

import trio

_CREDENTIALS: Final = struct.Struct("3i")
"""Linux's `struct ucred`: process, user and group."""

_PORTION: Final = 64 * 1024
"""Bytes that are taken from the connection at once."""


class LineTooLongError(Exception):
    """The other side has sent more without an end of line than a line may have."""


class LineReader:
    """Reads lines from a stream, and holds no more of it in memory than a line may have and one portion."""

    def __init__(self, stream: trio.abc.ReceiveStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._read = bytearray()

    async def line(self) -> bytes | None:
        """The next line without its end; `None` when the other side sends no more. A checkpoint if it has to wait.

        Raises:
            LineTooLongError: it is longer than the limit.
            trio.BrokenResourceError: the connection broke.
        """
        searched = 0
        while (end := self._read.find(b"\n", searched)) < 0:
            searched = len(self._read)
            if searched > self._limit:
                raise LineTooLongError
            portion = await self._stream.receive_some(_PORTION)
            if not portion:
                return None
            self._read += portion
        if end > self._limit:
            raise LineTooLongError
        line = bytes(self._read[:end])
        del self._read[: end + 1]
        return line


def is_of_this_user(stream: trio.SocketStream) -> bool:
    """Whether the process at the other end belongs to this user. Taken for granted where the platform does not say.

    The private folder keeps others out. This is for the case that somebody has found a way around it.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(credentials)
    return bool(user == os.geteuid())
