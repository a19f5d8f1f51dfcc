"""How the control server ends: with its runs, at once when it has to, and without leaving anything."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from flujo_actors import (
    SpanStatus,
    Step,
    UsageLimits,
    UsageMeter,
    open_system,
)
from flujo_actors.control import open_control, server
from flujo_actors.control.addresses import Address, find_addresses
from flujo_actors.control.client import open_conversation
from flujo_actors.control.protocol import (
    ActorsShown,
    Answer,
    CancelRun,
    Ended,
    WatchRun,
)
from flujo_actors.errors import ControlLostError, ControlUnavailableError
from tests.control.talking import ask, gated, long_run, sleeping, wait_until_all_run

pytestmark = pytest.mark.usefixtures("_nothing_left")

only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


class TestLeaving:
    async def test_leaving_waits_for_runs_which_can_be_stopped_until_they_end(self, database: Path) -> None:
        ended: list[str] = []

        async def stop_it(address: Address, run_id: str) -> None:
            async with open_conversation(address, WatchRun(run_id)) as answers:
                await answers.next()
                await ask(address, CancelRun(run_id))
                while not isinstance(answer := await answers.next(), Ended):
                    pass
                ended.append(str(answer.run.status))

        async with trio.open_nursery() as nursery, open_system() as system:
            async with open_control(system, database) as path:
                run = await system.start(sleeping(), 1)
                nursery.start_soon(stop_it, Address(path, os.getpid()), run.run_id)
            assert not path.exists()
        assert ended == ["cancelled"]

    async def test_leaving_by_an_exception_waits_for_nothing_and_the_exception_is_as_it_was(
        self, database: Path
    ) -> None:
        mine = ValueError("mine")
        with pytest.raises(ValueError, match="mine") as caught:  # noqa: PT012 - the block is what is tested
            async with open_system() as system, open_control(system, database):
                await system.start(sleeping(), 1)
                await wait_until_all_run()
                raise mine
        assert caught.value is mine
        assert find_addresses(database).addresses == ()

    async def test_cancelling_the_host_ends_all_conversations(self, database: Path) -> None:
        told: list[Answer] = []

        async def watch(address: Address, run_id: str) -> None:
            with suppress(ControlLostError):
                async with open_conversation(address, WatchRun(run_id)) as answers:
                    while True:
                        told.append(await answers.next())

        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                async with open_system() as system, open_control(system, database) as path:
                    run = await system.start(sleeping(), 1)
                    nursery.start_soon(watch, Address(path, os.getpid()), run.run_id)
                    await wait_until_all_run()
                    scope.cancel()
            assert scope.cancelled_caught
            assert find_addresses(database).addresses == ()
        assert isinstance(told[0], ActorsShown)
        assert not any(isinstance(answer, Ended) for answer in told)

    async def test_a_client_that_takes_nothing_delays_leaving_no_longer_than_stated(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "FAREWELL_S", 0.05)
        async with AsyncExitStack() as stack:
            with trio.fail_after(30):
                async with open_system() as system, open_control(system, database) as path:
                    gate = trio.Event()
                    run = await system.start(gated(gate) >> long_run(5_000), 0, keep_results=10)
                    await wait_until_all_run()
                    request = WatchRun(run.run_id)
                    answers = await stack.enter_async_context(open_conversation(Address(path, 1), request))
                    await answers.next()
                    await stack.enter_async_context(await trio.open_unix_socket(str(path)))
                    gate.set()
        assert run.record.status is SpanStatus.COMPLETED

    async def test_runs_that_end_without_a_result_are_no_problem(self, database: Path) -> None:
        def spend(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=2)

        async with open_system() as system, open_control(system, database):
            run = await system.start(Step("spend", spend), 1, usage_limits=UsageLimits(total_cost_usd_limit=1))
        assert run.record.status is SpanStatus.FAILED

    async def test_without_a_private_place_nothing_is_opened_and_the_system_goes_on(
        self, database: Path, session_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("flujo_actors.control.addresses.folders", lambda: (session_folder / "x" / "flujo",))
        async with open_system() as system:
            with pytest.raises(ControlUnavailableError, match="No control socket can be made: "):
                async with open_control(system, database):
                    pytest.fail("it was opened")
            assert (await system.run(Step("a", repr), 1)).success
