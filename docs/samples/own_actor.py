import logging
from collections import Counter

import attrs
import trio

from flujo_actors import ActorCrashedError, ActorRef, Behaviour, Message, open_system, step

logging.getLogger("flujo_actors").addHandler(logging.NullHandler())  # keeps the crash below out of the output


@attrs.frozen
class Count(Message[int]):  # answered with an int
    word: str


@attrs.frozen
class Total(Message[int]):
    pass


class Tally(Behaviour[Count | Total]):
    def __init__(self) -> None:
        self.seen = Counter[str]()

    async def receive(self, message: Count | Total) -> int:
        match message:
            case Count(word):
                if not word.isalpha():
                    raise ValueError(f"{word!r} is no word")
                self.seen[word] += 1
                return self.seen[word]
            case Total():
                return self.seen.total()


@step
async def count(text: str, *, resources: ActorRef[Count | Total]) -> int:
    for word in text.split():
        await resources.tell(Count(word))
    return await resources.ask(Total())


async def main() -> None:
    async with open_system() as system:
        tally = await system.spawn(Tally)
        await tally.tell(Count("actor"))
        print(await tally.ask(Count("actor"), timeout=1.0))

        result = await system.run(count, "one task and one mailbox", resources=tally)
        print(result.unwrap())

        try:
            await tally.ask(Count("42"))
        except ActorCrashedError as error:
            print(error)
        print(await tally.ask(Total()), tally.statistics().incarnation)


trio.run(main)
