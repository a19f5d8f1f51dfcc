"""The storage actor: takes the spans of all runs of a system and writes them in batches.

Its mailbox is bounded. While the disk keeps up, sending a span costs no more than putting it in; when it does not,
the runs wait, and no span is lost. A batch is one transaction. It is written a moment after its first span came in,
at once when a run has ended, and holds all that has come in until then: a transaction and a hop to the worker thread
cost as much as some dozens of spans.

When storing fails, nobody waits any more. What comes is kept in the ledger, within its bounds, and storing is tried
again from time to time until it works or the system is closed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final

import trio

from flujo_actors.actor import Actor
from flujo_actors.mailbox import Mailbox
from flujo_actors.nurseries import open_inner_nursery
from flujo_actors.spans import Span
from flujo_actors.storage.backend import StateBackend
from flujo_actors.storage.inbox import RunEnded, RunStarted, Stop, StorageMessage, ignore
from flujo_actors.storage.ledger import Ledger
from flujo_actors.storage.parts import Part
from flujo_actors.storage.records import RunRecord
from flujo_actors.storage.writing import write_parts

LOGGER: Final = logging.getLogger(__name__)

MAILBOX_CAPACITY: Final = 4096
"""Spans that wait for the disk before the runs do."""

BATCH_SIZE: Final = MAILBOX_CAPACITY // 2
"""Spans that are written without waiting for more; the other half of the mailbox fills meanwhile."""

BATCH_DELAY: Final = 0.02
"""Seconds that a span waits for company at the most, before it is written."""

FIRST_RETRY_DELAY: Final = 0.05
"""Seconds until storing is tried again after it has failed, doubled each time."""

LAST_RETRY_DELAY: Final = 5.0
"""The seconds that are not doubled any more."""


class StorageActor(Actor[StorageMessage]):
    """Writes what runs send to a `StateBackend`, in a worker thread. A `SpanSink`.

    Its scope is shielded: it works until it is told to stop, so that a cancelled run still has its trace written.
    """

    __slots__ = ("_backend", "_hurry", "_ledger", "_thread")

    def __init__(self, backend: StateBackend) -> None:
        super().__init__("storage", Mailbox("storage", MAILBOX_CAPACITY))
        self.cancel_scope.shield = True
        self._backend = backend
        self._hurry = trio.Event()
        self._ledger = Ledger()
        self._thread = trio.CapacityLimiter(1)

    async def work(self) -> None:
        """Write batch after batch, until a `Stop` has come."""
        while not self._ledger.is_closing:
            await self._take_batch()
            await self._write()
            delay = FIRST_RETRY_DELAY
            while self._ledger.failure is not None and not self._ledger.is_closing:
                await self._sit_out_failure(delay)
                await self._write()
                delay = min(2 * delay, LAST_RETRY_DELAY)

    def stop(self) -> None:
        """Let go of whoever waits for a run to be written: nobody will write it now."""
        self._ledger.take(self.mailbox.close())
        self._ledger.give_up()
        super().stop()

    async def begin_run(self, run: RunRecord, on_failure: Callable[[str], None] = ignore) -> None:
        """Record that a run begins. A checkpoint; waits while the mailbox is full.

        Args:
            run: the run as it begins.
            on_failure: called with the reason, each time that something of the run cannot be stored.
        """
        await self.mailbox.put(RunStarted(run, on_failure))

    def record_nowait(self, run_id: str, span: Span) -> None:
        """Take a span at once, or raise `trio.WouldBlock`."""
        mailbox = self.mailbox
        mailbox.put_nowait((run_id, span))
        if len(mailbox) == BATCH_SIZE:
            self._hurry.set()

    async def record(self, run_id: str, span: Span) -> None:
        """Take a span, waiting while the mailbox is full. A checkpoint."""
        await self.mailbox.put((run_id, span))

    def record_reserved(self, run_id: str, span: Span) -> None:
        """Take the span of a cancelled actor, full mailbox or not."""
        self.mailbox.deliver((run_id, span))

    async def end_run(self, run: RunRecord, root: Span | None = None) -> tuple[str, ...]:
        """Record that a run has ended, and wait until it is stored with all its spans, or cannot be.

        A checkpoint. Cancelled, the end is recorded all the same.

        Args:
            run: the run's final record. It takes the place of one that was recorded before.
            root: its root span, where that takes the place of the one before, too.

        Returns:
            What could not be stored, and why, as sentences.
        """
        message = RunEnded(run, root)
        if self.mailbox.closed:
            message.settle()
        self.mailbox.deliver(message)
        self._hurry.set()
        await message.settled.wait()
        return message.missing

    def finish(self) -> None:
        """Write what has been sent, then stop."""
        self.mailbox.deliver(Stop())
        self._hurry.set()

    async def _take_batch(self) -> None:
        """Wait for a first message, then for a moment or for a reason not to."""
        first = await self.mailbox.get()
        await self._wait(BATCH_DELAY)
        self._ledger.take([first, *self.mailbox.drain()])

    async def _write(self) -> None:
        """Write what waits, as long as that works."""
        while self._ledger.failure is None and (parts := self._ledger.take_parts(MAILBOX_CAPACITY)):
            await self._write_parts(parts)

    async def _write_parts(self, parts: Sequence[Part]) -> None:
        outcome = await trio.to_thread.run_sync(write_parts, self._backend, parts, limiter=self._thread)
        self._ledger.settle(outcome)

    async def _sit_out_failure(self, delay: float) -> None:
        """Wait for so long, while nobody waits for the storage, then see with a single span whether it works again."""
        async with open_inner_nursery() as nursery:
            nursery.start_soon(self._keep_what_comes)
            await self._wait(delay)
            await self._write_parts(self._ledger.take_probe(MAILBOX_CAPACITY))
            nursery.cancel_scope.cancel()

    async def _keep_what_comes(self) -> None:
        while True:
            first = await self.mailbox.get()
            self._ledger.take([first, *self.mailbox.drain()])

    async def _wait(self, seconds: float) -> None:
        """Wait for so long, or for a reason not to."""
        with trio.move_on_after(seconds):
            await self._hurry.wait()
        self._hurry = trio.Event()


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
            await trio.to_thread.run_sync(_close, backend)


def _close(backend: StateBackend) -> None:
    try:
        backend.close()
    except Exception as error:  # noqa: BLE001 - a backend may raise anything, and must not cost the runs their results
        LOGGER.warning("storage could not be closed: %s", error)
