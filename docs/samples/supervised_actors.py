import logging

import attrs
import trio

from flujo_actors import ActorRef, Behaviour, Message, RestartStrategy, Supervision, open_system
from flujo_actors.actors import ChildStarted

logging.getLogger("flujo_actors").addHandler(logging.NullHandler())  # the events tell it here


@attrs.frozen
class Send(Message[str]):
    line: str


class Connection(Behaviour[Send]):
    async def receive(self, message: Send) -> str:
        if message.line == "noise":
            raise ConnectionError("the line is dead")
        return f"sent {message.line}"


class Session(Behaviour[Send]):
    def __init__(self, connection: ActorRef[Send]) -> None:
        self.connection = connection
        self.lines = 0

    async def receive(self, message: Send) -> str:
        self.lines += 1
        return await self.connection.ask(Send(f"{self.lines}: {message.line}"))


async def main() -> None:
    async with open_system() as system, system.actor_events() as events:
        link = await system.spawn_supervisor(
            "link", Supervision(strategy=RestartStrategy.REST_FOR_ONE, intensity=3, period=60.0)
        )
        connection = await link.spawn(Connection, name="connection")
        session = await link.spawn(Session, connection, name="session")

        print(await session.ask(Send("hello")))
        await connection.tell(Send("noise"))
        async for event in events:
            print(f"  {event}")
            if event == ChildStarted("link/session", incarnation=2):
                break
        print(await session.ask(Send("hello again")))  # a new session, so it counts from 1


trio.run(main)
