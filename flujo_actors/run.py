"""One run of a pipeline: from the first span to the stored record."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final, Generic, TypeVar

import attrs
import trio

from flujo_actors.context import ContextBranch
from flujo_actors.errors import FlujoError, ResourceError, UsageLimitExceededError
from flujo_actors.events import RunEvent
from flujo_actors.failures import FailureDomain, resource_failure, storage_failure, text_of
from flujo_actors.nurseries import is_only
from flujo_actors.observers import BegunRun, EndedRun, Observer, RunObserver, observe
from flujo_actors.resources import open_resources
from flujo_actors.results import PipelineResult, StepResult
from flujo_actors.snapshots import ActorSnapshot
from flujo_actors.spans import Span, SpanStatus, abridged, failure_attributes
from flujo_actors.steps import AnyStep
from flujo_actors.storage.actor import StorageActor
from flujo_actors.storage.policy import StorageFailurePolicy
from flujo_actors.storage.records import RunRecord
from flujo_actors.supervisors import LeafActor, RootSupervisor, RunEnvironment
from flujo_actors.supervisors.leaf import CURRENT_AGENT
from flujo_actors.watching import EVENT_BUFFER, Watchers

OutputT = TypeVar("OutputT")
ContextT = TypeVar("ContextT")

LOGGER: Final = logging.getLogger(__name__)


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
        inside: LeafActor | None,
        observers: Iterable[Observer],
    ) -> None:
        self._pipeline = pipeline
        self._data = data
        self._environment = environment
        self._storage = storage
        self._fails_with_storage = on_storage_failure is StorageFailurePolicy.FAIL
        self._root = RootSupervisor(environment, branch, pipeline, inside)
        self._started_at = environment.clock.now()
        self._ended = trio.Event()
        self._watchers = Watchers(environment.watchers)
        self._observers = observers
        self._result: PipelineResult[OutputT, ContextT] | None = None
        self._final_record: RunRecord | None = None

    def __repr__(self) -> str:
        state = "running" if not self._ended.is_set() else "aborted" if self._result is None else self._result.status
        return f"<Run {self.run_id} of {self._pipeline.name!r}, {state}>"

    @property
    def run_id(self) -> str:
        """32 hexadecimal digits."""
        return self._environment.run_id

    @property
    def record(self) -> RunRecord:
        """The run as a backend would list it now: what it has spent so far and, once it has ended, how."""
        return self._final_record or self._record(SpanStatus.RUNNING, None)

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

    async def wait_ended(self) -> None:
        """Wait until the run has ended, however it does. A checkpoint; cancelling it leaves the run alone."""
        await self._ended.wait()

    async def run_here(self) -> PipelineResult[OutputT, ContextT]:
        """Run to the end, in the task that calls this, and give the result as `wait` does."""
        return self._within_limits(await self.execute())

    def cancel(self, path_or_span_id: str | None = None, *, reason: str = "cancelled by the caller") -> bool:
        """Stop the run, or a part of it. Returns at once; what is stopped still cleans up.

        A run that is stopped has a result with the status `CANCELLED`, and all that was spent and done until then. A
        part that is stopped has failed in the domain `CANCELLED`, which means for the steps around it what any failure
        does: siblings go on where they would. It is not tried again, and no fallback runs for it.

        Args:
            path_or_span_id: the part: a step by its path (`fan/a`, `grow[3]/double`), an iteration or item (`grow[3]`),
                or a running step by the id of its span; `None` for the run.
            reason: why, for the failure's text.

        Returns:
            Whether anything was running there.
        """
        if path_or_span_id:
            return self._root.cancel_part(path_or_span_id, reason)
        is_running = not self._ended.is_set()
        self._root.cancel(reason)
        return is_running

    def snapshot(self) -> ActorSnapshot | None:
        """The tree of actors right now: what each is doing, for how long, and how long it may. A copy, plain data.

        Returns:
            The actor of the pipeline with those below it; `None` when the run has not begun, or has ended.
        """
        return self._root.snapshot()

    def events(self) -> trio.MemoryReceiveChannel[RunEvent]:
        """What happens in the run from now on, for `async for`; it ends when the run does. Any number may watch.

        The run never waits for a watcher. One that lags more than `EVENT_BUFFER` events behind misses those in
        between, and an `EventsMissed` tells it how many they were. Close the channel to stop watching early.
        """
        return self._watchers.watch(EVENT_BUFFER)

    async def run_apart(self) -> None:
        """Run to the end in a task of its own, as no part of the run whose agent may have started it."""
        CURRENT_AGENT.set(None)
        await self.execute()

    async def execute(self) -> PipelineResult[OutputT, ContextT]:
        """Run to the end, in the task that calls this. Once."""
        observing = self._observe()
        try:
            result = self._result = await self._execute()
        except BaseException as error:
            if self._final_record is None:  # not even its start was stored
                self._final_record = self._record(*_abort_of(error))
            raise
        finally:
            self._ended.set()
            self._watchers.close()
            ended = EndedRun(self.record.status, self.record.error, self._result)
            for observer in observing:
                observer.run_ends(ended)
        return result

    def _observe(self) -> list[RunObserver]:
        """Tell the system's observers that the run begins, and those that watch it what happens from here on."""
        environment = self._environment
        begun = BegunRun(self.run_id, self._pipeline.name, environment.clock.wall(self._started_at))
        observing = observe(self._observers, begun)
        environment.watchers.extend(each.event for each in observing)
        environment.attempt_watchers.extend(each.attempt_begins for each in observing)
        return observing

    def _within_limits(self, result: PipelineResult[OutputT, ContextT]) -> PipelineResult[OutputT, ContextT]:
        # Not the environment's `breach`: somebody may have charged the meter of a run that had ended.
        if result.failure is not None and result.failure.domain is FailureDomain.USAGE_LIMIT:
            raise UsageLimitExceededError(result.failure.message, result)
        return result

    async def _execute(self) -> PipelineResult[OutputT, ContextT]:
        if self._storage is not None:
            await self._storage.begin_run(self.record, self._note_storage_failure)
        problems: list[str] = []
        try:
            step_result = await self._run_with_resources(problems)
        except BaseException as error:
            for loss in (*problems, *await self._store_end(*self._aborted_by(error))):
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
            warnings=(*map(str, self._root.branch.advice), *problems, *missing),
            branch=self._root.branch,
        )

    def _aborted_by(self, error: BaseException) -> tuple[SpanStatus, str | None, Span | None]:
        """What to record of a run that an exception has passed through, and its root's span if that has to change."""
        status, text = _abort_of(error)
        spans = self._environment.spans
        root = spans[-1] if spans and spans[-1].parent_span_id is None else None
        if root is None or root.status is status:
            return status, text, None
        if status is SpanStatus.CANCELLED:
            # Too late: the pipeline had ended, and only its result was still to be given.
            failure = root.attributes.get("failure")
            return root.status, None if failure is None else str(failure["feedback"]), None
        spans[-1] = attrs.evolve(root, status=status)
        return status, text, spans[-1]

    async def _run_with_resources(self, problems: list[str]) -> StepResult:
        environment, root = self._environment, self._root
        result: StepResult | None = None
        try:
            # A resource may own a nursery, so a scope that was around its opening has to be there until it is closed.
            with root.beginning:
                async with open_resources(environment.settings.resources, problems) as opened:
                    if environment.settings.resources is not None:  # those of a run around this one are open already
                        environment.resources = opened
                    result = await root.run(self._pipeline, self._data)
            return result or root.end_early(self._pipeline)
        except ResourceError as error:
            if result is None:
                return root.end_early(self._pipeline, resource_failure(error))
            problems.append(str(error))
            return result
        finally:
            root.conclude()

    async def _store_end(self, status: SpanStatus, error: str | None, root: Span | None = None) -> tuple[str, ...]:
        """Have the end stored, wait until it is, and say what is missing.

        A cancellation that comes now comes too late: the run is over, and only its trace remains to be kept.
        """
        self._final_record = self._record(status, error)
        if self._storage is None:
            return ()
        missing: tuple[str, ...] = ()
        with trio.CancelScope(shield=True):
            missing = await self._storage.end_run(self._final_record, root)
        return missing  # noqa: RET504 - for mypy, a cancel scope may end a block early

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
        await self._store_end(SpanStatus.FAILED, str(failure), spans[-1])
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
            error=None if error is None else abridged(error),
        )


def _abort_of(error: BaseException) -> tuple[SpanStatus, str]:
    """The status and error of a run that an exception has passed through."""
    if not is_only(error, (trio.Cancelled, KeyboardInterrupt)):
        return SpanStatus.FAILED, f"the runtime stopped with {type(error).__name__}: {text_of(error)}"
    return SpanStatus.CANCELLED, "Cancelled: stopped by the program around the run"
