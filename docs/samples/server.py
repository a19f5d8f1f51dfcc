"""A server that runs a pipeline for each request, and stops it when the client goes away.

It takes a text and streams a digest of it, a line of JSON for each part:

    $ python server.py &
    listening on port 8000
    $ curl --no-buffer --data-binary @README.md http://127.0.0.1:8000/digest
"""

import argparse
import json
import re
import signal
import traceback
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import h11
import trio

from flujo_actors import PipelineResult, System, UsageMeter, open_system, step
from flujo_actors.events import ChunkProduced
from flujo_actors.storage import SQLiteBackend

HOST = "127.0.0.1"
LONGEST_TEXT = 1_000_000  # bytes
TIME_TO_ASK = 10.0  # seconds
TIME_TO_PART = 1.0  # seconds


@step
def sentences(text: str) -> list[str]:
    return re.findall(r"\S[^.!?]*[.!?]?", text)


@step
async def digest(sentences: list[str], *, resources: float, usage: UsageMeter) -> AsyncIterator[str]:
    """Stands in for a language model: it streams, takes its time, and costs money."""
    for number, sentence in enumerate(sentences):
        await trio.sleep(resources if number else 0)
        words = sentence.split()[:5]
        usage.charge(cost_usd=0.001, completion_tokens=len(words))
        yield " ".join(words) + "\n"


pipeline = (sentences >> digest).named("digests")


class RefusedError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Exchange:
    """One request and its answer. The protocol is h11's business, the socket trio's."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.http = h11.Connection(h11.SERVER)
        self.client_has_gone = False

    async def receive(self) -> str:
        """The text that the client sends."""
        body = bytearray()
        while True:
            event = self.http.next_event()
            if event is h11.NEED_DATA:
                self.http.receive_data(await self.stream.receive_some())
            elif isinstance(event, h11.Request):
                if (event.method, event.target) != (b"POST", b"/digest"):
                    raise RefusedError(404, "there is nothing but POST /digest")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > LONGEST_TEXT:
                    raise RefusedError(413, f"a text has at most {LONGEST_TEXT} bytes")
            elif isinstance(event, h11.EndOfMessage):
                return body.decode()
            else:
                raise trio.BrokenResourceError("the client left before it had asked for anything")

    async def begin(self, status: int) -> None:
        headers = [("content-type", "application/x-ndjson"), ("connection", "close")]
        await self.send(h11.Response(status_code=status, headers=headers))

    async def send_line(self, line: dict[str, Any]) -> None:
        await self.send(h11.Data(data=json.dumps(line).encode() + b"\n"))

    async def end(self) -> None:
        await self.send(h11.EndOfMessage())

    async def refuse(self, status: int, reason: str) -> None:
        await self.begin(status)
        await self.send_line({"error": reason})
        await self.end()
        await self.stream.send_eof()
        with trio.move_on_after(TIME_TO_PART):  # closed at once, the answer might be lost with what was not read
            await self.wait_until_the_client_goes()

    async def wait_until_the_client_goes(self) -> None:
        """A client that still wants its answer keeps the connection open, and has nothing more to say."""
        with suppress(trio.BrokenResourceError):
            while await self.stream.receive_some():
                pass
        self.client_has_gone = True

    async def send(self, event: h11.Response | h11.Data | h11.EndOfMessage) -> None:
        try:
            await self.stream.send_all(self.http.send(event) or b"")
        except trio.BrokenResourceError:
            self.client_has_gone = True
            raise


@attrs.frozen
class Service:
    system: System
    places: trio.CapacityLimiter
    pace: float

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve one connection. Whatever happens on it, the server goes on."""
        try:
            async with stream:
                await self.answer(Exchange(stream))
        except* trio.BrokenResourceError:
            pass  # the client has gone, and hears of nothing any more
        except* Exception:  # noqa: BLE001 - it is shown, and the next one is served
            traceback.print_exc()

    async def answer(self, exchange: Exchange) -> None:
        try:
            with trio.fail_after(TIME_TO_ASK):
                text = await exchange.receive()
        except RefusedError as refused:
            await exchange.refuse(refused.status, str(refused))
        except trio.TooSlowError:
            await exchange.refuse(408, f"a request comes within {TIME_TO_ASK} s")
        except (h11.RemoteProtocolError, UnicodeDecodeError) as error:
            await exchange.refuse(400, str(error))
        else:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.run, exchange, text, nursery.cancel_scope)
                await exchange.wait_until_the_client_goes()
                nursery.cancel_scope.cancel()

    async def run(self, exchange: Exchange, text: str, whole_answer: trio.CancelScope) -> None:
        async with self.places:
            run = await self.system.start(pipeline, text, resources=self.pace)
            try:
                await exchange.begin(200)
                async with run.events() as events:
                    async for event in events:
                        if isinstance(event, ChunkProduced):
                            await exchange.send_line({"chunk": event.chunk})
            finally:
                # Of a run that has ended, nothing is cancelled.
                run.cancel(reason="the client went away" if exchange.client_has_gone else "the server shuts down")
                with trio.CancelScope(shield=True):
                    result = await run.wait()  # its place is free when its agents have cleaned up, and not before
                    print(f"{run.run_id} {result.failure or result.status}", flush=True)
                    with trio.move_on_after(TIME_TO_PART):
                        await exchange.send_line(last_line(result))
                        await exchange.end()
        whole_answer.cancel()


def last_line(result: PipelineResult[str, None]) -> dict[str, Any]:
    """The outcome, with the output as a whole: a client that reads too slowly misses chunks."""
    failure = None if result.failure is None else str(result.failure)
    return {"run": result.run_id, "status": str(result.status), "output": result.output, "failure": failure}


async def serve(options: argparse.Namespace) -> None:
    async with open_system(storage=SQLiteBackend(options.database)) as system, trio.open_nursery() as connections:
        service = Service(system, trio.CapacityLimiter(options.at_once), options.pace)
        listen = partial(trio.serve_tcp, service.handle, options.port, host=HOST, handler_nursery=connections)
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as accepting:
                (listener,) = await accepting.start(listen)
                print(f"listening on port {listener.socket.getsockname()[1]}", flush=True)
                await anext(signals)
                accepting.cancel_scope.cancel()
        print(f"shutting down within {options.grace} s", flush=True)
        connections.cancel_scope.deadline = trio.current_time() + options.grace


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000, help="0 for any that is free")
    parser.add_argument("--database", type=Path, default=Path("runs.db"), help="where the traces go")
    parser.add_argument("--at-once", type=int, default=10, help="how many requests are worked on; others wait")
    parser.add_argument("--grace", type=float, default=5.0, help="seconds for requests when the server is stopped")
    parser.add_argument("--pace", type=float, default=0.2, help="seconds that the model takes for each part")
    trio.run(serve, parser.parse_args())
