"""Clients that send anything, never read, never leave, or are somebody else's: none disturbs a run."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

from flujo_actors import (
    SpanStatus,
    Step,
)
from flujo_actors.control import conversation, server
from flujo_actors.control.addresses import Address
from flujo_actors.control.client import RunWatch, open_conversation
from flujo_actors.control.protocol import (
    REQUEST_LIMIT,
    ActorsShown,
    CancelAccepted,
    CancelRun,
    Ended,
    ListRuns,
    RefusalCode,
    WatchRun,
    request_line,
)
from flujo_actors.errors import ControlFailedError
from flujo_actors.events import EventsMissed
from tests.control.talking import ask, controlled, gated, long_run, refusal_of, send, sleeping, wait_until_all_run

pytestmark = pytest.mark.usefixtures("_nothing_left")

only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def refused(answered: bytes) -> str:
    """The code of the one answer, which is a refusal."""
    answer = json.loads(answered)
    assert answer["answer"] == "refused"
    return str(answer["code"])


class TestHostileClients:
    @given(data=st.binary(max_size=200) | st.lists(st.binary(max_size=30)).map(b"\n".join), half_close=st.booleans())
    @example(data=b"", half_close=True)
    @example(data=b"\n", half_close=False)
    @example(data=b'{"version":1,"request":"list"}', half_close=True)
    @example(data=b"[" * (REQUEST_LIMIT - 1) + b"\n", half_close=False)
    @example(data=b"x" * (4 * REQUEST_LIMIT), half_close=False)
    async def test_no_bytes_disturb_the_server_or_its_runs(
        self, data: bytes, half_close: bool, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        async with controlled(tmp_path_factory.getbasetemp() / "fuzz.db") as (system, address):
            run = await system.start(sleeping(), 1)
            data = data if b"\n" in data or half_close else data + b"\n"
            answered = await send(address, data, half_close=half_close)
            assert answered == b"" or refused(answered) in {"bad_request", "unsupported_version"}
            assert [status.run_id for status in (await ask(address, ListRuns())).runs] == [run.run_id]

    async def test_a_request_that_does_not_end_is_refused_when_it_is_too_long(self, database: Path) -> None:
        async with controlled(database) as (_, address):
            assert refused(await send(address, b" " * (REQUEST_LIMIT + 1))) == "bad_request"

    async def test_a_client_that_says_nothing_is_left(self, database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(conversation, "REQUEST_TIMEOUT_S", 0.05)
        async with controlled(database) as (_, address):
            assert await send(address, b'{"version":1,') == b""

    async def test_what_comes_after_the_request_is_not_heard(self, database: Path) -> None:
        async with controlled(database) as (system, address):
            run = await system.start(sleeping(), 1)
            await wait_until_all_run()
            async with await trio.open_unix_socket(str(address.path)) as stream:
                await stream.send_all(request_line(WatchRun(run.run_id)) + request_line(CancelRun(run.run_id)) * 100)
                await stream.receive_some()
                await stream.send_all(request_line(CancelRun(run.run_id)) * 1000)
                (status,) = (await ask(address, ListRuns())).runs
                assert not status.cancelling

    async def test_a_client_that_never_reads_does_not_hold_the_run_up_and_misses_events(self, database: Path) -> None:
        gate = trio.Event()
        async with controlled(database) as (system, address):
            run = await system.start(gated(gate) >> long_run(5_000), 0, keep_results=10)
            await wait_until_all_run()
            async with open_conversation(address, WatchRun(run.run_id)) as answers:
                first = await answers.next()
                assert isinstance(first, ActorsShown)
                gate.set()
                with trio.fail_after(60):
                    assert (await run.wait()).success
                watch = RunWatch(answers, first)
                events = [event async for event in watch]
        missed = [event.count for event in events if isinstance(event, EventsMissed)]
        assert sum(missed) > 5_000
        assert len(events) - len(missed) + sum(missed) == 2 + 1 + 2 + 3 * 5_000 + 1

    async def test_a_client_that_leaves_gives_its_place_back(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "WATCHERS_LIMIT", 1)
        async with controlled(database) as (system, address):
            run = await system.start(sleeping(), 1)
            await wait_until_all_run()
            for _ in range(3):
                async with open_conversation(address, WatchRun(run.run_id)) as answers:
                    await answers.next()
                    assert (await refusal_of(address, WatchRun(run.run_id)))[0] == RefusalCode.BUSY
                await wait_until_all_run()

    async def test_one_who_waits_for_a_cancelling_may_leave_and_it_goes_on(self, database: Path) -> None:
        gate = trio.Event()

        async def stubborn(data: Any) -> None:
            with trio.CancelScope(shield=True):
                await gate.wait()

        async with controlled(database) as (system, address):
            run = await system.start(Step("stubborn", stubborn), 1)
            await wait_until_all_run()
            assert await ask(address, CancelRun(run.run_id)) == CancelAccepted()
            gate.set()
            assert (await run.wait()).status is SpanStatus.CANCELLED

    async def test_too_many_clients_are_told_so_and_one_who_stops_something_finds_a_place(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(server, "CLIENTS_LIMIT", 3)
        monkeypatch.setattr(server, "WATCHERS_LIMIT", 2)
        async with controlled(database) as (system, address), AsyncExitStack() as stack:
            run = await system.start(sleeping(), 1)
            await wait_until_all_run()
            for _ in range(2):
                answers = await stack.enter_async_context(open_conversation(address, WatchRun(run.run_id)))
                await answers.next()
            silent = await stack.enter_async_context(await trio.open_unix_socket(str(address.path)))
            await wait_until_all_run()
            code, message = await refusal_of(address, ListRuns())
            assert (code, message) == (RefusalCode.BUSY, f"process {os.getpid()} talks to as many as it can")
            await silent.aclose()
            await wait_until_all_run()
            async with open_conversation(address, CancelRun(run.run_id)) as answers:
                await answers.next()
                assert isinstance(await answers.next(), Ended)

    async def test_a_bug_in_an_answer_is_logged_and_harms_nobody(
        self, database: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(run: object) -> None:
            raise ZeroDivisionError

        async with controlled(database) as (system, address):
            run = await system.start(sleeping(), 1)
            with monkeypatch.context() as broken:
                broken.setattr(conversation, "_status_of", fail)
                code, _ = await refusal_of(address, ListRuns())
            assert code == RefusalCode.INTERNAL
            assert len((await ask(address, ListRuns())).runs) == 1
            assert run.record.status is SpanStatus.RUNNING
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert "ZeroDivisionError" in caplog.text


OTHER_USER = """
import os, socket, sys
os.seteuid(65534)
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b'{"version":1,"request":"list"}\\n')
sys.stdout.buffer.write(client.recv(1000))
"""


@only_as_root
class TestOtherUsers:
    """Who has got past the private folder."""

    async def test_a_client_of_another_user_gets_no_answer(self, database: Path, session_folder: Path) -> None:
        async with controlled(database) as (_, address):
            for open_to_all in (session_folder, address.path.parent):
                open_to_all.chmod(0o711)
            address.path.chmod(0o666)
            script = [sys.executable, "-c", OTHER_USER, str(address.path)]
            done = await trio.run_process(script, capture_stdout=True, capture_stderr=True, check=False)
            assert (done.stdout, done.returncode) in {(b"", 0), (b"", 1)}
            assert (await ask(address, ListRuns())).runs == ()

    async def test_a_server_of_another_user_is_not_asked(self, database: Path, session_folder: Path) -> None:
        path = session_folder / "trap.sock"
        with socket.socket(socket.AF_UNIX) as trap:
            trap.bind(str(path))
            os.seteuid(65534)
            try:
                trap.listen()
            finally:
                os.seteuid(0)
            with pytest.raises(ControlFailedError, match="another user"):
                await ask(Address(path, os.getpid()), ListRuns())
        path.unlink()
