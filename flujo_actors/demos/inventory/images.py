"""The size of a PNG, JPEG or GIF image, from its header alone.

PNG: W3C, "Portable Network Graphics (PNG) Specification", 11.2.2. GIF: CompuServe, "Graphics Interchange Format,
Version 89a", 18. JPEG: ITU-T T.81, annex B: segments that each tell their length, of which the frame header has the
size.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

import attrs

from flujo_actors.demos.files.reading import File, ReadingError, open_file

_STANDALONE: Final = frozenset([0x01, *range(0xD0, 0xD8)])
"""JPEG markers without a segment."""
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_END_OF_HEADERS: Final = frozenset([0xD9, 0xDA])


@attrs.frozen
class ImageFinding:
    """An image, as its header tells."""

    format: str
    """`PNG`, `JPEG` or `GIF`."""
    width: int
    """In pixels."""
    height: int
    """In pixels."""

    @property
    def in_words(self) -> str:
        """All of it."""
        return f"{self.format}, {self.width:,} x {self.height:,} pixels"


def examine_image(file: File) -> ImageFinding:
    """Read an image's header. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read, is no such image, or ends too early.
    """
    with open_file(file) as opened:
        try:
            found = _examine(opened)
        except struct.error:
            raise ReadingError(file.name, "ends in the middle of the image's header") from None
    if found is None:
        raise ReadingError(file.name, "is not a PNG, JPEG or GIF image")
    return found


def _examine(opened: BinaryIO) -> ImageFinding | None:
    beginning = opened.read(6)
    if beginning.startswith(b"\x89PNG\r\n"):
        opened.seek(16)
        return ImageFinding("PNG", *_numbers(opened, ">II"))
    if beginning.startswith(b"GIF8"):
        return ImageFinding("GIF", *_numbers(opened, "<HH"))
    if beginning.startswith(b"\xff\xd8"):
        opened.seek(2)
        return _examine_jpeg(opened)
    return None


def _examine_jpeg(opened: BinaryIO) -> ImageFinding | None:
    while (marker := _next_marker(opened)) not in _END_OF_HEADERS:
        if marker is None:
            return None
        if marker in _STANDALONE:
            continue
        (length,) = _numbers(opened, ">H")
        if marker in _FRAME_HEADERS:
            _, height, width = _numbers(opened, ">BHH")
            return ImageFinding("JPEG", width, height)
        opened.seek(length - 2, 1)
    return None


def _next_marker(opened: BinaryIO) -> int | None:
    """The marker that follows, which any number of 0xFF may precede; `None` when none does."""
    (sign,) = _numbers(opened, "B")
    if sign != 0xFF:
        return None
    while sign == 0xFF:
        (sign,) = _numbers(opened, "B")
    return sign


def _numbers(opened: BinaryIO, layout: str) -> tuple[int, ...]:
    return struct.unpack(layout, opened.read(struct.calcsize(layout)))
