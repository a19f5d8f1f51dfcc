"""What is SQLite's own: the file, its rights, its format, and everything that may be wrong with it."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from threading import Barrier
from typing import Final

import attrs
import pytest

from flujo_actors.errors import DatabaseFailedError, DatabaseUnusableError
from flujo_actors.spans import Span, SpanStatus
from flujo_actors.storage import RunRecord, SQLiteBackend, migrations, opening, sqlite
from flujo_actors.storage.owner import current_owner
from tests.storage.surroundings import bound_user, files_no_larger_than

RUN = RunRecord("run", SpanStatus.RUNNING, "orders", started_at=100.0)
ROOT = Span("00", None, "pipeline_run", 100.0, 109.0, SpanStatus.COMPLETED, {"kind": "Pipeline"})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


@pytest.fixture
def recorded(path: Path) -> Path:
    """A database with one run in it, closed."""
    record_one_run(path)
    return path


def record_one_run(path: Path) -> None:
    with SQLiteBackend(path) as backend:
        backend.record_run_start(RUN)
        backend.record_spans("run", [ROOT])


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestFile:
    def test_the_disk_is_not_touched_before_the_first_use(self, tmp_path: Path) -> None:
        backend = SQLiteBackend(tmp_path / "folder" / "runs.db")
        assert list(tmp_path.iterdir()) == []
        with closing(backend):
            assert backend.list_runs() == []
            assert backend.path.exists()

    def test_what_was_recorded_is_there_for_the_next_backend(self, recorded: Path) -> None:
        with SQLiteBackend(str(recorded)) as backend:
            assert backend.get_run("run") == RUN
            assert backend.get_trace("run") == ROOT.to_dict()

    def test_two_backends_use_one_file_at_the_same_time(self, path: Path) -> None:
        with SQLiteBackend(path) as writer, SQLiteBackend(path) as reader:
            writer.record_run_start(RUN)
            assert reader.get_run("run") == RUN
            assert reader.delete_run("run")
            assert writer.get_run("run") is None

    def test_only_the_owner_may_open_the_files(self, path: Path) -> None:
        before = os.umask(0)
        try:
            with SQLiteBackend(path) as backend:
                backend.record_run_start(RUN)
                modes = {file.name: mode_of(file) for file in path.parent.iterdir()}
        finally:
            os.umask(before)
        assert modes == {"runs.db": 0o600, "runs.db-wal": 0o600, "runs.db-shm": 0o600}

    def test_only_the_owner_may_enter_the_folders_that_are_created(self, tmp_path: Path) -> None:
        with SQLiteBackend(tmp_path / "a" / "b" / "runs.db"):
            assert mode_of(tmp_path / "a") == mode_of(tmp_path / "a" / "b") == 0o700

    def test_a_file_that_was_there_keeps_its_rights(self, path: Path) -> None:
        path.touch()
        path.chmod(0o640)
        record_one_run(path)
        assert mode_of(path) == 0o640

    def test_a_path_may_hold_any_character(self, tmp_path: Path) -> None:
        path = tmp_path / "what? 100%#é'.db"
        record_one_run(path)
        assert [file.name for file in tmp_path.iterdir()] == [path.name]

    def test_a_path_is_where_it_was_when_the_backend_was_made(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        backend = SQLiteBackend("runs.db")
        monkeypatch.chdir("/")
        with backend:
            assert (tmp_path / "runs.db").exists()

    def test_an_empty_file_is_as_good_as_none(self, path: Path) -> None:
        path.touch()
        record_one_run(path)
        with SQLiteBackend(path) as backend:
            assert backend.get_run("run") == RUN

    def test_backends_may_create_one_file_together(self, tmp_path: Path) -> None:
        together = Barrier(8)

        def create(place: int) -> None:
            for attempt in range(10):
                together.wait(timeout=60)
                with SQLiteBackend(tmp_path / f"{attempt}.db") as backend:
                    backend.record_run_start(RunRecord(f"{place}", SpanStatus.RUNNING, "orders", 1.0))

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(create, range(8)))
        for attempt in range(10):
            with SQLiteBackend(tmp_path / f"{attempt}.db") as backend:
                assert len(backend.list_runs()) == 8

    def test_backends_that_write_to_one_file_wait_for_each_other(self, recorded: Path) -> None:
        together = Barrier(2)

        def write(place: int) -> None:
            with SQLiteBackend(recorded) as backend:
                together.wait(timeout=60)
                for number in range(100):
                    with backend.transaction():
                        seen = len(backend.get_spans("run"))
                        backend.record_spans("run", [attrs.evolve(ROOT, span_id=f"{place}.{number}.{seen}")])

        with ThreadPoolExecutor(2) as threads:
            list(threads.map(write, range(2)))
        with SQLiteBackend(recorded) as backend:
            numbers = [span.span_id.split(".") for span in backend.get_spans("run") if span != ROOT]
        assert sorted(int(seen) for _, _, seen in numbers) == list(range(1, 201))


class TestUnusable:
    """A file that cannot be used is refused in words, and stays as it was."""

    def refuse(self, path: Path, words: str, *, read_only: bool = False, lock_timeout: float = 5.0) -> None:
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(DatabaseUnusableError, match=words) as caught:
            SQLiteBackend(path, read_only=read_only, lock_timeout=lock_timeout).open()
        assert (path.read_bytes() if path.is_file() else None) == before
        assert caught.value.path == path
        assert str(path) in str(caught.value)

    def test_a_folder(self, tmp_path: Path) -> None:
        self.refuse(tmp_path, "it is a folder")

    @pytest.mark.parametrize("content", [b"x", b"x" * 511, b"x" * 512, b"no database\n" * 1000], ids=len)
    def test_a_file_that_is_no_database(self, path: Path, content: bytes) -> None:
        path.write_bytes(content)
        self.refuse(path, "not an SQLite database")
        self.refuse(path, "not an SQLite database", read_only=True)

    @pytest.mark.parametrize(
        "statement", ["CREATE TABLE runs (id)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"]
    )
    def test_a_database_of_another_program(self, path: Path, statement: str) -> None:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(statement)
        self.refuse(path, "of another program")

    def test_a_database_of_a_newer_version(self, recorded: Path) -> None:
        with closing(sqlite3.connect(recorded)) as connection:
            connection.execute("PRAGMA user_version = 99")
        self.refuse(recorded, "newer flujo_actors.*format 99.*Upgrade")
        self.refuse(recorded, "newer flujo_actors", read_only=True)

    def test_a_path_through_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        self.refuse(tmp_path / "file" / "runs.db", "cannot be opened: Not a directory")
        self.refuse(tmp_path / "file" / "folder" / "runs.db", "cannot be opened: Not a directory")

    def test_a_link_to_nothing(self, path: Path) -> None:
        path.symlink_to(path.parent / "nothing")
        self.refuse(path, "no such file")

    def test_a_pipe(self, path: Path) -> None:
        os.mkfifo(path)
        self.refuse(path, "not a file")

    def test_a_database_that_another_process_keeps_locked(self, recorded: Path) -> None:
        with closing(sqlite3.connect(recorded, isolation_level=None)) as other:
            other.execute("PRAGMA locking_mode = EXCLUSIVE")
            other.execute("BEGIN EXCLUSIVE")
            self.refuse(recorded, r"another process has locked it.*0\.05 s", lock_timeout=0.05)

    def test_a_file_to_be_read_that_is_not_there_is_not_created(self, path: Path) -> None:
        self.refuse(path, "no such file", read_only=True)
        assert not path.exists()

    def test_a_file_to_be_read_that_is_empty(self, path: Path) -> None:
        path.touch()
        self.refuse(path, "it is empty", read_only=True)


class TestRights:
    """As a user whom the rights of files bind, which the superuser is not."""

    @pytest.fixture
    def path(self) -> Iterator[Path]:
        """In a folder that other users may enter, unlike pytest's own."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            yield folder / "runs.db"
            folder.chmod(0o755)

    def refuse(self, path: Path, words: str, *, read_only: bool = False) -> None:
        with bound_user(path.parent), pytest.raises(DatabaseUnusableError, match=words):
            SQLiteBackend(path, read_only=read_only).open()

    def test_a_file_that_may_only_be_read_is_refused(self, recorded: Path) -> None:
        recorded.chmod(0o444)
        self.refuse(recorded, "the file may not be written; open it with read_only=True")

    @pytest.mark.parametrize("folder_mode", [0o755, 0o555], ids=["folder to write", "folder to read"])
    def test_a_file_that_may_only_be_read_is_read(self, recorded: Path, folder_mode: int) -> None:
        recorded.chmod(0o444)
        recorded.parent.chmod(folder_mode)
        for _ in range(2):
            with bound_user(recorded.parent), SQLiteBackend(recorded, read_only=True) as backend:
                assert backend.get_trace("run") == ROOT.to_dict()

    def test_a_file_that_was_read_can_be_written_again(self, recorded: Path) -> None:
        recorded.chmod(0o444)
        with bound_user(recorded.parent), SQLiteBackend(recorded, read_only=True) as backend:
            assert backend.get_run("run") == RUN
        recorded.chmod(0o600)
        with bound_user(recorded.parent), SQLiteBackend(recorded) as backend:
            assert backend.delete_run("run")

    def test_a_file_that_may_not_be_read_is_refused(self, recorded: Path) -> None:
        recorded.chmod(0o000)
        self.refuse(recorded, "cannot be opened", read_only=True)

    def test_a_folder_that_may_only_be_read_is_refused(self, path: Path) -> None:
        path.parent.chmod(0o555)
        self.refuse(path, "cannot be opened: Permission denied")
        with bound_user(path.parent), pytest.raises(DatabaseUnusableError, match="Permission denied"):
            SQLiteBackend(path / "folder" / "runs.db").open()

    def test_a_file_in_a_folder_that_may_only_be_read_is_refused(self, recorded: Path) -> None:
        recorded.parent.chmod(0o555)
        self.refuse(recorded, "its folder may not be written")


