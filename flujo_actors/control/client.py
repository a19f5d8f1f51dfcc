"""Asking the processes that serve a database."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import attrs
import trio

from flujo_actors.control.addresses import Address, find_addresses
from flujo_actors.control.connections import LineReader, LineTooLongError, is_of_this_user
from flujo_actors.control.encoding import ActorEntry
from flujo_actors.control.protocol import (
    ANSWER_LIMIT,
    ActorsShown,
    Answer,
    Ended,
    EventTold,
    ListRuns,
    Refused,
    Request,
    RunsListed,
    RunStatus,
    WatchRun,
    answer_from,
    request_line,
)
from flujo_actors.errors import ControlFailedError, ControlLostError, ControlRefusedError
from flujo_actors.events import RunEvent, StepStarted
from flujo_actors.nurseries import open_inner_nursery

ANSWER_TIMEOUT_S: Final = 3.0
"""Seconds after which a process counts as one that does not answer."""


@attrs.frozen
class ControlledRun:
    """A run that is going on, and whom to ask for it."""

    address: Address
    status: RunStatus


@attrs.frozen
class Survey:
    """The runs of a database that can be controlled, as far as they are known."""

    runs: tuple[ControlledRun, ...]
    """In the order of their start."""
    problems: tuple[str, ...]
    """Why there may be more: processes that did not answer, folders that were not looked into. Sentences."""


class Answers:
    """What comes back in one conversation."""

    def __init__(self, stream: trio.SocketStream, pid: int) -> None:
        self._lines = LineReader(stream, ANSWER_LIMIT)
        self._pid = pid

    async def next(self) -> Answer:
        """The next answer. A checkpoint if it has to wait.

        Raises:
            ControlRefusedError: the answer is no.
            ControlLostError: none comes any more.
            ControlFailedError: it is none that is understood.
        """
        try:
            line = await self._lines.line()
            answer = None if line is None else answer_from(line)
        except trio.BrokenResourceError:
            raise ControlLostError(self._pid) from None
        except (ValueError, LineTooLongError) as error:
            raise ControlFailedError(self._pid, "does not speak as this flujo does; use the one it uses") from error
        if answer is None:
            raise ControlLostError(self._pid)
        if isinstance(answer, Refused):
            raise ControlRefusedError(answer.code, answer.message)
        return answer

    def unexpected(self) -> ControlFailedError:
        """What to raise for an answer that is none to what was asked."""
        return ControlFailedError(self._pid, "answers what was not asked")


@asynccontextmanager
async def open_conversation(address: Address, request: Request) -> AsyncGenerator[Answers, None]:
    """Ask a process something. Entering and leaving are checkpoints; leaving closes the connection.

    Raises:
        ControlLostError: nobody listens there any more.
        ControlFailedError: it cannot be asked.
    """
    try:
        stream = await trio.open_unix_socket(str(address.path))
    except (FileNotFoundError, ConnectionRefusedError):
        raise ControlLostError(address.pid) from None
    except OSError as error:
        raise ControlFailedError(address.pid, f"takes no connection: {error.strerror}") from error
    async with stream:
        if not is_of_this_user(stream):
            raise ControlFailedError(address.pid, f"is not what serves {address.path}: another user's is")
        with suppress(trio.BrokenResourceError):  # it may have said no already, and closed its end
            await stream.send_all(request_line(request))
        yield Answers(stream, address.pid)


class RunWatch(trio.abc.ReceiveChannel[RunEvent]):
    """The events of a run in another process: first as if its actors had begun just now, then what happens."""

    def __init__(self, answers: Answers, first: ActorsShown) -> None:
        self._answers = answers
        self._actors: deque[RunEvent] = deque(_started(actor, first.time) for actor in first.actors)
        self.ended: RunStatus | None = None
        """The run at its end, once it has come."""

    async def receive(self) -> RunEvent:
        """The next event. A checkpoint.

        Raises:
            trio.EndOfChannel: the run has ended.
            ControlLostError: its process has.
            ControlFailedError: the answer is none that is understood.
        """
        if self._actors:
            await trio.lowlevel.checkpoint()
            return self._actors.popleft()
        match await self._answers.next():
            case EventTold(event):
                return event
            case Ended(run):
                self.ended = run
                raise trio.EndOfChannel
            case _:
                raise self._answers.unexpected()

    async def aclose(self) -> None:
        """Nothing to do: the connection is closed by who opened it."""
        await trio.lowlevel.checkpoint()


@asynccontextmanager
async def open_watch(run: ControlledRun, *, chunks: bool) -> AsyncGenerator[RunWatch, None]:
    """Watch a run; once the block is entered, nothing that happens is missed. Entering and leaving are checkpoints.

    Raises:
        ControlRefusedError: the run has ended, or there are too many watchers.
        ControlLostError: its process has ended.
        ControlFailedError: it cannot be asked.
    """
    async with open_conversation(run.address, WatchRun(run.status.run_id, chunks)) as answers:
        first = await answers.next()
        if not isinstance(first, ActorsShown):
            raise answers.unexpected()
        yield RunWatch(answers, first)


async def find_runs(database: Path, prefix: str = "") -> Survey:
    """Ask all processes that serve a database for their runs.

    A checkpoint. Takes as long as the slowest of them, and `ANSWER_TIMEOUT_S` at the most.

    Args:
        database: the file that the runs are stored in.
        prefix: how the ids of the wanted runs begin.
    """
    found = await trio.to_thread.run_sync(find_addresses, database)
    runs: list[ControlledRun] = []
    problems = list(found.problems)

    async def ask(address: Address) -> None:
        try:
            with trio.fail_after(ANSWER_TIMEOUT_S):
                listed = await _listed(address, prefix)
        except ControlLostError:
            return  # it has ended meanwhile, and its runs with it
        except trio.TooSlowError:
            problems.append(f"Process {address.pid} does not answer; an agent may block it")
        except (ControlFailedError, ControlRefusedError) as error:
            problems.append(str(error))
        else:
            runs.extend(ControlledRun(address, run) for run in listed.runs)
            if listed.left_out:
                problems.append(f"Process {address.pid} has {listed.left_out} further runs")

    async with open_inner_nursery() as nursery:
        for address in found.addresses:
            nursery.start_soon(ask, address)
    return Survey(tuple(sorted(runs, key=lambda run: run.status.started_at)), tuple(problems))


async def _listed(address: Address, prefix: str) -> RunsListed:
    async with open_conversation(address, ListRuns(prefix)) as answers:
        answer = await answers.next()
    if not isinstance(answer, RunsListed):
        raise answers.unexpected()
    return answer


def _started(actor: ActorEntry, time: float) -> StepStarted:
    return StepStarted(
        actor.path,
        actor.span_id,
        actor.parent_span_id,
        actor.kind,
        actor.name,
        actor.attributes,
        time=time - actor.running_s,
    )
