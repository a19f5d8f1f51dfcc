"""Finding the files in a folder.

Links to files and folders inside it are listed, never followed: what they lead to is counted where it is, and no loop
can arise. Whatever cannot be looked into becomes a note; only the place that was asked for must be there.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Final

import attrs
import trio

from flujo_actors.demos.files.reading import File, ReadingError, reason_of

FOREIGN_FOLDERS: Final = frozenset(["__pycache__", "node_modules", "site-packages", "venv"])
"""Folders that tools fill, with other people's files."""


@attrs.frozen
class Note:
    """A remark on a file or folder that is left aside."""

    name: str
    """Its path below the folder that was asked for, with `/` between its parts."""
    text: str
    """What to know about it."""


@attrs.frozen
class Selection:
    """What was found where the user asked for files."""

    asked: str
    """The file or folder that was asked for."""
    folder: str
    """The folder that names are relative to, an absolute path."""
    names: tuple[str, ...]
    """The files, as paths below `folder` with `/` between their parts, sorted."""
    is_one_file: bool = False
    """Whether a file was asked for by name."""
    unread: tuple[Note, ...] = ()
    """Files and folders that belong here and cannot be read."""
    left_out: tuple[Note, ...] = ()
    """Files and folders that are left out on purpose."""

    @property
    def files(self) -> tuple[File, ...]:
        """The files, in the order of their names."""
        return tuple(File(self.folder, name) for name in self.names)


async def find_files(asked: str, is_wanted: Callable[[str], bool]) -> Selection:
    """Find the files to work on.

    Cancelled, it stops after the folder that is being listed.

    Args:
        asked: a file, which is taken whatever its name, or a folder, which is searched with all folders in it.
        is_wanted: whether a file in a folder is one to work on, by its name.

    Raises:
        ReadingError: there is no such file or folder, or it cannot be looked into.
    """
    path, mode = await trio.to_thread.run_sync(_look_up, asked, abandon_on_cancel=True)
    if stat.S_ISREG(mode):
        return Selection(asked, str(path.parent), (path.name,), is_one_file=True)
    if not stat.S_ISDIR(mode):
        raise ReadingError(asked, "is neither a file nor a folder")
    return (await _search(_Found(path, is_wanted, waiting=[""]), asked)).selection(asked)


async def find_file(asked: str) -> File:
    """Find the one file to work on.

    Raises:
        ReadingError: there is no such file, or it is a folder, a pipe or the like.
    """
    path, mode = await trio.to_thread.run_sync(_look_up, asked, abandon_on_cancel=True)
    if not stat.S_ISREG(mode):
        raise ReadingError(asked, "is a folder, not a file" if stat.S_ISDIR(mode) else "is not a regular file")
    return File(str(path.parent), path.name)


@attrs.define
class _Found:
    """What was found so far."""

    folder: Path
    is_wanted: Callable[[str], bool]
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
        """Put an entry of a folder where it belongs; what is neither a folder nor wanted, nowhere."""
        shown = displayable(name)
        if entry.is_symlink():
            if self.is_wanted(entry.name) or Path(entry).is_dir():
                self.left_out.append(Note(shown, "a link, not followed"))
        elif not entry.is_dir() and not self.is_wanted(entry.name):
            return
        elif reason := _reason_to_leave_out(entry):
            self.left_out.append(Note(shown, reason))
        elif shown != name:
            self.unread.append(Note(shown, "has a name that is not valid text"))
        else:
            (self.waiting if entry.is_dir() else self.names).append(name)


async def _search(found: _Found, asked: str) -> _Found:
    while found.waiting:
        name = found.waiting.pop()
        try:
            await trio.to_thread.run_sync(_look_into, found, name)
        except OSError as error:
            if not name:
                raise ReadingError(asked, f"cannot be opened: {reason_of(error)}") from error
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
        raise ReadingError(asked, "does not exist") from None
    except (OSError, ValueError) as error:
        raise ReadingError(asked, f"cannot be opened: {reason_of(error)}") from error


def displayable(name: str) -> str:
    """A file name as text that can be printed and stored: bytes that are no text in it become escapes."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _by_name(note: Note) -> str:
    return note.name
