"""The entry: a system runs pipelines inside any trio program; several may stand side by side."""

from __future__ import annotations

import random
import reprlib
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, overload

import trio
from typing_extensions import Unpack

from flujo_actors.actors.environment import open_environment
from flujo_actors.actors.events import ActorEvent
from flujo_actors.actors.roots import Root, open_root
from flujo_actors.actors.spawning import Spawner
from flujo_actors.actors.specifications import OTP_DEFAULTS, Supervision
from flujo_actors.actors.supervising import SupervisorChild
from flujo_actors.caching import ResultCache
from flujo_actors.capture import USUAL, Capture, Redact, capture_with
from flujo_actors.clock import IdSource, RunClock
from flujo_actors.context import open_branch
from flujo_actors.errors import InvalidPipelineError, Problem, SystemClosedError, WrongLoopError
from flujo_actors.events import EventsMissed
from flujo_actors.nurseries import open_inner_nursery
from flujo_actors.observers import Observer
from flujo_actors.options import RunOptions, RunSettings
from flujo_actors.results import PipelineResult
from flujo_actors.run import Run
from flujo_actors.steps import AnyStep, BaseStep, Pipeline
from flujo_actors.steps.checking import check_context
from flujo_actors.storage.actor import StorageActor, open_storage
from flujo_actors.storage.policy import StorageFailurePolicy
from flujo_actors.supervisors import DEFAULT_ACTORS, ActorRegistry, LeafActor, RunEnvironment, UnknownStepError
from flujo_actors.supervisors.nesting import context_outside_agents, current_agent

if TYPE_CHECKING:
    from flujo_actors.storage.backend import StateBackend
    from flujo_actors.supervisors.registry import ActorType

_NO_STEP: Final = Problem("", "it is no step; wrap a function with @step, an agent with Step(name, agent)")

InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")
ContextT = TypeVar("ContextT")


