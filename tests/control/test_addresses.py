"""Where control sockets are: private, found through the database, and cleaned up after dead processes."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from flujo_actors.control import addresses
from flujo_actors.control.addresses import find_addresses, folders, open_listener, problem_of
from flujo_actors.errors import ControlUnavailableError

only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to another user")

DIE_LISTENING = """
import os, signal, sys
from pathlib import Path
from flujo_actors.control.addresses import open_listener
listener, path = open_listener(Path(sys.argv[1]))
os.kill(os.getpid(), signal.SIGKILL)
"""

DIE_BEFORE_LISTENING = """
import os, signal, socket, sys
from pathlib import Path
from flujo_actors.control.addresses import open_listener
socket.socket.listen = lambda *arguments: os.kill(os.getpid(), signal.SIGKILL)
open_listener(Path(sys.argv[1]))
"""


@pytest.fixture
def folder(session_folder: Path) -> Path:
    """The first place for sockets."""
    return session_folder / "flujo"


@pytest.fixture
def only_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place for sockets."""
    monkeypatch.setattr(addresses, "folders", lambda: (folder,))
    return folder


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


class TestFolders:
    def test_the_session_s_folder_comes_first(self, session_folder: Path) -> None:
        assert folders()[0] == session_folder / "flujo"

    @pytest.mark.parametrize("session", ["", "relative/path"])
    def test_without_a_session_there_are_places_still(self, session: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", session)
        assert [str(each) for each in folders()] == [f"/run/user/{os.geteuid()}/flujo", f"/tmp/flujo-{os.geteuid()}"]  # noqa: S108

    def test_a_place_is_looked_into_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_RUNTIME_DIR", f"/run/user/{os.geteuid()}")
        assert len(folders()) == 2


class TestOpening:
    def test_the_socket_and_its_folder_are_the_user_s_alone_whatever_the_umask(
        self, database: Path, folder: Path
    ) -> None:
        before = os.umask(0)
        try:
            listener, path = open_listener(database)
        finally:
            os.umask(before)
        with listener:
            assert (mode_of(folder), mode_of(path)) == (0o700, 0o600)
            assert stat.S_ISSOCK(path.lstat().st_mode)

    def test_whoever_sees_the_socket_can_connect_at_once(
        self, database: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[list[str], int]] = []
        listen = socket.socket.listen

        def look_first(self: socket.socket, backlog: int) -> None:
            (bound,) = folder.iterdir()
            seen.append(([each.path.name for each in find_addresses(database).addresses], mode_of(bound)))
            listen(self, backlog)

        monkeypatch.setattr(socket.socket, "listen", look_first)
        listener, path = open_listener(database)
        with listener:
            assert seen == [([], 0o600)]
            assert [each.path for each in find_addresses(database).addresses] == [path]

    def test_a_folder_that_is_there_already_is_used_again(self, database: Path, only_folder: Path) -> None:
        with ExitStack() as stack:
            paths = {open_listener(database) for _ in range(3)}
            for listener, _ in paths:
                stack.enter_context(listener)
            assert {path for _, path in paths} == {each.path for each in find_addresses(database).addresses}

    def test_a_place_with_too_long_a_path_is_passed_over(
        self, database: Path, session_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        long = session_folder / ("x" * 80)
        long.mkdir()
        monkeypatch.setattr(addresses, "folders", lambda: (long / "flujo", folder))
        listener, path = open_listener(database)
        with listener:
            assert path.parent == folder
        monkeypatch.setattr(addresses, "folders", lambda: (long / "flujo",))
        with pytest.raises(ControlUnavailableError, match="is too long a path for a socket"):
            open_listener(database)

    def test_a_place_that_is_not_there_is_passed_over(
        self, database: Path, session_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(addresses, "folders", lambda: (session_folder / "missing" / "flujo",))
        with pytest.raises(ControlUnavailableError, match="missing/flujo: No such file or directory"):
            open_listener(database)

    def test_a_socket_that_cannot_listen_leaves_nothing(
        self, database: Path, only_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(self: socket.socket, backlog: int) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr(socket.socket, "listen", fail)
        with pytest.raises(ControlUnavailableError, match="Too many open files"):
            open_listener(database)
        assert list(only_folder.iterdir()) == []


def open_to_the_group(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    folder.chmod(0o750)


def link(folder: Path) -> None:
    target = folder.with_name("elsewhere")
    target.mkdir(mode=0o700)
    folder.symlink_to(target)


def file(folder: Path) -> None:
    folder.write_text("")


def of_another_user(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)


def in_a_folder_that_others_may_change(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    folder.parent.chmod(0o777)


def in_a_folder_of_another_user(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    os.chown(folder.parent, 65534, 65534)
    folder.parent.chmod(0o1777)


class TestFoldersThatAreNotPrivate:
    @pytest.mark.parametrize(
        ("make", "problem"),
        [
            (open_to_the_group, "is open to other users (mode 0750); `chmod 700 "),
            (link, "is not a folder"),
            (file, "is not a folder"),
            pytest.param(of_another_user, "belongs to another user", marks=only_as_root),
            (in_a_folder_that_others_may_change, "lies in a folder that other users may change"),
            pytest.param(in_a_folder_of_another_user, "lies in a folder of another user", marks=only_as_root),
        ],
    )
    def test_they_are_neither_written_to_nor_read_from(
        self, make: Callable[[Path], None], problem: str, only_folder: Path, database: Path
    ) -> None:
        make(only_folder)
        with pytest.raises(ControlUnavailableError) as caught:
            open_listener(database)
        assert problem in str(caught.value)
        found = find_addresses(database)
        assert found.addresses == ()
        assert [problem in each for each in found.problems] == [True]
        assert not only_folder.is_dir() or list(only_folder.iterdir()) == []

    def test_a_folder_where_only_owners_may_rename_is_no_danger(self, only_folder: Path) -> None:
        only_folder.mkdir(mode=0o700)
        only_folder.parent.chmod(0o1777)
        assert problem_of(only_folder) is None

    def test_there_is_another_place(
        self, database: Path, session_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        open_to_the_group(session_folder / "open")
        monkeypatch.setattr(addresses, "folders", lambda: (session_folder / "open", folder))
        listener, path = open_listener(database)
        with listener:
            assert path.parent == folder
            found = find_addresses(database)
        assert [each.path for each in found.addresses] == [path]
        assert len(found.problems) == 1


class TestFinding:
    def test_a_database_is_the_same_however_its_path_is_written(
        self, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "link.db").symlink_to(database)
        (tmp_path / "folder").mkdir()
        monkeypatch.chdir(tmp_path)
        listener, path = open_listener(database)
        with listener:
            for other in (Path("runs.db"), tmp_path / "link.db", tmp_path / "folder" / ".." / "runs.db"):
                (address,) = find_addresses(other).addresses
                assert (address.path, address.pid) == (path, os.getpid())

    def test_databases_do_not_see_each_other_s(self, database: Path, tmp_path: Path) -> None:
        listener, _ = open_listener(database)
        with listener:
            assert find_addresses(tmp_path / "other.db").addresses == ()

    def test_where_nothing_was_ever_opened_nothing_is_found_and_nothing_made(
        self, database: Path, session_folder: Path
    ) -> None:
        assert find_addresses(database).addresses == ()
        assert list(session_folder.iterdir()) == []


class TestDeadProcesses:
    @pytest.mark.parametrize("script", [DIE_LISTENING, DIE_BEFORE_LISTENING])
    def test_what_one_has_left_is_removed_by_who_looks(self, script: str, database: Path, folder: Path) -> None:
        subprocess.run([sys.executable, "-c", script, str(database)], check=False)
        assert len(list(folder.iterdir())) == 1
        assert find_addresses(database).addresses == ()
        assert list(folder.iterdir()) == []

    def test_what_one_has_left_is_removed_by_who_opens_even_for_another_database(
        self, database: Path, tmp_path: Path, folder: Path
    ) -> None:
        subprocess.run([sys.executable, "-c", DIE_LISTENING, str(database)], check=False)
        listener, path = open_listener(tmp_path / "other.db")
        with listener:
            assert list(folder.iterdir()) == [path]

    def test_a_living_process_keeps_its_socket_also_while_it_refuses(self, database: Path, folder: Path) -> None:
        listener, path = open_listener(database)
        listener.close()
        assert [each.path for each in find_addresses(database).addresses] == [path]

    def test_a_socket_that_listens_stays_though_its_process_is_not_to_be_seen_from_here(
        self, database: Path, folder: Path
    ) -> None:
        """As that of a process in a container, which has another number there."""
        with subprocess.Popen([sys.executable, "-c", ""]) as gone:
            pass
        listener, path = open_listener(database)
        with listener:
            elsewhere = path.rename(path.with_name(path.name.replace(f"-{os.getpid()}-", f"-{gone.pid}-")))
            assert [each.path for each in find_addresses(database).addresses] == [elsewhere]

    def test_files_of_other_names_are_left_alone(self, database: Path, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        (folder / "notes.txt").write_text("mine")
        (folder / "0123456789abcdef-1-zzz.sock").write_text("mine")
        find_addresses(database)
        assert len(list(folder.iterdir())) == 2
