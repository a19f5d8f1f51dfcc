"""Commands on a terminal of their own."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs

FLUJO: Final = (sys.executable, "-m", "flujo_actors")


@attrs.define
class Terminal:
    """A command that runs on a terminal."""

    process: subprocess.Popen[bytes]
    controller: int
    _decoder: codecs.IncrementalDecoder = attrs.Factory(codecs.getincrementaldecoder("utf-8"))
    shown: str = ""
    """Everything it has printed and was read so far, with the terminal's control sequences."""

    def read_until(self, text: str) -> None:
        """Read until a text was printed."""
        while text not in self.shown:
            assert self._read(), f"{text!r} was not printed: {self.shown!r}"

    def write(self, data: bytes) -> None:
        """Type something."""
        os.write(self.controller, data)

    def read_to_end(self) -> int:
        """Read until the command has ended. Gives its exit code."""
        while self._read():
            pass
        return self.process.wait()

    @property
    def text(self) -> str:
        """What was printed, without the control sequences."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.shown).replace("\r", "")

    def _read(self) -> bool:
        try:
            part = os.read(self.controller, 65536)
        except OSError:  # how Linux reports that the other end is closed
            return False
        self.shown += self._decoder.decode(part)  # a character may come in two parts
        return bool(part)


@contextmanager
def on_terminal(*words: str, folder: Path, columns: int = 100, rows: int = 30) -> Generator[Terminal]:
    """Run `flujo` on a terminal of some size. It is ended with the block, if it has not ended before."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = subprocess.Popen(
        [*FLUJO, *words],
        cwd=folder,
        env={**os.environ, "TERM": "xterm-256color"},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    os.close(terminal)
    try:
        yield Terminal(process, controller)
    finally:
        process.kill()
        process.wait()
        os.close(controller)
