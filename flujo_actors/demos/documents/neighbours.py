"""What lies around the documents of a report, looked up on the disk when a link asks for it."""

from __future__ import annotations

from pathlib import Path

import attrs

from flujo_actors.demos.files.reading import File, ReadingError
from flujo_actors.demos.texts.documents import read_document
from flujo_actors.demos.texts.markup import Markup, markup_of
from flujo_actors.demos.texts.parsing import parse


@attrs.define
class Neighbours:
    """The files around a report's folder. Its methods block on the disk, so steps call them in a thread."""

    folder: str
    """The folder that paths are relative to."""
    known_anchors: dict[str, frozenset[str] | None]
    """The anchors of Markdown files by path: of those in the report, then of each other that was asked for."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder, or something that this user may not see."""
        try:
            Path(self.folder, path).stat()
        except PermissionError:
            return True
        except (OSError, ValueError):
            return False
        return True

    def anchors(self, path: str) -> frozenset[str] | None:
        """The anchors of a Markdown file, `None` for other files and for one that cannot be read."""
        if path not in self.known_anchors:
            self.known_anchors[path] = self._read_anchors(path)
        return self.known_anchors[path]

    def _read_anchors(self, path: str) -> frozenset[str] | None:
        if markup_of(path) is not Markup.MARKDOWN or not Path(self.folder, path).is_file():
            return None
        try:
            document = read_document(File(self.folder, path))
        except ReadingError:
            return None
        return parse(document.text, document.markup).anchors
