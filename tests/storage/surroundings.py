"""What the tests of failing storage share: a run that is held in the middle, and surroundings that refuse things."""

from __future__ import annotations

import os
import resource
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import attrs
import trio

from flujo_actors import Pipeline, PipelineResult, Run, Step, StorageFailurePolicy, System, open_system
from flujo_actors.storage import RunRecord, SQLiteBackend, StateBackend

Result = PipelineResult[Any, Any]

PATIENCE = 60.0
"""Seconds after which a test gives up."""


def same(data: int) -> int:
    """An agent that does nothing."""
    return data


@attrs.define
class Held:
    """A run of five steps that is held in its third, with what came before stored."""

    system: System
    run: Run[Any, Any]
    backend: StateBackend
    _go: trio.Event

    async def finish(self) -> Result:
        """Let it go on."""
        self._go.set()
        with trio.fail_after(PATIENCE):
            return await self.run.wait()


@asynccontextmanager
async def held_run(
    backend: StateBackend, policy: StorageFailurePolicy = StorageFailurePolicy.DEGRADE, payload: str = ""
) -> AsyncGenerator[Held, None]:
    """A run to which something can be done before it goes on. `payload` makes its fourth span large."""
    go, waiting = trio.Event(), trio.Event()

    async def hold(data: int) -> int:
        waiting.set()
        await go.wait()
        return data

    steps = [
        Step("one", same),
        Step("two", same),
        Step("hold", hold),
        Step(f"four{payload}", same),
        Step("five", same),
    ]
    async with open_system(storage=backend, on_storage_failure=policy) as system:
        run = await system.start(Pipeline("held", steps), 7)
        await waiting.wait()
        await until(lambda: len(backend.get_spans(run.run_id)) == 2)
        yield Held(system, run, backend, go)
        go.set()


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what nobody tells. It is asked in a thread, and may read files."""
    with trio.fail_after(PATIENCE):
        while not await trio.to_thread.run_sync(holds):  # noqa: ASYNC110 - there is no event
            await trio.sleep(0.005)


async def until_stored(backend: StateBackend, result: Result) -> RunRecord:
    """The record of a run that has ended, once it is there."""

    def is_stored() -> bool:
        run = backend.get_run(result.run_id)
        return run is not None and run.ended_at is not None

    await until(is_stored)
    run = await trio.to_thread.run_sync(backend.get_run, result.run_id)
    assert run is not None
    return run


def stored(path: Path, result: Result) -> dict[str, Any] | None:
    """The trace of a run as another process would find it."""
    with SQLiteBackend(path) as backend:
        return backend.get_trace(result.run_id)


@contextmanager
def files_no_larger_than(size: int) -> Generator[None]:
    """A disk without room, for this process: what it writes beyond `size` bytes of a file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def bound_user(folder: Path) -> Generator[None]:
    """Be a user whom the rights of files bind, which the superuser is not, and the owner of a folder and its files."""
    if os.geteuid() != 0:
        yield
        return
    for each in (folder, *folder.iterdir()):
        os.chown(each, 65534, 65534)
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)
