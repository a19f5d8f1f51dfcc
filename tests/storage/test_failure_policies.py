"""What becomes of runs when their storage raises: by policy, within bounds, and told to the user."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from flujo_actors import (
    FailureDomain,
    Pipeline,
    Span,
    SpanStatus,
    Step,
    StorageFailurePolicy,
    open_system,
)
from flujo_actors.errors import DatabaseFailedError, DatabaseUnusableError
from flujo_actors.storage import MemoryBackend, RunRecord, SQLiteBackend
from flujo_actors.storage import actor as storage_actor
from flujo_actors.storage import ledger as storage_ledger
from flujo_actors.storage.actor import open_storage
from tests.storage.surroundings import PATIENCE, Result, held_run, same, until, until_stored

POLICIES = list(StorageFailurePolicy)


def outage(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the user was told of the storage as a whole."""
    return [record.message for record in caplog.records if record.message.startswith("storage ")]


class Switched(MemoryBackend):
    """A backend that raises `fault` while there is one."""

    def __init__(self, fault: Exception | None = None) -> None:
        super().__init__()
        self.fault = fault
        self.attempts = 0

    @contextmanager
    def transaction(self) -> Generator[None]:
        self.attempts += 1
        if self.fault is not None:
            raise self.fault
        with super().transaction():
            yield


FULL = DatabaseFailedError(Path("runs.db"), "the disk is full")


