"""The server among the samples, docs/samples/server.py: a process of its own, real sockets, real signals."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import h11
import pytest
import trio

from flujo_actors import SpanStatus
from flujo_actors.storage import RunRecord, SQLiteBackend
from flujo_actors.testing import Trace, assert_trace

SERVER = Path(__file__).parents[1] / "docs" / "samples" / "server.py"
PATIENCE = 60.0
"""Seconds after which a test gives up."""

SHORT = "One sentence is answered at once."
LONG = "The first part comes at once. The second one takes as long as the pace says. The third one too."


class Lines:
    """What comes over a stream, line by line."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._rest = b""

    async def next(self) -> str:
        """The next line; empty at the end."""
        while b"\n" not in self._rest:
            more = await self._stream.receive_some()
            if not more:
                return ""
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()

    async def rest(self) -> list[str]:
        """All lines until the end."""
        lines: list[str] = []
        while line := await self.next():
            lines.append(line)
        return lines


@attrs.define
class Server:
    """The process, and what it prints."""

    process: trio.Process
    port: int
    printed: Lines
    database: Path

    def records(self) -> list[RunRecord]:
        with SQLiteBackend(self.database, read_only=True) as backend:
            return backend.list_runs()

    def trace(self, record: RunRecord) -> Trace:
        with SQLiteBackend(self.database, read_only=True) as backend:
            return Trace.of(backend, record.run_id)


