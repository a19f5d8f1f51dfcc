"""Which files this process has open, so that a test can say that it left none."""

from __future__ import annotations

from pathlib import Path
from typing import Final

LISTED: Final = Path("/proc/self/fd")
"""Where the kernel lists a process's descriptors, if it does."""


def open_descriptors() -> set[tuple[str, str]]:
    """The number of each descriptor, and what it is open on; none where the kernel does not say.

    What an earlier test left behind may be closed at any moment, so ask which ones are new rather than how many there
    are.
    """
    if not LISTED.exists():
        return set()
    found: set[tuple[str, str]] = set()
    for link in list(LISTED.iterdir()):
        try:
            found.add((link.name, str(link.readlink())))
        except FileNotFoundError:
            """It was that of the listing, or has been closed meanwhile."""
    return found
