"""The control server: lets the runs of a system be seen and stopped from other processes of the same user."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Final

import trio

from flujo_actors.control.addresses import open_listener
from flujo_actors.control.connections import is_of_this_user
from flujo_actors.control.conversation import Conversation
from flujo_actors.control.protocol import RefusalCode
from flujo_actors.errors import UsageLimitExceededError
from flujo_actors.nurseries import open_inner_nursery
from flujo_actors.run import RunAbortedError
from flujo_actors.system import System

CLIENTS_LIMIT: Final = 64
"""Clients that are talked to at once; further ones are told that it is busy."""

WATCHERS_LIMIT: Final = 48
"""Of these, those who may watch: there is always a place for one who wants to stop something."""

FAREWELL_S: Final = 1.0
"""Seconds that clients have to take their last answers, at the end."""


@asynccontextmanager
async def open_control(system: System, database: str | os.PathLike[str]) -> AsyncGenerator[Path, None]:
    """Let `flujo ps`, `flujo watch` and `flujo cancel` see and stop the runs of a system, for the length of a block.

    Opens a socket that only this user's processes can reach. No run ever waits for who is at its other end.

    Entering and leaving are checkpoints. Leaving waits for the runs that are going on, as leaving the system does, so
    that they can be stopped until they end, and then at most `FAREWELL_S` for clients to take their last answers.
    Leaving by an exception or a cancellation waits for nothing. The socket is removed in every case.

    Args:
        system: whose runs.
        database: the file that its runs are stored in. Clients find the socket through it.

    Returns:
        The path of the socket.

    Raises:
        ControlUnavailableError: there is no private place for a socket.
    """
    async with open_inner_nursery() as talks:
        listener, path = await trio.to_thread.run_sync(open_listener, Path(database))
        try:
            async with open_inner_nursery() as entrance:
                doorkeeper = _Doorkeeper(system)
                listeners = [trio.SocketListener(trio.socket.from_stdlib_socket(listener))]
                entrance.start_soon(partial(trio.serve_listeners, doorkeeper.receive, listeners, handler_nursery=talks))
                yield path
                await _wait_for_runs(system)
                entrance.cancel_scope.cancel("the runs have ended")
        finally:
            listener.close()
            path.unlink(missing_ok=True)
        talks.cancel_scope.deadline = trio.current_time() + FAREWELL_S


class _Doorkeeper:
    """Meets the clients, and lets in as many as there are places."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._places = trio.Semaphore(CLIENTS_LIMIT)
        self._watchers = trio.Semaphore(WATCHERS_LIMIT)

    async def receive(self, stream: trio.SocketStream) -> None:
        async with stream:
            if not is_of_this_user(stream):
                return
            conversation = Conversation(stream, self._system, self._watchers)
            try:
                self._places.acquire_nowait()
            except trio.WouldBlock:
                await conversation.refuse(RefusalCode.BUSY, f"process {os.getpid()} talks to as many as it can")
                return
            try:
                await conversation.hold()
            finally:
                self._places.release()


async def _wait_for_runs(system: System) -> None:
    """Wait until those that are going on now have ended, however they do."""
    for run in system.runs:
        with suppress(RunAbortedError, UsageLimitExceededError):
            await run.wait()