@asynccontextmanager
async def serving(folder: Path, **options: object) -> AsyncGenerator[Server, None]:
    """The server, from when it listens; at the end it is told to stop, unless it has, and must do so in peace."""
    given = {"database": folder / "runs.db", "port": 0, "pace": 1000, "grace": 0.0, **options}
    words = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    with trio.fail_after(PATIENCE):
        process = await trio.lowlevel.open_process(
            [sys.executable, SERVER, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            printed = Lines(process.stdout)
            listening = await printed.next()
            yield Server(process, int(listening.rpartition(" ")[2]), printed, folder / "runs.db")
            if process.poll() is None:
                process.terminate()
                assert await process.wait() == 0
            assert await process.stderr.receive_some() == b""
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()


class Client:
    """One connection: asks once, and reads the answer as it comes."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.http = h11.Connection(h11.CLIENT)

    async def ask(self, text: str, target: str = "/digest", method: str = "POST") -> None:
        headers = [("host", "localhost"), ("content-length", str(len(text.encode())))]
        events = (
            h11.Request(method=method, target=target, headers=headers),
            h11.Data(data=text.encode()),
            h11.EndOfMessage(),
        )
        await self.stream.send_all(b"".join(self.http.send(event) or b"" for event in events))

    async def send(self, request: bytes) -> None:
        """Ask with what h11 would not let through. It is told that a request was sent, so that it takes an answer."""
        self.http.send(h11.Request(method="POST", target="/", headers=[("host", "localhost")]))
        await self.stream.send_all(request)

    async def status(self) -> int:
        event = await self._next_event()
        assert isinstance(event, h11.Response)
        return event.status_code

    async def line(self) -> dict[str, Any] | None:
        """The next line of the answer; `None` at its end."""
        event = await self._next_event()
        if isinstance(event, h11.EndOfMessage):
            return None
        assert isinstance(event, h11.Data)
        line: dict[str, Any] = json.loads(event.data)
        return line

    async def first_line(self) -> dict[str, Any] | None:
        """The first line of an answer that has begun well."""
        assert await self.status() == 200
        return await self.line()

    async def lines(self) -> list[dict[str, Any]]:
        """The lines of the answer from here to its end."""
        lines: list[dict[str, Any]] = []
        while (line := await self.line()) is not None:
            lines.append(line)
        return lines

    async def _next_event(self) -> object:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await self.stream.receive_some())
        return event


@asynccontextmanager
async def connected(server: Server) -> AsyncGenerator[Client, None]:
    async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
        assert isinstance(stream, trio.SocketStream)
        yield Client(stream)


async def digest(server: Server, text: str) -> list[dict[str, Any]]:
    """Ask, and wait for the whole answer."""
    async with connected(server) as client:
        await client.ask(text)
        assert await client.status() == 200
        return await client.lines()


async def until_heard(server: Server) -> None:
    """Wait until the server has taken in what was sent to it before this.

    It hears of the first of these requests no earlier than of that, though perhaps together with it; when it hears of
    the second one, it has done with that what it can.
    """
    for _ in range(2):
        async with connected(server) as client:
            await client.ask("", target="/other")
            assert await client.status() == 404


async def test_a_request_is_answered_part_by_part_and_its_trace_is_stored(tmp_path: Path) -> None:
    async with serving(tmp_path, pace=0) as server:
        *chunks, last = await digest(server, LONG)
    assert [line["chunk"] for line in chunks] == [
        "The first part comes at\n",
        "The second one takes as\n",
        "The third one too.\n",
    ]
    assert (last["status"], last["failure"]) == ("completed", None)
    assert last["output"] == "".join(line["chunk"] for line in chunks)
    (record,) = server.records()
    assert (record.run_id, record.status) == (last["run"], SpanStatus.COMPLETED)
    assert_trace(
        server.trace(record),
        """
        pipeline_run: completed, $0.003, 14 tokens
          sentences: completed
          digest: completed, $0.003, 14 tokens
        """,
    )


async def test_several_are_answered_at_once_each_with_its_own(tmp_path: Path) -> None:
    answers: dict[int, list[dict[str, Any]]] = {}

    async def ask(number: int) -> None:
        answers[number] = await digest(server, f"Number {number}.")

    async with serving(tmp_path) as server, connected(server) as held:
        await held.ask(LONG)
        await held.first_line()
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)
    assert {number: answer[0]["chunk"] for number, answer in answers.items()} == {
        number: f"Number {number}.\n" for number in range(20)
    }
    assert len(server.records()) == 21


@pytest.mark.parametrize("how", ["closes", "resets"])
async def test_a_client_that_goes_away_in_the_middle_has_its_run_cancelled_and_what_it_spent_kept(
    tmp_path: Path, how: str
) -> None:
    async with serving(tmp_path) as server:
        async with connected(server) as client:
            await client.ask(LONG)
            assert await client.first_line() == {"chunk": "The first part comes at\n"}
            if how == "resets":
                client.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        assert (await server.printed.next()).endswith(
            "the pipeline: Cancelled: the client went away (while running digest)"
        )
        (record,) = server.records()
        assert (record.status, record.total_cost_usd, record.total_tokens) == (SpanStatus.CANCELLED, 0.001, 5)
        assert record.error == "the pipeline: Cancelled: the client went away (while running digest)"
        assert_trace(
            server.trace(record),
            """
            pipeline_run: cancelled, $0.001, 5 tokens
              sentences: completed
              digest: cancelled, $0.001, 5 tokens
            """,
        )
        assert (await digest(server, SHORT))[-1]["status"] == "completed"


async def test_no_more_are_worked_on_than_there_are_places_and_the_others_wait(tmp_path: Path) -> None:
    async with serving(tmp_path, at_once=1) as server, connected(server) as first:
        await first.ask(LONG)
        await first.first_line()
        async with connected(server) as second, connected(server) as third:
            await second.ask(SHORT)
            await until_heard(server)
            await third.ask(SHORT)
            await until_heard(server)
            await third.stream.aclose()  # it leaves while it waits for its turn
            await until_heard(server)
            await first.stream.aclose()
            assert (await second.first_line()) == {"chunk": "One sentence is answered at\n"}
            assert [line["status"] for line in await second.lines()] == ["completed"]
    assert sorted(str(record.status) for record in server.records()) == ["cancelled", "completed"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_when_it_is_stopped_a_request_gets_some_time_then_its_run_is_cancelled_and_it_is_told(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with serving(tmp_path, grace=0.2) as server:
        async with connected(server) as client:
            await client.ask(LONG)
            await client.first_line()
            server.process.send_signal(number)
            (last,) = await client.lines()
        assert await server.process.wait() == 0
        assert (await server.printed.rest())[0] == "shutting down within 0.2 s"
    assert last["status"] == "cancelled"
    assert last["failure"] == "the pipeline: Cancelled: the server shuts down (while running digest)"
    (record,) = server.records()
    assert (record.status, record.total_cost_usd) == (SpanStatus.CANCELLED, 0.001)


async def test_when_it_is_stopped_it_takes_no_more_and_finishes_what_can_be_finished(tmp_path: Path) -> None:
    async with serving(tmp_path, pace=0.2, grace=PATIENCE) as server:
        async with connected(server) as client:
            await client.ask(LONG)
            await client.first_line()
            server.process.terminate()
            assert await server.printed.next() == f"shutting down within {PATIENCE} s"
            with pytest.raises(OSError, match="connect"):
                await trio.open_tcp_stream("127.0.0.1", server.port)
            assert [line.get("status") for line in await client.lines()] == [None, None, "completed"]
        assert await server.process.wait() == 0
    assert [str(record.status) for record in server.records()] == ["completed"]


async def test_a_second_signal_ends_it_at_once_and_what_ran_reads_as_interrupted(tmp_path: Path) -> None:
    async with serving(tmp_path, grace=PATIENCE) as server:
        async with connected(server) as client:
            await client.ask(LONG)
            await client.first_line()
            await digest(server, SHORT)  # once this one is in the database, so is the one before
            assert (await server.printed.next()).endswith("completed")
            server.process.terminate()
            assert await server.printed.next() == f"shutting down within {PATIENCE} s"
            server.process.terminate()
            assert await server.process.wait() == -signal.SIGTERM
        assert [str(record.status) for record in server.records()] == ["completed", "interrupted"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /digest HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (b"POST /other HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n", 404),
        (b"no request at all\r\n\r\n", 400),
        (b"POST /digest HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\n\xff", 400),
        (b"POST /digest HTTP/1.1\r\nhost: x\r\ncontent-length: 1000001\r\n\r\n" + b"x" * 1_000_001, 413),
    ],
    ids=["another method", "another target", "garbage", "no text", "too long"],
)
async def test_what_is_no_request_is_refused_and_the_server_goes_on(tmp_path: Path, sent: bytes, status: int) -> None:
    async with serving(tmp_path) as server:
        async with connected(server) as client:
            await client.send(sent)
            assert await client.status() == status
            assert [sorted(line) for line in await client.lines()] == [["error"]]
        assert (await digest(server, SHORT))[-1]["status"] == "completed"


async def test_a_client_that_leaves_before_it_has_asked_is_no_error(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with connected(server):
            pass
        async with connected(server) as client:
            await client.send(b"POST /digest HTTP/1.1\r\n")
        assert (await digest(server, SHORT))[-1]["status"] == "completed"
    assert len(server.records()) == 1
