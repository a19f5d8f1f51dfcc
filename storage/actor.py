"""The storage actor: takes the spans of all runs of a system and writes them in batches.

Its mailbox is bounded. While the disk keeps up, sending a span costs no more than putting it in; when it does not,
the runs wait, and no span is lost. A batch is one transaction. It is written a moment after its first span came in,
at once when a run has ended, and holds all that has come in until then: a transaction and a hop to the worker thread
cost as much as some dozens of spans.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import attrs
import trio

from flujo_actors.actor import Actor
from flujo_actors.errors import DatabaseLockedError
from flujo_actors.mailbox import Mailbox
from flujo_actors.nurseries import open_inner_nursery
from flujo_actors.spans import Span
from flujo_actors.storage.backend import StateBackend
from flujo_actors.storage.records import RunRecord

MAILBOX_CAPACITY: Final = 1024
"""Spans that wait for the disk before the runs do."""

BATCH_SIZE: Final = MAILBOX_CAPACITY // 2
"""Spans that are written at once; the other half of the mailbox fills meanwhile."""

KEPT_AT_MOST: Final = 16 * MAILBOX_CAPACITY
"""Spans that are kept while they cannot be written. Of more, the run says that they are lost."""

BATCH_DELAY: Final = 0.02
"""Seconds that a span waits for company at the most, before it is written."""


@attrs.frozen
class RunStarted:
    """A run begins."""

    run: RunRecord


@attrs.frozen
class SpanEnded:
    """An actor has ended."""

    run_id: str
    span: Span


@attrs.frozen(eq=False)
class RunEnded:
    """A run has ended; all its spans were sent before this."""

    run: RunRecord
    written: trio.Event = attrs.Factory(trio.Event)
    """Set when this and everything before it is on disk, or was given up."""


@attrs.frozen
class Stop:
    """Nothing comes after this."""


StorageMessage: TypeAlias = RunStarted | SpanEnded | RunEnded | Stop


class StorageActor(Actor[StorageMessage]):
    """Writes what runs send to a `StateBackend`, in a worker thread. A `SpanSink`.

    Its scope is shielded: it works until it is told to stop, so that a cancelled run still has its trace written.
    """

    __slots__ = ("_backend", "_hurry", "_kept", "_losses", "_thread")

    def __init__(self, backend: StateBackend) -> None:
        super().__init__("storage", Mailbox("storage", MAILBOX_CAPACITY))
        self.cancel_scope.shield = True
        self._backend = backend
        self._hurry = trio.Event()
        self._thread = trio.CapacityLimiter(1)
        self._kept: dict[str, _Part] = {}
        self._losses: dict[str, list[str]] = defaultdict(list)

    async def work(self) -> None:
        """Write batch after batch, until a `Stop` has come."""
        stopping = False
        while not stopping:
            batch = await self._next_batch()
            stopping = any(isinstance(message, Stop) for message in batch)
            try:
                await trio.to_thread.run_sync(self._write, batch, limiter=self._thread)
            finally:
                _acknowledge(batch)

    async def _next_batch(self) -> list[StorageMessage]:
        """Wait for a first message, then for a moment or for a reason not to."""
        first = await self.mailbox.get()
        with trio.move_on_after(BATCH_DELAY):
            await self._hurry.wait()
        self._hurry = trio.Event()
        return [first, *self.mailbox.drain()]

    def stop(self) -> None:
        """Let go of whoever waits for a run to be written: nobody will write it now."""
        _acknowledge(self.mailbox.close())
        super().stop()

    async def begin_run(self, run: RunRecord) -> None:
        """Record that a run begins. A checkpoint; waits while the mailbox is full."""
        await self.mailbox.put(RunStarted(run))

    def record_nowait(self, run_id: str, span: Span) -> None:
        """Take a span at once, or raise `trio.WouldBlock`."""
        self.mailbox.put_nowait(SpanEnded(run_id, span))
        if len(self.mailbox) >= BATCH_SIZE:
            self._hurry.set()

    async def record(self, run_id: str, span: Span) -> None:
        """Take a span, waiting while the mailbox is full. A checkpoint."""
        await self.mailbox.put(SpanEnded(run_id, span))

    def record_reserved(self, run_id: str, span: Span) -> None:
        """Take the span of a cancelled actor, full mailbox or not."""
        self.mailbox.deliver(SpanEnded(run_id, span))

    def end_run(self, run: RunRecord) -> trio.Event:
        """Record that a run has ended.

        Returns:
            An event that is set when the run and all its spans are on disk, or were given up.
        """
        message = RunEnded(run)
        if self.mailbox.closed:
            message.written.set()
        self.mailbox.deliver(message)
        self._hurry.set()
        return message.written

    def finish(self) -> None:
        """Write what has been sent, then stop."""
        self.mailbox.deliver(Stop())
        self._hurry.set()

    def losses(self, run_id: str) -> tuple[str, ...]:
        """What could not be written of a run that has ended, as sentences. Told once."""
        return tuple(self._losses.pop(run_id, ()))

    def _write(self, batch: list[StorageMessage]) -> None:
        """One transaction for the batch, and for what an earlier one could not write."""
        parts = _by_run(batch, self._kept)
        self._kept = {}
        try:
            self._write_together(parts.values())
        except DatabaseLockedError as error:
            # Waiting for the lock once is enough; each part would wait as long again.
            for part in parts.values():
                self._keep_or_lose(part, error)
        except Exception:  # noqa: BLE001 - a backend may raise anything; the runs go on
            for part in parts.values():
                self._write_alone(part)

    def _write_together(self, parts: Iterable[_Part]) -> None:
        with self._backend.transaction():
            for part in parts:
                part.write(self._backend)

    def _write_alone(self, part: _Part) -> None:
        """What is wrong with one run's part shall not cost the others theirs."""
        try:
            self._write_together([part])
        except Exception as error:  # noqa: BLE001 - as above
            self._keep_or_lose(part, error)

    def _keep_or_lose(self, part: _Part, error: Exception) -> None:
        """Keep what could not be written for the next batch, unless the run has ended or too much is kept already."""
        if part.end is None and sum(len(kept.spans) for kept in self._kept.values()) < KEPT_AT_MOST:
            self._kept[part.run_id] = part
        else:
            self._losses[part.run_id].append(f"{part.description()} could not be stored: {error}")


