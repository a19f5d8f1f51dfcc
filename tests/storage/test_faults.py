"""Real faults under a run: removed files, a full disk, rights, locks, damage. Runs end, and say what is missing."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import trio

from flujo_actors import FailureDomain, Span, SpanStatus, Step, StorageFailurePolicy, open_system
from flujo_actors.storage import RunRecord, SQLiteBackend
from flujo_actors.storage.actor import open_storage
from tests.storage.surroundings import (
    PATIENCE,
    bound_user,
    files_no_larger_than,
    held_run,
    same,
    stored,
    until,
    until_stored,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs.db"


def remove(path: Path) -> None:
    """Remove a database with the files that SQLite has put next to it."""
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


class TestRemovedFile:
    async def test_a_run_goes_on_in_a_new_file_and_says_what_went_with_the_old_one(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with held_run(SQLiteBackend(path)) as held:
            remove(path)
            result = await held.finish()
        assert result.success
        (warning,) = result.warnings
        assert warning == (
            "2 spans of its trace (one to two) stored and then lost: "
            "the storage did not know the run any more; was it deleted, or the file removed?"
        )
        trace = stored(path, result)
        assert trace is not None
        assert [child["name"] for child in trace["children"]] == ["hold", "four", "five"]
        assert f"run {result.run_id}: what was stored of it is lost" in caplog.text

    async def test_what_went_with_each_of_several_files_is_added_up(self, path: Path) -> None:
        run = RunRecord("run", SpanStatus.RUNNING, "p", 1.0)
        backend = SQLiteBackend(path)
        async with open_storage(backend) as storage:
            await storage.begin_run(run)
            for name in "one", "two", "three":
                storage.record_nowait("run", Span(name, "root", name, 1.0, 2.0, SpanStatus.COMPLETED, {}))
                await until(lambda: len(backend.get_spans("run")) > 0)
                remove(path)
                backend.close()  # so that the next one to read finds a new file
            (missing,) = await storage.end_run(run)
        assert missing.startswith("3 spans of its trace (one to three) stored and then lost")

    async def test_many_runs_go_on_in_a_new_file(self, path: Path) -> None:
        go = trio.Event()

        async def wait(data: int) -> int:
            await go.wait()
            return data

        async with open_system(storage=SQLiteBackend(path)) as system:
            runs = [await system.start(Step("wait", wait), number) for number in range(300)]
            backend = SQLiteBackend(path, read_only=True)
            await until(lambda: len(backend.list_runs()) == 300)
            backend.close()
            remove(path)
            go.set()
            with trio.fail_after(PATIENCE):
                results = [await run.wait() for run in runs]
        assert {result.warnings for result in results} == {()}
        with SQLiteBackend(path) as backend:
            assert all(backend.get_trace(result.run_id) == result.trace_tree for result in results)

    async def test_a_run_that_is_to_fail_fails(self, path: Path) -> None:
        async with held_run(SQLiteBackend(path), StorageFailurePolicy.FAIL) as held:
            remove(path)
            result = await held.finish()
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.STORAGE
        assert result.output == 7
        trace = stored(path, result)
        assert trace is not None
        assert trace["status"] == "failed"

    async def test_its_folder_may_be_removed_with_it(self, tmp_path: Path) -> None:
        path = tmp_path / "folder" / "runs.db"
        async with held_run(SQLiteBackend(path)) as held:
            shutil.rmtree(path.parent)
            result = await held.finish()
        assert result.success
        assert "stored and then lost" in " ".join(result.warnings)
        assert stored(path, result) is not None

    async def test_a_file_where_its_folder_was_is_waited_out(self, tmp_path: Path) -> None:
        path = tmp_path / "folder" / "runs.db"
        async with held_run(SQLiteBackend(path)) as held:
            shutil.rmtree(path.parent)
            path.parent.touch()
            result = await held.finish()
            path.parent.unlink()
            await until_stored(held.backend, result)
        assert result.success
        assert "Not a directory" in " ".join(result.warnings)

    async def test_a_folder_that_is_put_back_is_used_again(self, tmp_path: Path) -> None:
        folder, aside = tmp_path / "folder", tmp_path / "aside"
        async with held_run(SQLiteBackend(folder / "runs.db")) as held:
            folder.rename(aside)
            folder.touch()
            await held.system.run(Step("meanwhile", same), 1)
            folder.unlink()
            aside.rename(folder)
            result = await held.finish()
        assert result.warnings == ()
        assert stored(folder / "runs.db", result) == result.trace_tree

    async def test_the_database_of_another_program_in_its_place_is_left_alone(self, path: Path) -> None:
        async with held_run(SQLiteBackend(path)) as held:
            remove(path)
            with closing(sqlite3.connect(path)) as other:
                other.execute("CREATE TABLE mine (id)")
            result = await held.finish()
        assert result.success
        assert "of another program" in " ".join(result.warnings)
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]

    async def test_a_run_that_was_deleted_is_recorded_from_there_on(self, path: Path) -> None:
        async with held_run(SQLiteBackend(path)) as held:
            with SQLiteBackend(path) as other:
                assert other.delete_run(held.run.run_id)
            result = await held.finish()
        assert "stored and then lost" in " ".join(result.warnings)
        trace = stored(path, result)
        assert trace is not None
        assert len(trace["children"]) == 3


class TestRemovedJournal:
    @pytest.mark.parametrize("name", ["runs.db-wal", "runs.db-shm", "runs.db-*"])
    async def test_nothing_is_lost_and_others_read_all_of_it_at_once(self, path: Path, name: str) -> None:
        async with held_run(SQLiteBackend(path)) as held:
            for file in path.parent.glob(name):
                file.unlink()
            result = await held.finish()
            assert (result.status, result.warnings) == (SpanStatus.COMPLETED, ())
            another = await held.system.run(Step("a", same), 1)
            aside = path.parent / "as if the process had died"
            shutil.copytree(path.parent, aside)
            for folder in (path.parent, aside):
                with SQLiteBackend(folder / "runs.db", read_only=True) as reader:
                    assert len(reader.get_spans(result.run_id)) == 6
                    assert len(reader.get_spans(another.run_id)) == 2


class TestFullDisk:
    PAYLOAD = "x" * 3_000_000

    async def test_a_file_that_may_not_grow_is_waited_out(self, path: Path) -> None:
        async with held_run(SQLiteBackend(path), payload=self.PAYLOAD) as held:
            with files_no_larger_than(1_000_000):
                result = await held.finish()
            await until_stored(held.backend, result)
        assert result.success
        assert "the end of the run could not be stored" in " ".join(result.warnings)
        assert stored(path, result) == result.trace_tree

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Generator[Path]:
        """A file system of 2 MB, where we may mount one."""
        folder = tmp_path / "disk"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
        try:
            subprocess.run(mount, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("a file system cannot be mounted here")
        yield folder
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)

    @staticmethod
    def fill(disk: Path) -> None:
        def write_on() -> None:
            while True:
                ballast.write(bytes(4096))

        with (disk / "ballast").open("wb", buffering=0) as ballast, pytest.raises(OSError, match="No space left"):
            write_on()

    async def test_a_full_disk_is_waited_out(self, small_disk: Path) -> None:
        path = small_disk / "runs.db"
        async with held_run(SQLiteBackend(path), payload=self.PAYLOAD[:20_000]) as held:
            self.fill(small_disk)
            result = await held.finish()
            (small_disk / "ballast").unlink()
            await until_stored(held.backend, result)
        assert result.success
        assert "database or disk is full" in " ".join(result.warnings)
        assert stored(path, result) == result.trace_tree

    async def test_a_disk_that_stays_full_costs_the_run_nothing_but_its_trace(self, small_disk: Path) -> None:
        path = small_disk / "runs.db"
        async with held_run(SQLiteBackend(path), payload=self.PAYLOAD[:20_000]) as held:
            self.fill(small_disk)
            result = await held.finish()
        assert result.output == 7
        (small_disk / "ballast").unlink()
        trace = stored(path, result)
        assert trace is not None
        assert [child["name"] for child in trace["children"]] == ["one", "two"]

    async def test_a_run_that_is_to_fail_fails(self, small_disk: Path) -> None:
        backend = SQLiteBackend(small_disk / "runs.db")
        async with held_run(backend, StorageFailurePolicy.FAIL, self.PAYLOAD[:20_000]) as held:
            self.fill(small_disk)
            result = await held.finish()
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.STORAGE
        assert "database or disk is full" in result.failure.message


class TestRights:
    @pytest.fixture
    def path(self) -> Generator[Path]:
        """In a folder that other users may enter, unlike pytest's own."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            folder.chmod(0o755)
            yield folder / "runs.db"
            folder.chmod(0o755)

    async def test_rights_that_are_taken_away_do_not_touch_a_file_that_is_open(self, path: Path) -> None:
        with bound_user(path.parent):
            async with held_run(SQLiteBackend(path)) as held:
                for file in path.parent.iterdir():
                    file.chmod(0o444)
                path.parent.chmod(0o555)
                result = await held.finish()
        assert result.warnings == ()
        with SQLiteBackend(path, read_only=True) as backend:
            assert backend.get_trace(result.run_id) == result.trace_tree

    async def test_a_folder_that_may_not_be_written_is_waited_out(self, path: Path) -> None:
        with bound_user(path.parent):
            async with held_run(SQLiteBackend(path)) as held:
                remove(path)
                path.parent.chmod(0o555)
                result = await held.finish()
                path.parent.chmod(0o755)
                await until_stored(held.backend, result)
        assert result.success
        assert "Permission denied" in " ".join(result.warnings)


LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
sys.stdin.read()
connection.execute("ROLLBACK")
"""


class TestLock:
    @contextmanager
    def locked(self, path: Path) -> Generator[Callable[[], None]]:
        """Locked by another process, until what this gives is called."""
        command = [sys.executable, "-c", LOCK, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == b"locked\n"
            try:
                yield process.stdin.close
            finally:
                process.kill()

    async def test_a_lock_that_outlasts_a_run_is_waited_out_afterwards(self, path: Path) -> None:
        async with held_run(SQLiteBackend(path, lock_timeout=0.1)) as held:
            with self.locked(path) as unlock:
                result = await held.finish()
                unlock()
                await until_stored(held.backend, result)
        assert result.success
        assert "another process has locked it, and did not let go within 0.1 s" in " ".join(result.warnings)
        assert stored(path, result) == result.trace_tree

    async def test_a_lock_that_is_shorter_than_the_wait_is_not_noticed(self, path: Path) -> None:
        async with held_run(SQLiteBackend(path)) as held:
            with self.locked(path) as unlock:

                async def unlock_soon() -> None:
                    await trio.sleep(0.3)
                    unlock()

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(unlock_soon)
                    result = await held.finish()
        assert result.warnings == ()
        assert stored(path, result) == result.trace_tree

    async def test_a_run_that_is_to_fail_fails(self, path: Path) -> None:
        async with held_run(SQLiteBackend(path, lock_timeout=0.1), StorageFailurePolicy.FAIL) as held:
            with self.locked(path):
                await held.system.run(Step("another", same), 1)
                with trio.fail_after(PATIENCE):
                    result = await held.run.wait()
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.STORAGE
        assert "another process has locked it" in result.failure.message

    @pytest.mark.slow
    async def test_thirty_seconds_of_lock_cost_neither_the_run_nor_its_trace(self, path: Path) -> None:
        async with held_run(SQLiteBackend(path)) as held:
            with self.locked(path) as unlock:
                locked_at = trio.current_time()
                result = await held.finish()  # while it is locked still
                await trio.sleep_until(locked_at + 30)
                unlock()
                await until_stored(held.backend, result)
        assert result.success
        assert stored(path, result) == result.trace_tree


class TestDamage:
    """Damage that is done to the files under a run."""

    @staticmethod
    def garbage(file: Path, start: int = 0) -> None:
        noise = random.Random(1).randbytes(file.stat().st_size - start)  # noqa: S311 - repeatable, no secret
        with file.open("r+b") as opened:
            opened.seek(start)
            opened.write(noise)

    def damage(self, file: Path, kind: str) -> None:
        match kind:
            case "garbage":
                self.garbage(file)
            case "garbage in its pages":
                self.garbage(file, 10_000)
            case "emptied":
                os.truncate(file, 0)
            case _:
                os.truncate(file, 10_000)

    @staticmethod
    def leave_a_journal_with_garbage(path: Path) -> None:
        """Files as a process leaves them that is killed while it writes, with one run that was stored before."""
        journal = path.with_name("runs.db-wal")
        with SQLiteBackend(path) as backend:
            backend.record_run_start(RunRecord("kept", SpanStatus.COMPLETED, "p", 1.0, 2.0))
            file, left = path.read_bytes(), journal.read_bytes()
        path.write_bytes(file)
        journal.write_bytes(left + random.Random(1).randbytes(50_000))  # noqa: S311 - repeatable, no secret

    @pytest.mark.parametrize("name", ["runs.db", "runs.db-wal"])
    @pytest.mark.parametrize("kind", ["garbage", "garbage in its pages", "emptied", "cut off"])
    async def test_a_run_ends_as_it_would_have_whether_it_is_found_or_not(
        self, path: Path, name: str, kind: str
    ) -> None:
        backend = SQLiteBackend(path, lock_timeout=0.1)
        async with held_run(backend) as held:
            await trio.to_thread.run_sync(backend.close)  # it has to read again what it had in memory
            with SQLiteBackend(path) as other:
                other.record_run_start(RunRecord("other", SpanStatus.COMPLETED, "x" * 100_000, 1.0, 2.0))
                self.damage(path.with_name(name), kind)
                result = await held.finish()
                later = await held.system.run(Step("later", same), 1)
        assert result.success
        assert result.output == 7
        assert later.success

    async def test_a_damaged_file_that_is_put_aside_is_followed_by_a_new_one(self, path: Path) -> None:
        backend = SQLiteBackend(path)
        async with held_run(backend) as held:
            await trio.to_thread.run_sync(backend.close)
            self.garbage(path, 8192)
            first = await held.system.run(Step("unlucky", same), 1)
            remove(path)
            second = await held.system.run(Step("lucky", same), 1)
            await held.finish()
        assert "malformed" in " ".join(first.warnings)
        assert second.warnings == ()
        assert stored(path, first) == first.trace_tree
        assert stored(path, second) == second.trace_tree

    async def test_garbage_at_the_end_of_the_journal_is_not_believed(self, path: Path) -> None:
        self.leave_a_journal_with_garbage(path)
        async with open_system(storage=SQLiteBackend(path)) as system:
            result = await system.run(Step("a", same), 1)
        assert result.warnings == ()
        with SQLiteBackend(path) as backend:
            assert {run.run_id for run in backend.list_runs()} == {"kept", result.run_id}
