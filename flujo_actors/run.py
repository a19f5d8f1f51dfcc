"""One run of a pipeline: from the first span to the stored record."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import attrs
import trio

from flujo_actors.context import ContextBranch
from flujo_actors.errors import FlujoError, UsageLimitExceededError
from flujo_actors.events import EventsMissed, RunEvent
from flujo_actors.failures import storage_failure
from flujo_actors.limits import UsageLimits
from flujo_actors.nurseries import exceptions_in
from flujo_actors.results import PipelineResult, StepResult
from flujo_actors.spans import SpanStatus, failure_attributes
from flujo_actors.steps import AnyStep
from flujo_actors.storage.actor import StorageActor
from flujo_actors.storage.policy import StorageFailurePolicy
from flujo_actors.storage.records import RunRecord
from flujo_actors.supervisors import RootSupervisor, RunEnvironment

OutputT = TypeVar("OutputT")
ContextT = TypeVar("ContextT")

LOGGER: Final = logging.getLogger(__name__)

EVENT_BUFFER: Final = 1024
"""Events that wait for one watcher before it misses some."""


class RunAbortedError(FlujoError):
    """Raised by `Run.wait` when the run has no result: the program around it was cancelled or crashed."""


class Run(Generic[OutputT, ContextT]):
    """A run that was started: wait for it, watch it, cancel it. Made by `System.start`."""

    def __init__(
        self,
        pipeline: AnyStep,
        data: Any,
        *,
        branch: ContextBranch,
        environment: RunEnvironment,
        storage: StorageActor | None,
        on_storage_failure: StorageFailurePolicy,
        limits: UsageLimits | None,
    ) -> None:
        self._pipeline = pipeline
        self._data = data
        self._environment = environment
        self._storage = storage
        self._fails_with_storage = on_storage_failure is StorageFailurePolicy.FAIL
        self._root = RootSupervisor(environment, branch, limits)
        self._started_at = environment.clock.now()
        self._ended = trio.Event()
        self._watchers: list[Watcher] = []
        self._result: PipelineResult[OutputT, ContextT] | None = None

    def __repr__(self) -> str:
        state = "running" if not self._ended.is_set() else "aborted" if self._result is None else self._result.status
        return f"<Run {self.run_id} of {self._pipeline.name!r}, {state}>"

    @property
    def run_id(self) -> str:
        """32 hexadecimal digits."""
        return self._environment.run_id

    async def wait(self) -> PipelineResult[OutputT, ContextT]:
        """Wait for the run's result. A checkpoint; cancelling it leaves the run alone.

        Raises:
            RunAbortedError: the run was ended from around it and has no result.
            UsageLimitExceededError: a usage limit ended it; the result is in the error.
        """
        await self._ended.wait()
        if self._result is None:
            # Whatever ended the run is cancelling us too, unless we are outside of it.
            await trio.lowlevel.checkpoint()
            raise RunAbortedError(f"Run {self.run_id} was ended together with the system that ran it")
        return self._within_limits(self._result)

    async def run_here(self) -> PipelineResult[OutputT, ContextT]:
        """Run to the end, in the task that calls this, and give the result as `wait` does."""
        return self._within_limits(await self.execute())

    def cancel(self, reason: str = "cancelled by the caller") -> None:
        """Stop the run. Its result has the status `CANCELLED`, and all that was spent and done until then."""
        self._root.cancel(reason)

    def events(self) -> trio.MemoryReceiveChannel[RunEvent]:
        """What happens in the run from now on, for `async for`; it ends when the run does. Any number may watch.

        The run never waits for a watcher. One that lags more than `EVENT_BUFFER` events behind misses those in
        between, and an `EventsMissed` tells it how many they were. Close the channel to stop watching early.
        """
        # One place is kept for a last `EventsMissed`.
        send, receive = trio.open_memory_channel[RunEvent](EVENT_BUFFER + 1)
        if self._ended.is_set():
            send.close()
        else:
            watcher = Watcher(send, self._environment.watchers)
            self._watchers.append(watcher)
            self._environment.watchers.append(watcher.tell)
        return receive

    async def execute(self) -> PipelineResult[OutputT, ContextT]:
        """Run to the end, in the task that calls this. `System` calls it, once."""
        try:
            self._result = await self._execute()
        finally:
            self._ended.set()
            for watcher in self._watchers:
                watcher.close()
        return self._result

    def _within_limits(self, result: PipelineResult[OutputT, ContextT]) -> PipelineResult[OutputT, ContextT]:
        if self._environment.breach is not None:
            raise UsageLimitExceededError(self._environment.breach, result)
        return result

    async def _execute(self) -> PipelineResult[OutputT, ContextT]:
        if self._storage is not None:
            await self._storage.begin_run(self._record(SpanStatus.RUNNING, None), self._note_storage_failure)
        try:
            step_result = await self._root.run(self._pipeline, self._data)
        except BaseException as error:
            with trio.CancelScope(shield=True):
                for loss in await self._store_end(*_abort_of(error)):
                    # There will be no result to say it.
                    LOGGER.warning("run %s: %s", self.run_id, loss)
            raise
        # The root's span is the last, and says how the run ended.
        failure = step_result.failure
        missing = await self._store_end(self._environment.spans[-1].status, None if failure is None else str(failure))
        if missing and self._fails_with_storage and failure is None:
            step_result = await self._fail_at_the_end(step_result, missing)
        return PipelineResult(
            run_id=self.run_id,
            status=self._environment.spans[-1].status,
            output=step_result.output,
            context=self._root.branch.publish(),
            step_history=step_result.step_history,
            total_cost_usd=self._root.meter.cost_usd,
            total_tokens=self._root.meter.total_tokens,
            failure=step_result.failure,
            spans=tuple(self._environment.spans),
            warnings=(*map(str, self._root.branch.advice), *missing),
            branch=self._root.branch,
        )

    async def _store_end(self, status: SpanStatus, error: str | None) -> tuple[str, ...]:
        """Have the end stored, wait until it is, and say what is missing."""
        return () if self._storage is None else await self._storage.end_run(self._record(status, error))

    def _note_storage_failure(self, problem: str) -> None:
        """Called, perhaps several times, when something of the run cannot be stored."""
        if self._fails_with_storage:
            self._root.fail(storage_failure(problem))

    async def _fail_at_the_end(self, result: StepResult, missing: tuple[str, ...]) -> StepResult:
        """Fail a run that had completed when its last part could not be stored. Its output stays."""
        failure = storage_failure("; ".join(missing))
        spans = self._environment.spans
        attributes = {**spans[-1].attributes, "failure": failure_attributes(failure)}
        spans[-1] = attrs.evolve(spans[-1], status=SpanStatus.FAILED, attributes=attributes)
        if self._storage is not None:
            await self._storage.end_run(self._record(SpanStatus.FAILED, str(failure)), spans[-1])
        return attrs.evolve(result, success=False, failure=failure, feedback=failure.feedback)

    def _record(self, status: SpanStatus, error: str | None) -> RunRecord:
        clock = self._environment.clock
        return RunRecord(
            run_id=self.run_id,
            status=status,
            pipeline=self._pipeline.name,
            started_at=clock.wall(self._started_at),
            ended_at=None if status is SpanStatus.RUNNING else clock.wall(clock.now()),
            total_cost_usd=self._root.meter.cost_usd,
            total_tokens=self._root.meter.total_tokens,
            error=error,
        )


class Watcher:
    """Sends one reader the events that it has room for."""

    def __init__(self, send: trio.MemorySendChannel[RunEvent], watchers: list[Callable[[RunEvent], None]]) -> None:
        self._send = send
        self._watchers = watchers
        self._missed = 0

    def tell(self, event: RunEvent) -> None:
        """Send the event, or count it as missed."""
        buffer = self._send.statistics()
        room = buffer.max_buffer_size - 1 - buffer.current_buffer_used
        if room < (2 if self._missed else 1):
            self._missed += 1
            return
        self._tell_what_was_missed()
        self._send_if_read(event)

    def close(self) -> None:
        """Say that no more events come."""
        self._tell_what_was_missed()
        self._send.close()

    def _tell_what_was_missed(self) -> None:
        if self._missed:
            self._send_if_read(EventsMissed(self._missed))
            self._missed = 0

    def _send_if_read(self, event: RunEvent) -> None:
        try:
            self._send.send_nowait(event)
        except trio.BrokenResourceError:  # the reader has gone
            with suppress(ValueError):  # it was found out before
                self._watchers.remove(self.tell)


def _abort_of(error: BaseException) -> tuple[SpanStatus, str]:
    """The status and error of a run that an exception has passed through."""
    if not _is_only(error, (trio.Cancelled, KeyboardInterrupt)):
        return SpanStatus.FAILED, f"the runtime stopped with {type(error).__name__}: {error}"
    return SpanStatus.CANCELLED, "Cancelled: stopped by the program around the run"


def _is_only(error: BaseException, types: tuple[type[BaseException], ...]) -> bool:
    """Whether an exception, or every one in a group, is of these types."""
    inside = exceptions_in(error)
    return all(_is_only(each, types) for each in inside) if inside else isinstance(error, types)