@attrs.define
class _Part:
    """What a batch holds of one run."""

    run_id: str
    start: RunRecord | None = None
    spans: list[Span] = attrs.Factory(list[Span])
    end: RunRecord | None = None

    def write(self, backend: StateBackend) -> None:
        if self.start is not None:
            backend.record_run_start(self.start)
        if self.spans:
            backend.record_spans(self.run_id, self.spans)
        if self.end is not None:
            backend.record_run_end(self.end)

    def description(self) -> str:
        spans = "1 span" if len(self.spans) == 1 else f"{len(self.spans)} spans"
        parts = [
            "the start of the run" if self.start is not None else "",
            f"{spans} of its trace" if self.spans else "",
            "the end of the run" if self.end is not None else "",
        ]
        return ", ".join(part for part in parts if part)


def _by_run(batch: Iterable[StorageMessage], kept: Mapping[str, _Part]) -> dict[str, _Part]:
    parts = dict(kept)
    for message in batch:
        match message:
            case SpanEnded(run_id, span):
                _part_of(parts, run_id).spans.append(span)
            case RunStarted(run):
                _part_of(parts, run.run_id).start = run
            case RunEnded(run):
                _part_of(parts, run.run_id).end = run
            case Stop():
                pass
    return parts


def _part_of(parts: dict[str, _Part], run_id: str) -> _Part:
    part = parts.get(run_id)
    if part is None:
        part = parts[run_id] = _Part(run_id)
    return part


def _acknowledge(batch: Iterable[StorageMessage]) -> None:
    for message in batch:
        if isinstance(message, RunEnded):
            message.written.set()


@asynccontextmanager
async def open_storage(backend: StateBackend) -> AsyncGenerator[StorageActor, None]:
    """Run a storage actor around a block. At its end everything sent is written, then the backend is closed.

    Entering and leaving are checkpoints. What was sent is written also when the block is cancelled or raises; that
    takes as long as the disk takes.

    Raises:
        StorageError: the backend cannot be opened. Nothing was started.
    """
    await trio.to_thread.run_sync(backend.open)
    actor = StorageActor(backend)
    try:
        async with open_inner_nursery() as nursery:
            nursery.start_soon(actor.run, name=actor.name)
            try:
                yield actor
            finally:
                actor.finish()
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(backend.close)