class TestDegrade:
    """The policy that is applied unless another one is asked for."""

    async def test_a_run_ends_and_says_what_is_missing_and_why(self) -> None:
        backend = Switched()
        async with held_run(backend) as held:
            backend.fault = FULL
            result = await held.finish()
        assert result.success
        assert result.output == 7
        (warning,) = result.warnings
        assert warning.startswith(
            "4 spans of its trace (hold to pipeline_run), the end of the run could not be stored: "
            "Database runs.db: the disk is full; it is kept"
        )

    async def test_what_was_kept_is_stored_when_that_works_again(self, caplog: pytest.LogCaptureFixture) -> None:
        backend = Switched()
        async with held_run(backend) as held:
            backend.fault = FULL
            result = await held.finish()
            backend.fault = None
            await until_stored(backend, result)
        assert backend.get_trace(result.run_id) == result.trace_tree
        assert len(outage(caplog)) == 2

    async def test_a_run_whose_storage_works_again_in_time_has_nothing_to_say(self) -> None:
        backend = Switched()
        async with held_run(backend) as held:
            backend.fault = FULL
            other = await held.system.run(Step("short", same), 1)
            backend.fault = None
            await until_stored(backend, other)  # no attempt that began before is under way then
            result = await held.finish()
        assert other.warnings != ()
        assert result.warnings == ()
        for each in other, result:
            assert backend.get_trace(each.run_id) == each.trace_tree

    async def test_a_run_that_began_when_nothing_could_be_stored_is_stored_whole_afterwards(self) -> None:
        backend = Switched(FULL)
        async with open_system(storage=backend) as system:
            early = await system.run(Step("early", same), 1)
            go = trio.Event()

            async def wait(data: int) -> None:
                await go.wait()

            run = await system.start(Step("wait", wait), 1)
            attempts = backend.attempts
            await until(lambda: backend.attempts > attempts)
            backend.fault = None
            await until_stored(backend, early)  # no attempt that began before is under way then
            go.set()
            result = await run.wait()
        assert result.warnings == ()
        assert backend.get_trace(result.run_id) == result.trace_tree

    async def test_the_user_is_told_once_at_once(self, caplog: pytest.LogCaptureFixture) -> None:
        backend = Switched()
        async with held_run(backend) as held:
            backend.fault = FULL
            for _ in range(5):
                await held.system.run(Step("short", same), 1)
            (told,) = outage(caplog)
            await held.finish()
        assert told.startswith("storage has failed: Database runs.db: the disk is full; runs do not wait for it")
        assert outage(caplog) == [told]
        assert (
            caplog.records[-1].message
            == "closed with 6 runs and 14 spans not stored: Database runs.db: the disk is full"
        )

    async def test_nobody_waits_for_a_storage_that_has_failed(self) -> None:
        backend = Switched()
        many = Pipeline("many", [Step("step", same) for _ in range(6000)])
        async with held_run(backend) as held:
            backend.fault = FULL
            with trio.fail_after(PATIENCE):
                result = await held.system.run(many, 1)
            attempts = backend.attempts
        assert result.success
        assert attempts < 100

    async def test_what_is_kept_is_bounded_and_what_exceeds_it_is_counted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Nothing is tried while the spans come: what is being tried is not among what is kept.
        monkeypatch.setattr(storage_actor, "FIRST_RETRY_DELAY", math.inf)
        monkeypatch.setattr(storage_actor, "LAST_RETRY_DELAY", math.inf)
        monkeypatch.setattr(storage_ledger, "SPANS_KEPT", 10)
        backend = Switched(FULL)
        many = Pipeline("many", [Step(f"s{number}", same) for number in range(40)])
        async with open_system(storage=backend) as system:
            await system.run(Step("short", same), 1)
            result = await system.run(many, 1)
            backend.fault = None
        dropped, kept = result.warnings
        assert "nor kept beside 10 others" in dropped
        assert "it is kept" in kept
        assert dropped.startswith("33 spans of its trace (s8 to pipeline_run) could not be stored")
        assert kept.startswith("the start of the run, 8 spans of its trace (s0 to s7), the end of the run could not")
        assert [span.name for span in backend.get_spans(result.run_id)] == [f"s{number}" for number in range(8)]

    async def test_the_runs_that_are_kept_are_bounded_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(storage_ledger, "ENDED_RUNS_KEPT", 3)
        backend = Switched(FULL)
        async with open_system(storage=backend) as system:
            results = [await system.run(Step("short", same), 1) for _ in range(5)]
            backend.fault = None
            for result in results[:3]:
                await until_stored(backend, result)
        assert ["nor kept beside 3 runs" in " ".join(result.warnings) for result in results] == [False] * 3 + [True] * 2
        assert len(backend.list_runs()) == 3

    async def test_a_failure_that_has_passed_while_nothing_was_kept_is_forgotten(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(storage_ledger, "ENDED_RUNS_KEPT", 0)
        backend, told = Switched(FULL), list[str]()
        run = RunRecord("run", SpanStatus.RUNNING, "p", 1.0)
        async with open_storage(backend) as storage:
            await storage.begin_run(run)
            assert await storage.end_run(run) != ()
            backend.fault = None
            await until(lambda: outage(caplog)[-1].startswith("storage works again"))
            await storage.begin_run(another := attrs.evolve(run, run_id="another"), told.append)
            assert await storage.end_run(another) == ()
        assert told == []

    @pytest.mark.parametrize("fault", [FULL, RuntimeError("mine")], ids=["named", "unnamed"])
    async def test_a_failure_lasts_also_while_nothing_is_kept(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fault: Exception
    ) -> None:
        monkeypatch.setattr(storage_ledger, "ENDED_RUNS_KEPT", 0)
        backend = Switched(fault)
        async with open_system(storage=backend) as system:
            await system.run(Step("first", same), 1)
            attempts = backend.attempts
            await until(lambda: backend.attempts > attempts + 1)
            await system.run(Step("second", same), 1)
        assert len(outage(caplog)) == 1

    async def test_an_error_that_the_backend_forgot_to_name_is_survived_too(self) -> None:
        backend = Switched()
        async with held_run(backend) as held:
            backend.fault = ZeroDivisionError("mine")
            result = await held.finish()
            backend.fault = None
            await until_stored(backend, result)
        assert "could not be stored: mine" in " ".join(result.warnings)
        assert backend.get_trace(result.run_id) == result.trace_tree


class TestFail:
    async def test_a_run_is_cancelled_soon_and_ends_as_failed_with_what_it_has_done(self) -> None:
        backend = Switched()
        async with held_run(backend, StorageFailurePolicy.FAIL) as held:
            backend.fault = FULL
            await held.system.run(Step("another", same), 1)  # its end is what finds out
            with trio.fail_after(PATIENCE):
                result = await held.run.wait()
        assert result.status is SpanStatus.FAILED
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.STORAGE
        assert result.failure.feedback == "Storage failed: Database runs.db: the disk is full"
        assert result.failure.running == ("hold",)
        assert [(step.name, step.success) for step in result.step_history] == [
            ("one", True),
            ("two", True),
            ("hold", False),
        ]
        assert result.trace_tree["status"] == "failed"
        assert result.warnings != ()

    async def test_a_run_that_completes_but_cannot_be_stored_keeps_its_output(self) -> None:
        backend = Switched()
        async with open_system(storage=backend, on_storage_failure="fail") as system:
            backend.fault = FULL
            result = await system.run(Step("quick", same), 7)
            backend.fault = None
            record = await until_stored(backend, result)
        assert not result.success
        assert result.output == 7
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.STORAGE
        assert record.status is SpanStatus.FAILED
        assert record.error == str(result.failure)
        assert backend.get_trace(result.run_id) == result.trace_tree
        assert result.trace_tree["attributes"]["failure"]["domain"] == "storage"

    async def test_a_run_that_starts_when_nothing_can_be_stored_fails(self) -> None:
        backend = Switched(FULL)
        async with open_system(storage=backend, on_storage_failure="fail") as system:
            await system.run(Step("first", same), 1)
            with trio.fail_after(PATIENCE):
                result = await system.run(Step("long", trio.sleep), 1000)
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.STORAGE

    async def test_a_failure_of_the_run_itself_is_not_hidden(self) -> None:
        def fail(data: Any) -> None:
            raise ValueError("boom")

        async with open_system(storage=Switched(FULL), on_storage_failure="fail") as system:
            result = await system.run(Step[Any, Any, object]("a", fail), 1)
        assert result.failure is not None
        assert result.failure.domain is FailureDomain.AGENT
        assert "the disk is full" in " ".join(result.warnings)

    async def test_a_run_that_is_being_cancelled_already_ends_as_cancelled(self) -> None:
        backend, go = Switched(), trio.Event()

        async def wait(data: int) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await go.wait()

        async with open_system(storage=backend, on_storage_failure="fail") as system:
            run = await system.start(Step("wait", wait), 1)
            await until(lambda: backend.get_run(run.run_id) is not None)
            run.cancel(reason="enough")
            backend.fault = FULL
            await system.run(Step("another", same), 1)  # its end is what finds out
            go.set()
            result = await run.wait()
        assert result.failure is not None
        assert result.failure.feedback == "Cancelled: enough"
        assert result.warnings != ()

    async def test_a_run_that_can_be_stored_is_none_of_its_business(self) -> None:
        backend = MemoryBackend()
        async with open_system(storage=backend, on_storage_failure="fail") as system:
            result = await system.run(Step("a", same), 1)
        assert result.success
        assert backend.get_trace(result.run_id) == result.trace_tree

    async def test_a_policy_that_does_not_exist_is_refused(self) -> None:
        policy: Any = "panic"
        with pytest.raises(ValueError, match="panic"):
            async with open_system(on_storage_failure=policy):
                pytest.fail("the block was entered")


class TestOpening:
    @pytest.mark.parametrize("policy", POLICIES)
    async def test_a_file_that_cannot_be_used_is_an_error_whatever_the_policy(
        self, tmp_path: Path, policy: StorageFailurePolicy
    ) -> None:
        path = tmp_path / "runs.db"
        path.write_text("not a database " * 100)
        with pytest.raises(DatabaseUnusableError):
            async with open_system(storage=SQLiteBackend(path), on_storage_failure=policy):
                pytest.fail("the block was entered")


class Raising(MemoryBackend):
    """A user's backend with a bug in one method."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method

    def _check(self, method: str) -> None:
        if method == self.method:
            raise RuntimeError(f"a bug in {method}")

    @contextmanager
    def transaction(self) -> Generator[None]:
        self._check("transaction")
        with super().transaction():
            yield
            self._check("commit")

    def record_run_start(self, run: RunRecord) -> None:
        self._check("record_run_start")
        super().record_run_start(run)

    def record_spans(self, run_id: str, spans: Sequence[Span]) -> None:
        self._check("record_spans")
        super().record_spans(run_id, spans)

    def record_run_end(self, run: RunRecord) -> None:
        self._check("record_run_end")
        super().record_run_end(run)

    def get_run(self, run_id: str) -> RunRecord | None:
        self._check("get_run")
        return super().get_run(run_id)

    def close(self) -> None:
        self._check("close")
        super().close()


class TestBackendThatRaises:
    @pytest.mark.parametrize("policy", POLICIES)
    @pytest.mark.parametrize(
        "method", ["transaction", "commit", "record_run_start", "record_spans", "record_run_end", "get_run", "close"]
    )
    async def test_a_run_keeps_its_output(self, method: str, policy: StorageFailurePolicy) -> None:
        async with open_system(storage=Raising(method), on_storage_failure=policy) as system:
            with trio.fail_after(PATIENCE):
                result = await system.run(Step("a", same), 1)
        assert result.output == 1
        harmless = method in {"get_run", "close"}
        assert result.success is (harmless or policy is StorageFailurePolicy.DEGRADE)
        assert (result.warnings == ()) is harmless

    async def test_what_the_backend_takes_is_stored(self) -> None:
        backend = Raising("record_spans")
        async with open_system(storage=backend) as system:
            result = await system.run(Step("a", same), 1)
        (record,) = backend.list_runs()
        assert record.status is SpanStatus.COMPLETED
        assert result.warnings == (
            "2 spans of its trace (a to pipeline_run) could not be stored: a bug in record_spans",
        )

    async def test_one_span_that_is_refused_does_not_cost_the_run_the_others(self) -> None:
        class Picky(MemoryBackend):
            def record_spans(self, run_id: str, spans: Sequence[Span]) -> None:
                if any(span.name == "step 13" for span in spans):
                    raise ValueError("not thirteen")
                super().record_spans(run_id, spans)

        backend = Picky()
        pipeline = Pipeline("forty", [Step(f"step {number}", same) for number in range(40)])
        async with open_system(storage=backend) as system:
            result = await system.run(pipeline, 1)
        assert result.warnings == ("1 span of its trace (step 13) could not be stored: not thirteen",)
        assert len(backend.get_spans(result.run_id)) == 40

    async def test_a_run_whose_id_is_taken_is_not_mixed_with_the_other_one(self) -> None:
        backend = MemoryBackend()
        results: list[Result] = []
        for _ in range(2):
            async with open_system(storage=backend, random_seed=1) as system:
                results.append(await system.run(Step("a", same), 1))
        first, second = results
        assert first.run_id == second.run_id
        assert first.warnings == ()
        assert "the start of the run" in second.warnings[0]
        assert "recorded already" in second.warnings[0]
        assert backend.get_trace(first.run_id) == first.trace_tree

    async def test_a_start_that_was_stored_although_the_backend_said_otherwise_is_not_stored_twice(self) -> None:
        lies = [OSError("the answer was lost")]

        class Lying(MemoryBackend):
            @contextmanager
            def transaction(self) -> Generator[None]:
                with super().transaction():
                    yield
                if lies and self.list_runs():
                    raise lies.pop()

        backend = Lying()
        async with open_system(storage=backend) as system:
            result = await system.run(Step("a", same), 1)
        assert lies == []
        assert result.warnings == ()
        assert backend.get_trace(result.run_id) == result.trace_tree
