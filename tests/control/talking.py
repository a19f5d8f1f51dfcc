"""Systems with control, pipelines that go on until they are stopped, and clients to talk to them."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from flujo_actors import (
    AnyStep,
    LoopStep,
    ParallelStep,
    Step,
    System,
    open_system,
)
from flujo_actors.control import open_control
from flujo_actors.control.addresses import Address
from flujo_actors.control.client import open_conversation
from flujo_actors.control.protocol import (
    Request,
)
from flujo_actors.errors import ControlRefusedError

pytestmark = pytest.mark.usefixtures("_nothing_left")

only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def sleeping(name: str = "sleep") -> AnyStep:
    async def agent(data: Any) -> Any:
        await trio.sleep_forever()

    return Step(name, agent)


def fan(*names: str) -> AnyStep:
    return ParallelStep("fan", {name: sleeping(name) for name in names}, on_branch_failure="ignore")


def gated(gate: trio.Event, name: str = "gated") -> AnyStep:
    async def agent(data: Any) -> Any:
        await gate.wait()
        return data

    return Step(name, agent)


@asynccontextmanager
async def controlled(database: Path) -> AsyncGenerator[tuple[System, Address], None]:
    """A system with control for a minute at the most; its runs are cancelled at the end."""
    with trio.fail_after(60):
        async with open_system() as system, open_control(system, database) as path:
            yield system, Address(path, os.getpid())
            for run in system.runs:
                run.cancel()


async def ask(address: Address, request: Request) -> Any:
    with trio.fail_after(10):
        async with open_conversation(address, request) as answers:
            return await answers.next()


async def refusal_of(address: Address, request: Request) -> tuple[str, str]:
    with pytest.raises(ControlRefusedError) as caught:
        await ask(address, request)
    return caught.value.code, caught.value.message


async def wait_until_all_run() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def count_to(data: int) -> int:
    await trio.lowlevel.checkpoint()
    return data + 1


def long_run(length: int) -> AnyStep:
    return LoopStep("loop", Step("count", count_to), exit_condition=lambda out, _: out >= length, max_loops=length)


async def send(address: Address, data: bytes, *, half_close: bool = False) -> bytes:
    """Send bytes as a client that knows nothing, and read until the server has closed the connection."""
    async with await trio.open_unix_socket(str(address.path)) as stream:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(data)
        if half_close:
            await stream.send_eof()
        answered = bytearray()
        with trio.fail_after(10), suppress(trio.BrokenResourceError):
            async for portion in stream:
                answered += portion
        return bytes(answered)
