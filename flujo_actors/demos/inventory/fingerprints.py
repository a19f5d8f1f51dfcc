"""The size of a file, and the SHA-256 of its content: two files with one fingerprint are copies."""

from __future__ import annotations

import hashlib

import attrs

from flujo_actors.demos.files.reading import File, open_file


@attrs.frozen
class Fingerprint:
    """What tells a file from others."""

    size: int
    """In bytes."""
    sha256: str
    """64 hexadecimal digits, as `sha256sum` prints them."""

    @property
    def in_words(self) -> str:
        """Nothing: the size stands in a column of its own."""
        return ""


def take_fingerprint(file: File) -> Fingerprint:
    """Read a file of any size, piece by piece. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read.
    """
    with open_file(file) as opened:
        digest = hashlib.file_digest(opened, "sha256")
        return Fingerprint(opened.tell(), digest.hexdigest())