class TestUse:
    def test_a_read_only_backend_reads_what_others_write(self, path: Path) -> None:
        with SQLiteBackend(path) as writer, SQLiteBackend(path, read_only=True) as reader:
            writer.record_run_start(RUN)
            assert reader.get_run("run") == RUN

    def test_a_read_only_backend_does_not_write(self, recorded: Path) -> None:
        with SQLiteBackend(recorded, read_only=True) as backend:
            with pytest.raises(DatabaseFailedError, match="may only be read"):
                backend.delete_run("run")
            assert backend.get_run("run") == RUN

    def test_an_error_of_sqlite_says_which_file_and_why(self, recorded: Path) -> None:
        backend = SQLiteBackend(recorded, lock_timeout=0.05)
        with backend, closing(sqlite3.connect(recorded, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseFailedError, match="another process has locked it") as caught:
                backend.delete_run("run")
            assert backend.get_run("run") == RUN
        assert caught.value.path == recorded
        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)

    def test_a_damaged_file_is_reported(self, recorded: Path) -> None:
        content = bytearray(recorded.read_bytes())
        content[4096:] = b"\xff" * len(content[4096:])
        recorded.write_bytes(content)
        with pytest.raises(DatabaseUnusableError, match="malformed"):
            SQLiteBackend(recorded).open()

    @pytest.mark.parametrize("count", [100, 1000], ids=["at the end", "in the middle"])
    def test_a_transaction_that_the_disk_has_no_room_for_leaves_nothing(self, path: Path, count: int) -> None:
        large = [Span(f"{number}", None, "x" * 10_000, 1.0, 2.0, SpanStatus.COMPLETED, {}) for number in range(count)]

        def write_all(backend: SQLiteBackend) -> None:
            with backend.transaction():
                with suppress(DatabaseFailedError):
                    backend.record_spans("run", large)
                backend.record_run_end(RunRecord("run", SpanStatus.COMPLETED, "orders", 100.0))

        with SQLiteBackend(path) as backend:
            backend.record_run_start(RUN)
            with files_no_larger_than(500_000), pytest.raises(DatabaseFailedError):
                write_all(backend)
            assert backend.get_run("run") == RUN
            assert backend.get_spans("run") == []
            backend.record_spans("run", large)
            assert len(backend.get_spans("run")) == count

    def test_the_error_of_the_caller_passes_as_it_is(self, path: Path) -> None:
        with SQLiteBackend(path) as backend, pytest.raises(sqlite3.Error, match="mine"), backend.transaction():
            raise sqlite3.Error("mine")

    def test_a_backend_is_not_closed_inside_a_transaction(self, path: Path) -> None:
        with SQLiteBackend(path) as backend:
            with backend.transaction():
                backend.record_run_start(RUN)
                with pytest.raises(DatabaseFailedError, match="inside a transaction"):
                    backend.close()
            assert backend.get_run("run") == RUN


