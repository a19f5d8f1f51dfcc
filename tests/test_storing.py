"""Storing a run while it runs: a slow disk makes runs wait and loses nothing, a broken one leaves them their output."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from flujo_actors import AnyStep, Pipeline, Span, SpanStatus, Step, open_system
from flujo_actors.errors import DatabaseLockedError, DatabaseUnusableError, StorageError
from flujo_actors.nurseries import open_inner_nursery
from flujo_actors.storage import MemoryBackend, RunRecord, SQLiteBackend
from flujo_actors.storage import actor as storage_actor
from flujo_actors.storage.actor import StorageActor, open_storage
from tests.storage.surroundings import PATIENCE, until

RECORD = RunRecord("run", SpanStatus.RUNNING, "p", started_at=1.0)
SPAN = Span("00", None, "pipeline_run", 1.0, 2.0, SpanStatus.COMPLETED, {})


@pytest.fixture(autouse=True)
def small_mailbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight spans may wait for the disk."""
    monkeypatch.setattr(storage_actor, "MAILBOX_CAPACITY", 8)
    monkeypatch.setattr(storage_actor, "BATCH_SIZE", 4)


class Gated(MemoryBackend):
    """Writes no spans before `gate` is set, and tells when it is to write some; counts what it has written."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.gate = trio.Event(), threading.Event()
        self.token = trio.lowlevel.current_trio_token()
        self.batches: list[int] = []

    async def until_runs_wait(self) -> None:
        """Wait until as much has come as the mailbox takes beside what is being written."""
        await self.reached.wait()
        await wait_all_tasks_blocked()

    def record_spans(self, run_id: str, spans: Sequence[Span]) -> None:
        self.token.run_sync_soon(self.reached.set)
        assert self.gate.wait(PATIENCE)
        self.batches.append(len(spans))
        super().record_spans(run_id, spans)


class Broken(MemoryBackend):
    """Raises in the methods named."""

    def __init__(self, *methods: str) -> None:
        super().__init__()
        self.methods = methods

    def _check(self, method: str) -> None:
        if method in self.methods:
            raise OSError(f"no {method}")

    def record_run_start(self, run: RunRecord) -> None:
        self._check("start")
        super().record_run_start(run)

    def record_spans(self, run_id: str, spans: Sequence[Span]) -> None:
        self._check("spans")
        super().record_spans(run_id, spans)

    def record_run_end(self, run: RunRecord) -> None:
        self._check("end")
        super().record_run_end(run)


def chain(steps: int, progress: list[int] | None = None) -> AnyStep:
    def agent(data: int) -> int:
        if progress is not None:
            progress.append(data)
        return data + 1

    return Pipeline("chain", [Step("step", agent) for _ in range(steps)])


@contextmanager
def mailboxes_watched(monkeypatch: pytest.MonkeyPatch) -> Generator[list[int], None, None]:
    """How many messages waited at the storage actor whenever a span came in."""
    lengths: list[int] = []

    def watched(method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(self: StorageActor, *arguments: Any) -> Any:
            lengths.append(len(self.mailbox))
            return method(self, *arguments)

        return wrapper

    monkeypatch.setattr(StorageActor, "record_nowait", watched(StorageActor.record_nowait))
    yield lengths


class TestSlowDisk:
    async def test_a_run_waits_for_the_disk_and_nothing_is_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        backend, progress = Gated(), list[int]()
        with mailboxes_watched(monkeypatch) as lengths:
            async with open_system(storage=backend) as system:
                run = await system.start(chain(100, progress), 0)
                await backend.until_runs_wait()
                stuck_at = len(progress)
                backend.gate.set()
                result = await run.wait()
        assert stuck_at < 30
        assert result.output == 100
        assert result.warnings == ()
        assert max(lengths) <= 8
        assert sum(backend.batches) == 101
        assert backend.get_trace(result.run_id) == result.trace_tree

    async def test_a_locked_database_makes_the_run_wait(self, tmp_path: Path) -> None:
        reached, token = trio.Event(), trio.lowlevel.current_trio_token()

        class Telling(SQLiteBackend):
            @contextmanager
            def transaction(self) -> Generator[None]:
                token.run_sync_soon(reached.set)
                with super().transaction():
                    yield

        backend, progress = Telling(tmp_path / "runs.db", lock_timeout=PATIENCE), list[int]()
        backend.open()
        with closing(sqlite3.connect(tmp_path / "runs.db", isolation_level=None)) as other:
            async with open_system(storage=backend) as system:
                other.execute("BEGIN IMMEDIATE")
                run = await system.start(chain(100, progress), 0)
                await reached.wait()
                await wait_all_tasks_blocked()
                stuck_at = len(progress)
                other.execute("ROLLBACK")
                result = await run.wait()
        assert stuck_at < 30
        assert result.output == 100
        assert result.warnings == ()
        with backend:
            assert backend.get_trace(result.run_id) == result.trace_tree

    async def test_a_run_that_waits_for_the_disk_can_be_cancelled_and_loses_no_span(self) -> None:
        backend = Gated()
        async with open_system(storage=backend) as system:
            run = await system.start(chain(100), 0)
            await backend.until_runs_wait()
            run.cancel(reason="enough")
            await wait_all_tasks_blocked()
            backend.gate.set()
            result = await run.wait()
        assert result.status is SpanStatus.CANCELLED
        assert result.warnings == ()
        assert len(result.step_history) > 8
        assert backend.get_trace(result.run_id) == result.trace_tree

    async def test_a_host_that_is_cancelled_while_it_waits_for_the_disk_loses_no_span(self) -> None:
        backend = Gated()
        scope = trio.CancelScope()

        async def cancel_then_let_go() -> None:
            await backend.until_runs_wait()
            scope.cancel()
            await wait_all_tasks_blocked()
            backend.gate.set()

        async with open_system(storage=backend) as system, trio.open_nursery() as nursery:
            nursery.start_soon(cancel_then_let_go)
            with scope:
                await system.run(chain(100), 0)
        assert scope.cancelled_caught
        (record,) = backend.list_runs()
        assert record.status is SpanStatus.CANCELLED
        trace = backend.get_trace(record.run_id)
        assert trace is not None
        assert trace["status"] == "cancelled"
        assert sum(backend.batches) == len(trace["children"]) + 1

    async def test_many_runs_share_the_disk(self) -> None:
        backend = Gated()
        async with open_system(storage=backend) as system:
            runs = [await system.start(chain(10), 0) for _ in range(20)]
            await backend.until_runs_wait()
            backend.gate.set()
            results = [await run.wait() for run in runs]
        assert all(backend.get_trace(result.run_id) == result.trace_tree for result in results)


class TestBrokenDisk:
    @pytest.mark.parametrize(
        ("methods", "missing"),
        [
            (["start"], "the start of the run"),
            (["spans"], "4 spans of its trace"),
            (["end"], "the end of the run"),
            (["start", "spans", "end"], "the start of the run"),
        ],
    )
    async def test_a_run_keeps_its_output_and_says_what_is_missing(self, methods: list[str], missing: str) -> None:
        async with open_system(storage=Broken(*methods)) as system:
            result = await system.run(chain(3), 0)
        assert result.success
        assert result.output == 3
        assert missing in " ".join(result.warnings)
        assert "could not be stored: " in result.warnings[0]
        assert len(result.spans) == 4

    async def test_other_runs_of_the_same_batch_are_stored(self) -> None:
        bad_ids: list[str] = []

        class Choosy(MemoryBackend):
            def record_spans(self, run_id: str, spans: Sequence[Span]) -> None:
                if run_id in bad_ids:
                    raise OSError("not this one")
                super().record_spans(run_id, spans)

        backend = Choosy()
        async with open_system(storage=backend) as system:
            runs = [await system.start(chain(3), 0) for _ in range(5)]
            bad_ids.append(runs[2].run_id)
            results = [await run.wait() for run in runs]
        assert [bool(result.warnings) for result in results] == [False, False, True, False, False]
        good = [result for result in results if not result.warnings]
        assert all(backend.get_trace(result.run_id) == result.trace_tree for result in good)

    async def test_a_failed_run_keeps_its_failure(self) -> None:
        def fail(data: Any) -> None:
            raise ValueError("boom")

        async with open_system(storage=Broken("spans")) as system:
            result = await system.run(Step[Any, Any, object]("a", fail), 0)
        assert result.failure is not None
        assert result.failure.message == "boom"
        assert result.warnings != ()

    async def test_losses_are_told_to_the_run_that_lost(self) -> None:
        backend = Broken("spans")
        async with open_system(storage=backend) as system:
            first = await system.run(chain(1), 0)
            backend.methods = ()
            second = await system.run(chain(1), 0)
        assert first.warnings != ()
        assert second.warnings == ()


class TestLockedDatabase:
    async def test_what_could_not_be_written_for_a_lock_is_written_with_the_next_batch(self) -> None:
        refusals = [DatabaseLockedError(Path("runs.db"), "it is locked")]

        class LockedOnce(MemoryBackend):
            def record_run_start(self, run: RunRecord) -> None:
                if refusals:
                    raise refusals.pop()
                super().record_run_start(run)

        backend, go = LockedOnce(), trio.Event()

        async def wait(data: Any) -> None:
            await go.wait()

        async with open_system(storage=backend) as system:
            run = await system.start(Step("wait", wait), 1)
            await until(lambda: backend.get_run(run.run_id) is not None)
            go.set()
            result = await run.wait()
        assert refusals == []
        assert result.warnings == ()
        assert backend.get_trace(result.run_id) == result.trace_tree

    async def test_runs_that_end_while_it_is_locked_wait_for_the_lock_once_and_not_each(self) -> None:
        waits: list[int] = []
        unlocked = threading.Event()

        class Locked(MemoryBackend):
            def record_run_start(self, run: RunRecord) -> None:
                waits.append(1)
                unlocked.wait()
                raise DatabaseLockedError(Path("runs.db"), "it is locked")

        async with open_system(storage=Locked()) as system:
            runs = [await system.start(chain(1), 1) for _ in range(50)]
            await trio.testing.wait_all_tasks_blocked()
            unlocked.set()
            results = [await run.wait() for run in runs]
        assert len(waits) < len(runs)
        assert all(result.success for result in results)
        for result in results:
            (warning,) = result.warnings
            assert "the start of the run" in warning
            assert "it is locked" in warning


class TestStorageActor:
    async def test_who_ends_a_run_is_told_what_is_missing(self) -> None:
        async with open_storage(Broken("spans")) as actor:
            await actor.begin_run(RECORD)
            actor.record_nowait("run", SPAN)
            (missing,) = await actor.end_run(RECORD)
        assert missing == "1 span of its trace (pipeline_run) could not be stored: no spans"

    async def test_the_root_span_is_stored_with_the_end_of_its_run_and_not_before(self) -> None:
        backend = MemoryBackend()
        child = attrs.evolve(SPAN, span_id="01", parent_span_id="00", name="step")
        async with open_storage(backend) as actor:
            await actor.begin_run(RECORD)
            actor.record_nowait("run", child)
            actor.record_nowait("run", SPAN)
            await until(lambda: bool(backend.get_spans("run")))
            await trio.sleep(2 * storage_actor.BATCH_DELAY)
            assert backend.get_spans("run") == [child]
            await actor.end_run(attrs.evolve(RECORD, status=SpanStatus.COMPLETED, ended_at=2.0))
            assert backend.get_spans("run") == [SPAN, child]

    async def test_who_waits_for_an_actor_that_dies_is_let_go(self) -> None:
        class Exiting(MemoryBackend):
            def record_run_end(self, run: RunRecord) -> None:
                trio.from_thread.run(wait_until, behind)
                raise SystemExit(3)

        async def wait_until(event: trio.Event) -> None:
            await event.wait()

        async def end_behind() -> None:
            await actor.begin_run(attrs.evolve(RECORD, run_id="behind"))
            behind.set()
            told.append(await actor.end_run(attrs.evolve(RECORD, run_id="behind")))

        async def end() -> None:
            told.append(await actor.end_run(RECORD))

        told: list[tuple[str, ...]] = []
        behind = trio.Event()
        actor = StorageActor(Exiting())

        async def end_both() -> None:
            async with open_inner_nursery() as nursery:
                await actor.begin_run(RECORD)
                nursery.start_soon(actor.run)
                nursery.start_soon(shielded, end)
                await wait_all_tasks_blocked()
                nursery.start_soon(shielded, end_behind)

        with pytest.raises(SystemExit):
            await end_both()
        assert len(told) == 2
        assert await actor.end_run(RECORD) == ()


async def shielded(function: Callable[[], Awaitable[None]]) -> None:
    with trio.CancelScope(shield=True):
        await function()


class TestOpening:
    async def test_storage_that_cannot_be_opened_is_an_error_of_open_system(self, tmp_path: Path) -> None:
        path = tmp_path / "text.db"
        path.write_text("not a database " * 100)
        with pytest.raises(DatabaseUnusableError) as caught:
            async with open_system(storage=SQLiteBackend(path)):
                pytest.fail("the block was entered")
        assert isinstance(caught.value, StorageError)

    async def test_storage_is_closed_at_the_end_also_when_the_block_raises(self) -> None:
        closed: list[bool] = []

        class Closing(MemoryBackend):
            def close(self) -> None:
                closed.append(True)

        async with open_system(storage=Closing()):
            assert closed == []
        with pytest.raises(ValueError, match="mine"):
            async with open_system(storage=Closing()):
                raise ValueError("mine")
        assert closed == [True, True]

    async def test_the_start_of_a_run_is_stored_while_it_runs(self) -> None:
        backend = MemoryBackend()
        async with open_system(storage=backend) as system:
            run = await system.start(Step("sleep", trio.sleep), 1000)
            await until(lambda: backend.get_run(run.run_id) is not None)
            record = backend.get_run(run.run_id)
            assert record is not None
            assert record.status is SpanStatus.RUNNING
            run.cancel()


async def test_a_run_that_is_cancelled_when_only_its_end_remains_to_be_written_has_it_written_first() -> None:
    class Slow(MemoryBackend):
        def __init__(self) -> None:
            super().__init__()
            self.reached, self.gate = trio.Event(), threading.Event()
            self.token = trio.lowlevel.current_trio_token()

        def record_run_end(self, run: RunRecord) -> None:
            self.token.run_sync_soon(self.reached.set)
            self.gate.wait()
            super().record_run_end(run)

    backend = Slow()
    async with open_system(storage=backend) as system, trio.open_nursery() as nursery:
        with trio.CancelScope() as host:

            async def cancel() -> None:
                await backend.reached.wait()
                host.cancel()
                backend.gate.set()

            nursery.start_soon(cancel)
            assert (await system.run(Step[Any, Any, Any]("a", lambda data: data), 1)).success
        assert [str(run.status) for run in backend.list_runs()] == ["completed"]
