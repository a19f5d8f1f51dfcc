import attrs
import trio
from trio.testing import MockClock

from flujo_actors import ActorRef, Behaviour, Message, Reply, open_system


@attrs.frozen
class Fetch(Message[bytes]):
    url: str


class Fetcher(Behaviour[Fetch]):
    async def receive(self, message: Fetch) -> None:
        self.start_soon(self.fetch, message.url, self.reply_later(message))

    async def fetch(self, url: str, reply: Reply[bytes]) -> None:
        await trio.sleep(1)  # a request over the network
        reply.send(f"the page {url}".encode())


async def show(fetcher: ActorRef[Fetch], url: str, pages: dict[str, bytes]) -> None:
    pages[url] = await fetcher.ask(Fetch(url))


async def main() -> None:
    pages: dict[str, bytes] = {}
    async with open_system() as system:
        fetcher = await system.spawn(Fetcher)
        async with trio.open_nursery() as nursery:
            for url in ("a.html", "b.html", "c.html"):
                nursery.start_soon(show, fetcher, url, pages)
    print(sorted(pages.values()), f"after {trio.current_time():g} s")


trio.run(main, clock=MockClock(autojump_threshold=0))  # a clock that does not make us wait
