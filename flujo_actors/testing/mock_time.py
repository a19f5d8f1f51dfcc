"""Virtual time: what waits in a test costs no time, and what is measured in it is exact."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final, ParamSpec, TypeVar, overload

import trio
import trio.testing
from typing_extensions import Unpack

from flujo_actors.options import RunOptions
from flujo_actors.results import PipelineResult
from flujo_actors.steps import AnyStep, BaseStep
from flujo_actors.storage.backend import StateBackend
from flujo_actors.system import open_system

P = ParamSpec("P")
ResultT = TypeVar("ResultT")
InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")
ContextT = TypeVar("ContextT")

PATIENCE: Final = 5.0
"""Real seconds for which virtual time stands still while a thread works. A thread that stays longer is taken for one
that waits for us."""


def in_mock_time(function: Callable[P, Awaitable[ResultT]]) -> Callable[P, ResultT]:
    """Make a plain function of an async one: each call runs it in a trio loop of its own, in virtual time.

    The time is that of a `trio.testing.MockClock` that begins at 0, and jumps to the next deadline whenever all tasks
    wait. Unlike one that is left to itself, it does not jump while a thread works (`trio.to_thread`), so that a
    database, or an agent that calls one, takes no virtual time. It does jump while something else from outside of trio
    is awaited: a socket, another process.

    For a test of pytest, with its fixtures or without: pytest sees a plain function.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> ResultT:
        async def main() -> ResultT:
            return await function(*args, **kwargs)

        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(main, clock=clock, instruments=[_WaitingForThreads(clock)])

    return run


class _WaitingForThreads(trio.abc.Instrument):
    """Keeps a clock from jumping while threads work. Their number changes in tasks that start and await them."""

    def __init__(self, clock: trio.testing.MockClock) -> None:
        self._clock = clock

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        threshold = PATIENCE if trio.testing.active_thread_count() else 0.0
        if self._clock.autojump_threshold != threshold:
            self._clock.autojump_threshold = threshold


@overload
def run_in_mock_time(
    pipeline: BaseStep[InputT, OutputT, None],
    data: InputT,
    *,
    storage: StateBackend | None = None,
    **options: Unpack[RunOptions],
) -> PipelineResult[OutputT, None]: ...
@overload
def run_in_mock_time(
    pipeline: BaseStep[InputT, OutputT, ContextT],
    data: InputT,
    *,
    context: ContextT,
    storage: StateBackend | None = None,
    **options: Unpack[RunOptions],
) -> PipelineResult[OutputT, ContextT]: ...
@in_mock_time
async def run_in_mock_time(
    pipeline: AnyStep,
    data: Any,
    *,
    context: Any = None,
    storage: StateBackend | None = None,
    **options: Unpack[RunOptions],
) -> Any:
    """Run a pipeline in virtual time, as `in_mock_time` has it, and give the result. For tests that are not async.

    Args and errors are those of `System.run` and `open_system`.
    """
    async with open_system(storage=storage) as system:
        return await system.run(pipeline, data, context=context, **options)