@pytest.mark.parametrize("seconds", [-1, float("inf"), float("nan"), 3_000_000])
def test_a_lock_timeout_that_sqlite_cannot_count_is_refused(path: Path, seconds: float) -> None:
    with pytest.raises(ValueError, match="lock_timeout is 0 to 2,000,000 seconds, got"):
        SQLiteBackend(path, lock_timeout=seconds)


class TestMigrations:
    def test_an_older_file_is_brought_up_to_date_and_keeps_its_content(
        self, recorded: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        newer = [*migrations.MIGRATIONS, ("ALTER TABLE runs ADD COLUMN note TEXT",)]
        monkeypatch.setattr(migrations, "MIGRATIONS", newer)
        monkeypatch.setattr(opening, "MIGRATIONS", newer)
        with pytest.raises(DatabaseUnusableError, match="older"):
            SQLiteBackend(recorded, read_only=True).open()
        with SQLiteBackend(recorded) as backend:
            assert backend.get_run("run") == RUN
        with closing(sqlite3.connect(recorded)) as connection:
            assert connection.execute("SELECT note FROM runs").fetchall() == [(None,)]
            assert connection.execute("PRAGMA user_version").fetchone() == (len(newer),)

    def test_a_file_of_the_first_format_is_read_as_it_was_written(self, path: Path) -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            for statement in (*migrations.MIGRATIONS[0], "PRAGMA user_version = 1"):
                connection.execute(statement)
            for key, run_id in enumerate(("one", "two", "empty"), 1):
                owner = current_owner().to_json()
                run = (key, run_id, "completed", "orders", 100.0 + key, 109.0, 0.5, 7, None, owner)
                connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", run)
            for key, span_id, parent in (2, "00", None), (1, "01", "00"), (2, "01", "00"), (1, "00", None):
                span = (key, span_id, parent, f"step {key}", 100.0, 109.0, "completed", '{"kind":"Step"}')
                connection.execute("INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?)", span)
        with SQLiteBackend(path) as backend:
            assert [run.run_id for run in backend.list_runs()] == ["empty", "two", "one"]
            for key, run_id in enumerate(("one", "two"), 1):
                spans = backend.get_spans(run_id)
                assert [(span.span_id, span.parent_span_id) for span in spans] == [("00", None), ("01", "00")]
                assert {span.name for span in spans} == {f"step {key}"}
                assert spans[0].attributes == {"kind": "Step"}
            assert backend.get_spans("empty") == []
            assert backend.delete_run("one")
            backend.record_spans("two", [attrs.evolve(ROOT, span_id="02", parent_span_id="00")])
            assert len(backend.get_spans("two")) == backend.get_span_statistics().total == 3

    def test_a_migration_that_fails_leaves_the_file_as_it_was(
        self, recorded: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken = [*migrations.MIGRATIONS, ("ALTER TABLE runs ADD COLUMN note TEXT", "no SQL")]
        with monkeypatch.context() as patch:
            patch.setattr(migrations, "MIGRATIONS", broken)
            patch.setattr(opening, "MIGRATIONS", broken)
            with pytest.raises(DatabaseUnusableError, match="syntax error"):
                SQLiteBackend(recorded).open()
        with SQLiteBackend(recorded) as backend:
            assert backend.get_run("run") == RUN
        with closing(sqlite3.connect(recorded)) as connection, pytest.raises(sqlite3.OperationalError, match="note"):
            connection.execute("SELECT note FROM runs")


class TestSpace:
    SPANS: Final = [
        Span(f"{number:04}", None, "x" * 500, 1.0, 2.0, SpanStatus.COMPLETED, {"path": "x" * 500})
        for number in range(500)
    ]

    @classmethod
    def record(cls, backend: SQLiteBackend, count: int, spans: Sequence[Span] | None = None) -> None:
        for number in range(count):
            backend.record_run_start(run := attrs.evolve(RUN, run_id=f"{number}", started_at=float(number)))
            backend.record_spans(run.run_id, cls.SPANS if spans is None else spans)
            backend.record_run_end(attrs.evolve(run, status=SpanStatus.COMPLETED, ended_at=float(number)))

    def test_pruning_makes_the_file_smaller(self, path: Path) -> None:
        with SQLiteBackend(path) as backend:
            self.record(backend, 20)
            backend.close()
            before = path.stat().st_size
            assert len(backend.prune(keep=2)) == 18
            assert path.stat().st_size < before / 5
            assert len(backend.get_spans("19")) == len(self.SPANS)

    def test_pruning_makes_the_file_smaller_later_when_somebody_reads_meanwhile(self, path: Path) -> None:
        with SQLiteBackend(path) as backend:
            self.record(backend, 20)
            backend.close()
            before = path.stat().st_size
            with closing(sqlite3.connect(path, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM spans").fetchall()
                assert len(backend.prune(keep=2)) == 18
                assert path.stat().st_size == before
        assert path.stat().st_size < before / 5

    def test_pruning_in_a_transaction_belongs_to_it(self, path: Path) -> None:
        with SQLiteBackend(path) as backend:
            self.record(backend, 3)
            with suppress(ZeroDivisionError), backend.transaction():
                assert len(backend.prune(keep=0)) == 3
                raise ZeroDivisionError
            assert len(backend.list_runs()) == 3

    def test_others_write_while_very_many_spans_are_pruned(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sqlite, "_SPANS_DELETED_AT_ONCE", 500)
        with SQLiteBackend(path) as backend, SQLiteBackend(path) as other, ThreadPoolExecutor() as threads:
            self.record(backend, 20)
            pruning = threads.submit(backend.prune, keep=0)
            written = 0
            while not pruning.done():
                other.record_run_start(attrs.evolve(RUN, run_id=f"meanwhile {written}"))
                written += 1
            assert len(pruning.result()) == 20
        assert written > 10
