"""Leaving a terminal as it was found."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

from rich.console import Console

SHOW_CURSOR: Final = b"\x1b[?25h\n"
"""What gives a terminal its cursor back, which a live picture has hidden."""

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP)
"""What ends a process without anything being raised in it."""


@contextmanager
def cursor_given_back(console: Console) -> Generator[None]:
    """A block that draws live on a terminal: a signal that ends the process gives it its cursor back first.

    When something is raised, the live picture sees to that itself.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        del frame
        with suppress(OSError):  # after SIGHUP there may be no terminal any more
            os.write(console.file.fileno(), SHOW_CURSOR)
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    # One that is ignored, as `nohup` has it, stays so.
    replaced = [number for number in _ENDING if console.is_terminal and signal.getsignal(number) is signal.SIG_DFL]
    for number in replaced:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number in replaced:
            signal.signal(number, signal.SIG_DFL)
