"""Finding the documents in a folder.

Links to files and folders inside it are listed, never followed: what they lead to is counted where it is, and no loop
can arise. Whatever cannot be looked into becomes a note; only the place that was asked for must be there.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath
from typing import Final

import attrs
import trio

from flujo_actors.demos.documents.markup import markup_of
from flujo_actors.demos.documents.reading import DocumentError, reason_of

FOREIGN_FOLDERS: Final = frozenset(["__pycache__", "node_modules", "site-packages", "venv"])
"""Folders that tools fill, with other people's documents among what they put there."""


@attrs.frozen
class Note:
    """A remark on a file or folder that is not in the report."""

    name: str
    """Its path below the report's folder, with `/` between its parts."""
    text: str
    """What to know about it."""


@attrs.frozen
class Selection:
    """What was found where the user asked for documents."""

    asked: str
    """The file or folder that was asked for."""
    folder: str
    """The folder that names are relative to, an absolute path."""
    names: tuple[str, ...]
    """The documents, as paths below `folder` with `/` between their parts, sorted."""
    is_one_file: bool = False
    """Whether a file was asked for by name."""
    unread: tuple[Note, ...] = ()
    """Files and folders that belong in the report and cannot be read."""
    left_out: tuple[Note, ...] = ()
    """Files and folders that are left out on purpose."""


async def select_documents(asked: str) -> Selection:
    """Find what to report on.

    Cancelled, it stops after the folder that is being listed.

    Args:
        asked: a file, whatever its suffix, or a folder, which is searched with all folders in it.

    Raises:
        DocumentError: there is no such file or folder, or it cannot be looked into.
    """
    path, mode = await trio.to_thread.run_sync(_look_up, asked, abandon_on_cancel=True)
    if stat.S_ISREG(mode):
        return Selection(asked, str(path.parent), (path.name,), is_one_file=True)
    if not stat.S_ISDIR(mode):
        raise DocumentError(asked, "is neither a file nor a folder")
    return (await _search(path, asked)).selection(asked)


@attrs.define
class _Found:
    """What was found so far."""

    folder: Path
    names: list[str] = attrs.Factory(list[str])
    waiting: list[str] = attrs.Factory(list[str])
    """Folders still to be looked into."""
    unread: list[Note] = attrs.Factory(list[Note])
    left_out: list[Note] = attrs.Factory(list[Note])

    def selection(self, asked: str) -> Selection:
        return Selection(
            asked,
            str(self.folder),
            tuple(sorted(self.names)),
            unread=tuple(sorted(self.unread, key=_by_name)),
            left_out=tuple(sorted(self.left_out, key=_by_name)),
        )

    def take(self, entry: os.DirEntry[str], name: str) -> None:
        """Put an entry of a folder where it belongs; what is neither a folder nor a document, nowhere."""
        shown = displayable(name)
        if entry.is_symlink():
            if markup_of(entry.name) or Path(entry).is_dir():
                self.left_out.append(Note(shown, "a link, not followed"))
        elif not entry.is_dir() and markup_of(entry.name) is None:
            return
        elif reason := _reason_to_leave_out(entry):
            self.left_out.append(Note(shown, reason))
        elif shown != name:
            self.unread.append(Note(shown, "has a name that is not valid text"))
        else:
            (self.waiting if entry.is_dir() else self.names).append(name)


async def _search(folder: Path, asked: str) -> _Found:
    found = _Found(folder, waiting=[""])
    while found.waiting:
        name = found.waiting.pop()
        try:
            await trio.to_thread.run_sync(_look_into, found, name)
        except OSError as error:
            if not name:
                raise DocumentError(asked, f"cannot be opened: {reason_of(error)}") from error
            found.unread.append(Note(name, f"cannot be opened: {reason_of(error)}"))
    return found


def _look_into(found: _Found, name: str) -> None:
    with os.scandir(found.folder / name) as entries:
        for entry in entries:
            found.take(entry, str(PurePosixPath(name, entry.name)))


def _reason_to_leave_out(entry: os.DirEntry[str]) -> str | None:
    if entry.name.startswith("."):
        return "hidden"
    if entry.is_dir():
        return "filled by a tool" if entry.name in FOREIGN_FOLDERS else None
    return None if entry.is_file() else "not a regular file"


def _look_up(asked: str) -> tuple[Path, int]:
    try:
        path = Path(asked).absolute()
        return path, path.stat().st_mode
    except FileNotFoundError:
        raise DocumentError(asked, "does not exist") from None
    except (OSError, ValueError) as error:
        raise DocumentError(asked, f"cannot be opened: {reason_of(error)}") from error


def displayable(name: str) -> str:
    """A file name as text that can be printed and stored: bytes that are no text in it become escapes."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _by_name(note: Note) -> str:
    return note.name