class System(Spawner):
    """Runs pipelines and actors. Made by `open_system`; it has no state that another system could see."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        storage: StorageActor | None,
        on_storage_failure: StorageFailurePolicy,
        actors: ActorRegistry,
        randomness: random.Random,
        cache: ResultCache,
        capture: Capture | None,
        root: Root,
        observers: tuple[Observer, ...],
    ) -> None:
        self._capture = capture
        self._nursery = nursery
        self._storage = storage
        self._on_storage_failure = on_storage_failure
        self._actors = actors
        self._random = randomness
        self._ids = IdSource(randomness)
        self._cache = cache
        self._root = root
        self._runs: dict[Run[Any, Any], bool] = {}
        """Those that are going on; whether each runs in a task of the system's own."""
        self._observers = observers
        self._closed = False

    @property
    def capture(self) -> Capture:
        """Shows values of its runs, with what is secret hidden as `open_system` was told."""
        return self._capture or USUAL

    @property
    def runs(self) -> tuple[Run[Any, Any], ...]:
        """The runs that are going on, in the order of their start. One inside an agent is part of the run around it."""
        return tuple(self._runs)

    @overload
    async def run(
        self,
        pipeline: BaseStep[InputT, OutputT, None],
        data: InputT,
        **options: Unpack[RunOptions],
    ) -> PipelineResult[OutputT, None]: ...
    @overload
    async def run(
        self,
        pipeline: BaseStep[InputT, OutputT, ContextT],
        data: InputT,
        *,
        context: ContextT,
        **options: Unpack[RunOptions],
    ) -> PipelineResult[OutputT, ContextT]: ...
    async def run(
        self,
        pipeline: AnyStep,
        data: Any,
        *,
        context: Any = None,
        **options: Unpack[RunOptions],
    ) -> Any:
        """Run a pipeline, or any step, to its end.

        A step that fails raises nothing here: look at `result.success` and `result.failure`.

        A checkpoint. Cancelling it cancels the run: every agent gets the chance to clean up, the record says
        `cancelled`, all spans are stored, and `Cancelled` goes on.

        Args:
            pipeline: what to run.
            data: the input of its first step.
            context: an attrs or dataclass instance, a pydantic model or a dict. It is copied, never changed; what
                the run made of it is `result.context`.
            **options: `resources`, `usage_limits`, `max_concurrency`, `keep_results`, as in `RunSettings`.

        Raises:
            UsageLimitExceededError: a limit, of the run or of a step in it, was breached. The result is in the error.
            InvalidPipelineError: the pipeline cannot run, for the reasons listed. Nothing has happened.
            ContextError: the context is of another type, or holds what cannot be isolated. Nothing has happened.
            SystemClosedError: the system's block has ended. Actors of the system may go on until they are stopped.
            ValueError: an option has no meaning.
        """
        inside = current_agent(self)
        if self._closed and inside is None and not self._root.is_around_this_task():
            raise SystemClosedError
        run = self._prepare(pipeline, data, context, options, inside=inside)
        if inside is not None:
            return await run.run_here()
        self._runs[run] = False
        try:
            return await run.run_here()
        finally:
            del self._runs[run]

    @overload
    async def start(
        self,
        pipeline: BaseStep[InputT, OutputT, None],
        data: InputT,
        **options: Unpack[RunOptions],
    ) -> Run[OutputT, None]: ...
    @overload
    async def start(
        self,
        pipeline: BaseStep[InputT, OutputT, ContextT],
        data: InputT,
        *,
        context: ContextT,
        **options: Unpack[RunOptions],
    ) -> Run[OutputT, ContextT]: ...
    async def start(
        self,
        pipeline: AnyStep,
        data: Any,
        *,
        context: Any = None,
        **options: Unpack[RunOptions],
    ) -> Any:
        """Start a run and return at once with a handle of it. The run ends with the system at the latest.

        A checkpoint, before anything has happened; an event stream opened right after it misses nothing.

        Args and errors are those of `run`.
        """
        if self._closed:
            raise SystemClosedError
        run = self._prepare(pipeline, data, context, options, inside=None)
        await trio.lowlevel.checkpoint()
        self._runs[run] = True
        self._nursery.start_soon(self._run_apart, run, name=f"run {run.run_id}")
        return run

    def actor_events(self) -> trio.MemoryReceiveChannel[ActorEvent | EventsMissed]:
        """What the supervisors of actors do from now on, for `async for`; it ends with the system.

        They never wait for a reader, and what they decide is told before it is done. One who lags more than
        `EVENT_BUFFER` events behind misses those in between, and an `EventsMissed` says how many they were.
        """
        return self._root.environment.reporter.watch()

    def _supervisor(self) -> SupervisorChild:
        if self._closed:
            raise SystemClosedError
        return self._root.supervisor()

    async def _run_apart(self, run: Run[Any, Any]) -> None:
        try:
            await run.run_apart()
        finally:
            del self._runs[run]

    async def finish(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Take no more runs and actors, and wait for the runs in tasks of others. Called at the end of the block.

        Actors are stopped after this. What they run until then is bounded by their own time.

        When the block ends by an exception, or this is cancelled, they are cancelled and waited for under a shield.
        """
        self._closed = True
        callers = [run for run, is_own in self._runs.items() if not is_own]
        try:
            if error is None:
                for run in callers:
                    await run.wait_ended()
        finally:
            for run in callers:
                run.cancel(reason="the system was closed")
            with trio.CancelScope(shield=True):
                for run in callers:
                    await run.wait_ended()

    def _prepare(
        self, pipeline: AnyStep, data: Any, context: Any, options: RunOptions, *, inside: LeafActor | None
    ) -> Run[Any, Any]:
        if not isinstance(pipeline, BaseStep):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers
            raise InvalidPipelineError(reprlib.repr(pipeline), (_NO_STEP,))
        problems = (*pipeline.check(), *check_context(pipeline, context), *self._unknown_steps(pipeline))
        if problems:
            raise InvalidPipelineError(pipeline.name, problems)
        root = pipeline if isinstance(pipeline, Pipeline) else Pipeline(pipeline.name, (pipeline,))
        settings = RunSettings(**options)
        environment = self._environment(settings) if inside is None else inside.environment.inside(settings)
        return Run(
            root,
            data,
            branch=open_branch(context),
            environment=environment,
            storage=self._storage if inside is None else None,
            on_storage_failure=self._on_storage_failure,
            inside=inside,
            observers=self._observers if inside is None else (),
        )

    def _environment(self, settings: RunSettings) -> RunEnvironment:
        return RunEnvironment(
            self._ids.run_id(),
            system=self,
            actors=self._actors,
            clock=RunClock(),
            random=self._random,
            span_numbers=count(self._ids.first_span_number()),
            settings=settings,
            sink=self._storage,
            capture=self._capture,
            cache=self._cache,
        )

    def _unknown_steps(self, pipeline: AnyStep) -> list[Problem]:
        problems: list[Problem] = []
        if pipeline.classes <= self._actors.actors.keys():
            return problems
        for path, step in pipeline.walk():
            try:
                self._actors.actor_for(step)
            except UnknownStepError as error:
                problems.append(Problem(path, str(error)))
        return problems


@asynccontextmanager
async def open_system(
    *,
    storage: StateBackend | None = None,
    on_storage_failure: StorageFailurePolicy | Literal["degrade", "fail"] = StorageFailurePolicy.DEGRADE,
    actors: Mapping[type[AnyStep], ActorType] | None = None,
    random_seed: int | None = None,
    cache: ResultCache | None = None,
    redact: Redact | None = None,
    supervision: Supervision = OTP_DEFAULTS,
    observers: Iterable[Observer] = (),
) -> AsyncGenerator[System, None]:
    """Open a system for the length of an `async with` block, inside any trio program.

    Entering and leaving are checkpoints. Leaving waits for the runs that were started; leaving by an exception or
    a cancellation cancels them. In every case their records and spans are written before the block is left. The
    actors outlive the runs: they are stopped then, the last one started first, in an orderly way or by cancellation.

    Args:
        storage: where runs and their traces are kept; `None` keeps them in the results alone. It is opened here,
            and closed at the end.
        on_storage_failure: what becomes of a run that cannot be stored.
        actors: supervising actors for step classes of your own, or other ones for those of the library.
        random_seed: makes ids and jitter repeatable; `None` takes them from the operating system.
        cache: what `CacheStep`s remember; `None` for a new one that ends with the system.
        redact: what is hidden of the inputs and outputs that spans show: names of fields and keys (patterns as of
            `fnmatch`, whatever the spelling), or a function of a name and its value that gives what is shown.
            `None` hides what stands under names such as `password`, `token` and `api_key`.
        supervision: how the actors that the system spawns are supervised.
        observers: told of every run, and of all that happens in it.

    Raises:
        StorageError: the storage cannot be opened, whatever `on_storage_failure` says.
        RestartIntensityError: the supervisor of the system's actors gave up. The block was cancelled.
        WrongLoopError: this is no trio program.
    """
    policy = StorageFailurePolicy(on_storage_failure)
    registry = DEFAULT_ACTORS.with_actors(actors or {})
    randomness = random.Random(random_seed)  # noqa: S311 - ids and jitter are no secrets
    remembered = ResultCache() if cache is None else cache
    capture = capture_with(redact)
    if not trio.lowlevel.in_trio_task():
        raise WrongLoopError(
            "open_system needs a trio program. In one of asyncio's, run a pipeline in a thread, "
            "`await asyncio.to_thread(run_pipeline, ...)`, or trio as a guest of asyncio's loop"
        )
    await trio.lowlevel.checkpoint()
    async with AsyncExitStack() as stack:
        storage_actor = None if storage is None else await stack.enter_async_context(open_storage(storage))
        environment = await stack.enter_async_context(open_environment(context_outside_agents))
        root = await stack.enter_async_context(open_root("", supervision, environment))
        system = System(
            await stack.enter_async_context(open_inner_nursery()),
            storage=storage_actor,
            on_storage_failure=policy,
            actors=registry,
            randomness=randomness,
            cache=remembered,
            capture=None if storage is None else capture,
            root=root,
            observers=tuple(observers),
        )
        stack.push_async_exit(system.finish)
        yield system


@overload
def run_pipeline(
    pipeline: BaseStep[InputT, OutputT, None],
    data: InputT,
    *,
    storage: StateBackend | None = None,
    observers: Iterable[Observer] = (),
    **options: Unpack[RunOptions],
) -> PipelineResult[OutputT, None]: ...
@overload
def run_pipeline(
    pipeline: BaseStep[InputT, OutputT, ContextT],
    data: InputT,
    *,
    context: ContextT,
    storage: StateBackend | None = None,
    observers: Iterable[Observer] = (),
    **options: Unpack[RunOptions],
) -> PipelineResult[OutputT, ContextT]: ...
def run_pipeline(
    pipeline: AnyStep,
    data: Any,
    *,
    context: Any = None,
    storage: StateBackend | None = None,
    observers: Iterable[Observer] = (),
    **options: Unpack[RunOptions],
) -> Any:
    """Run a pipeline in a program that is not a trio program: opens a trio loop and a system just for it.

    Args and errors are those of `System.run` and `open_system`; inside a trio program it is a `WrongLoopError`.
    """
    if trio.lowlevel.in_trio_run():
        raise WrongLoopError(
            "run_pipeline opens an event loop of its own. In a trio program, run the pipeline in its loop: "
            "`async with open_system() as system: await system.run(...)`"
        )

    async def main() -> Any:
        async with open_system(storage=storage, observers=observers) as system:
            return await system.run(pipeline, data, context=context, **options)

    return trio.run(main)
