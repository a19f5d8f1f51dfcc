"""Where the control sockets of a database are.

Both sides work the place out from the database alone: `FOLDER/DATABASE-PID-RANDOM.sock`, where DATABASE is a digest of
the file's real path and FOLDER is private to the user. The names are short, because the path of a socket may have some
hundred bytes only, and a database may lie anywhere.

A folder that is not this user's alone is neither written to nor read from: who can put a file there could pose as a
run.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import attrs

from flujo_actors.errors import ControlUnavailableError

PATH_LIMIT: Final = 103
"""Bytes that the path of a socket may have, on the most frugal of the platforms (macOS; Linux takes 107)."""

BACKLOG: Final = 64
"""Clients that may wait to be met."""

_NAME: Final = re.compile(r"(?P<database>[0-9a-f]{16})-(?P<pid>[0-9]{1,10})-[0-9a-f]{8}\.(?:sock|new)")
_LONGEST_NAME: Final = len("/0123456789abcdef-4294967296-01234567.sock")


@attrs.frozen
class Address:
    """A control socket, of a process that is alive as far as can be seen."""

    path: Path
    pid: int
    """The process that serves it."""


@attrs.frozen
class Found:
    """The control sockets of a database."""

    addresses: tuple[Address, ...]
    problems: tuple[str, ...]
    """Why some folders were not looked into."""


def folders() -> tuple[Path, ...]:
    """Where sockets may be, the best place first.

    A process that was started without a session, by cron for instance, may have put its socket into a later one, so
    all of them have to be looked into.
    """
    user, session = os.geteuid(), os.environ.get("XDG_RUNTIME_DIR", "")
    sessions = [Path(session)] if session.startswith("/") else []
    places = [place / "flujo" for place in (*sessions, Path(f"/run/user/{user}"))]
    return tuple(dict.fromkeys([*places, Path(f"/tmp/flujo-{user}")]))  # noqa: S108 - checked before use


def find_addresses(database: Path) -> Found:
    """The sockets of all processes that serve this database. What dead processes have left is removed."""
    addresses: list[Address] = []
    problems: list[str] = []
    for folder in filter(os.path.lexists, folders()):
        try:
            problem = problem_of(folder)
            if problem is None:
                addresses += _addresses_in(folder, _digest(database))
                continue
        except OSError as error:
            problem = f"{folder}: {error.strerror}"
        problems.append(problem)
    return Found(tuple(addresses), tuple(problems))


def open_listener(database: Path) -> tuple[socket.socket, Path]:
    """A socket that listens for those who want to control the runs of this database, and where it is.

    Raises:
        ControlUnavailableError: no folder can be used.
    """
    problems: list[str] = []
    for folder in folders():
        try:
            problem = _prepare(folder)
            if problem is None:
                return _listen_in(folder, _digest(database))
        except OSError as error:
            problem = f"{folder}: {error.strerror}"
        problems.append(problem)
    raise ControlUnavailableError(tuple(problems))


def problem_of(folder: Path) -> str | None:
    """Why a folder is not private to this user; `None` when it is.

    Who may rename it may put another one in its place, so the folder around it counts too.
    """
    seen, around = folder.lstat(), folder.parent.stat()
    mode = stat.S_IMODE(seen.st_mode)
    if not stat.S_ISDIR(seen.st_mode):
        return f"{folder} is not a folder"
    if seen.st_uid != os.geteuid():
        return f"{folder} belongs to another user"
    if mode & 0o077:
        return f"{folder} is open to other users (mode {mode:04o}); `chmod 700 {folder}` closes it"
    if around.st_uid not in {0, os.geteuid()}:
        return f"{folder} lies in a folder of another user"
    if around.st_mode & 0o022 and not around.st_mode & stat.S_ISVTX:
        return f"{folder} lies in a folder that other users may change"
    return None


def _prepare(folder: Path) -> str | None:
    """Make the folder if need be. Says why it cannot be used, if so."""
    if len(os.fsencode(folder)) + _LONGEST_NAME > PATH_LIMIT:
        return f"{folder} is too long a path for a socket"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        problem = problem_of(folder)
        if problem is None:
            _sweep(folder)
        return problem
    return problem_of(folder)


def _listen_in(folder: Path, digest: str) -> tuple[socket.socket, Path]:
    """Bind under a name that nobody looks for: whoever finds the final one finds a socket that listens, mode 0600."""
    path = folder / f"{digest}-{os.getpid()}-{secrets.token_hex(4)}.sock"
    hidden = path.with_suffix(".new")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(os.fspath(hidden))
        hidden.chmod(0o600)
        listener.listen(BACKLOG)
        hidden.rename(path)
    except BaseException:
        listener.close()
        hidden.unlink(missing_ok=True)
        raise
    return listener, path


def _addresses_in(folder: Path, digest: str) -> list[Address]:
    return sorted(
        (
            Address(folder / name["name"], int(name["pid"]))
            for name in _sweep(folder)
            if name["database"] == digest and name["name"].endswith(".sock")
        ),
        key=lambda address: address.path,
    )


def _sweep(folder: Path) -> list[dict[str, str]]:
    """Remove what dead processes have left, of whatever database. Gives the names that stay, in their parts."""
    return [name for name in _names_in(folder) if not _remove_if_stale(folder / name["name"], int(name["pid"]))]


def _names_in(folder: Path) -> Iterator[dict[str, str]]:
    for entry in folder.iterdir():
        if match := _NAME.fullmatch(entry.name):
            yield {"name": entry.name, **match.groupdict()}


def _remove_if_stale(path: Path, pid: int) -> bool:
    """Neither sign is enough alone: containers count their processes on their own, and a full queue may refuse too."""
    if _exists(pid) or not _refuses(path):
        return False
    path.unlink(missing_ok=True)
    return True


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 is not sent, it asks
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _refuses(path: Path) -> bool:
    """Whether nobody listens there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(0)
        try:
            client.connect(os.fspath(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:
            return False
    return False


def _digest(database: Path) -> str:
    """What of a database stands in the names of its sockets: the same however its path was written."""
    return hashlib.sha256(os.fsencode(os.path.realpath(database))).hexdigest()[:16]
