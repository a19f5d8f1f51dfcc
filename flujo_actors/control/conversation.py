"""One client of the control server: its request, and what it is answered."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from flujo_actors.capture import USUAL
from flujo_actors.control.connections import LineReader, LineTooLongError
from flujo_actors.control.encoding import entries_of
from flujo_actors.control.protocol import (
    REQUEST_LIMIT,
    ActorsShown,
    Answer,
    CancelAccepted,
    CancelRun,
    Ended,
    EventTold,
    ListRuns,
    RefusalCode,
    Refused,
    Request,
    RunsListed,
    RunStatus,
    ShowRun,
    WatchRun,
    answer_line,
    request_from,
)
from flujo_actors.errors import ControlRefusedError
from flujo_actors.events import ChunkProduced, RunEvent, StepEnded
from flujo_actors.nurseries import open_inner_nursery
from flujo_actors.run import Run
from flujo_actors.snapshots import ActorSnapshot, ActorState
from flujo_actors.system import System

LOGGER: Final = logging.getLogger(__name__)

REQUEST_TIMEOUT_S: Final = 5.0
"""Seconds that a client may take to say what it wants, and to take an answer that is no stream."""

LOOK_AGAIN_S: Final = 0.25
"""Seconds after which a part that is being cancelled is looked at: the events of its end may have been missed."""

RUNS_LIMIT: Final = 1_000
"""Runs that are listed at once."""


class Conversation:
    """Answers one client. What it holds in memory is bounded, and no run waits for it."""

    def __init__(self, stream: trio.SocketStream, system: System, watchers: trio.Semaphore) -> None:
        self._stream = stream
        self._system = system
        self._watchers = watchers
        """Places for those who stay until a run has ended."""

    async def hold(self) -> None:
        """Talk until all is said or the client has gone. Raises nothing but `Cancelled`, whatever the client does."""
        try:
            await self._converse()
        except ControlRefusedError as refusal:
            await self.refuse(RefusalCode(refusal.code), refusal.message)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            """The client has gone."""
        except Exception:
            # A bug here must not reach the program around the system.
            LOGGER.exception("a client of the control socket could not be answered")
            await self.refuse(RefusalCode.INTERNAL, "the process failed to answer; its log says why")

    async def refuse(self, code: RefusalCode, message: str) -> None:
        """Say no, if the client is still there to hear it. A checkpoint."""
        try:
            await self._say_soon(Refused(code, message))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            """The client has gone."""

    async def _converse(self) -> None:
        match await self._request():
            case ListRuns(prefix):
                await self._say_soon(await self._listed(prefix))
            case ShowRun(run_id):
                await self._say_soon(_actors_of(self._run(run_id)))
            case CancelRun() as request:
                await self._cancel(self._run(request.run_id), request)
            case WatchRun() as request:
                await self._watch(self._run(request.run_id), with_chunks=request.chunks)
            case None:
                """It said nothing."""

    async def _request(self) -> Request | None:
        with trio.move_on_after(REQUEST_TIMEOUT_S):
            try:
                line = await LineReader(self._stream, REQUEST_LIMIT).line()
            except LineTooLongError:
                message = f"the request is longer than {REQUEST_LIMIT} bytes"
                raise ControlRefusedError(RefusalCode.BAD_REQUEST, message) from None
            return None if line is None else request_from(line)
        return None

    def _run(self, run_id: str) -> Run[Any, Any]:
        for run in self._system.runs:
            if run.run_id == run_id:
                return run
        message = f"no run {USUAL.show(run_id)!r} is going on in process {os.getpid()}"
        raise ControlRefusedError(RefusalCode.UNKNOWN_RUN, message)

    async def _listed(self, prefix: str) -> RunsListed:
        found = [run for run in self._system.runs if run.run_id.startswith(prefix)]
        listed: list[RunStatus] = []
        for run in found[:RUNS_LIMIT]:
            listed.append(_status_of(run))
            await trio.lowlevel.checkpoint()  # the runs go on meanwhile
        return RunsListed(os.getpid(), tuple(listed), len(found) - len(listed))

    async def _cancel(self, run: Run[Any, Any], request: CancelRun) -> None:
        with run.events() as events:
            part = _spans_in(run.snapshot(), request.path) if request.path else None
            if not run.cancel(request.path, reason=request.reason):
                message = f"nothing is running at {USUAL.show(request.path)!r} in run {run.run_id}"
                raise ControlRefusedError(RefusalCode.NOT_RUNNING, message)
            await self._say_soon(CancelAccepted())
            if request.wait:
                async with self._while_the_client_stays():
                    await _until_ended(run, part, events)
                    await self._say(Ended(_status_of(run)))

    async def _watch(self, run: Run[Any, Any], *, with_chunks: bool) -> None:
        try:
            self._watchers.acquire_nowait()
        except trio.WouldBlock:
            message = f"process {os.getpid()} has as many watchers as it takes"
            raise ControlRefusedError(RefusalCode.BUSY, message) from None
        try:
            # Nothing happens in the run between these two: what the actors do not show, events will.
            with run.events() as events:
                actors = _actors_of(run)
                async with self._while_the_client_stays():
                    await self._say(actors)
                    async for event in events:
                        if with_chunks or not isinstance(event, ChunkProduced):
                            await self._say(EventTold(event))
                    await self._say(Ended(_status_of(run)))
        finally:
            self._watchers.release()

    @asynccontextmanager
    async def _while_the_client_stays(self) -> AsyncGenerator[None, None]:
        """A block that ends early when the client has closed the connection."""
        async with open_inner_nursery() as nursery:
            nursery.start_soon(self._leave_with_the_client, nursery.cancel_scope)
            yield
            nursery.cancel_scope.cancel("all is said")

    async def _leave_with_the_client(self, scope: trio.CancelScope) -> None:
        try:
            while await self._stream.receive_some(REQUEST_LIMIT):
                """What it says besides its request is not heard."""
        except trio.BrokenResourceError:
            """It has left without a word."""
        scope.cancel("the client has gone")

    async def _say_soon(self, answer: Answer) -> None:
        with trio.move_on_after(REQUEST_TIMEOUT_S):
            await self._say(answer)

    async def _say(self, answer: Answer) -> None:
        await self._stream.send_all(answer_line(answer, self._system.capture))


async def _until_ended(run: Run[Any, Any], part: set[str] | None, events: trio.MemoryReceiveChannel[RunEvent]) -> None:
    """Wait until the run has ended, or all of its part, given as the ids of the spans in it."""
    if part is None:
        async for _ in events:
            """Whatever happens until then."""
        return
    while part:
        with trio.move_on_after(LOOK_AGAIN_S):
            async for event in events:
                if isinstance(event, StepEnded):
                    part.discard(event.span_id)
                if not part:
                    return
            return
        part &= _spans_in(run.snapshot(), "")


def _spans_in(snapshot: ActorSnapshot | None, path_or_span_id: str) -> set[str]:
    """The ids of the spans in a part of a run, as `Run.cancel` names it; all of them for an empty path."""
    actors = [] if snapshot is None else list(snapshot.walk())
    path = next((actor.path for actor in actors if actor.span_id == path_or_span_id), path_or_span_id)
    return {actor.span_id for actor in actors if not path or actor.path == path or actor.path.startswith(f"{path}/")}


def _actors_of(run: Run[Any, Any]) -> ActorsShown:
    return ActorsShown(_status_of(run), time.time(), entries_of(run.snapshot()))


def _status_of(run: Run[Any, Any]) -> RunStatus:
    snapshot = run.snapshot()
    alive = [] if snapshot is None else [actor for actor in snapshot.walk() if actor.state is not ActorState.ENDED]
    cancelling = snapshot is not None and snapshot.state is ActorState.CANCELLING
    return RunStatus.of(run.record, actors=len(alive), cancelling=cancelling)
