"""A pipeline for the command line: flujo run words_flow.py:pipeline --input "some text"."""

import attrs

from flujo_actors import step


@attrs.define
class Notes:
    seen: int = 0
    lines: list[str] = attrs.Factory(list[str])


@step
async def words(text: str, *, context: Notes) -> list[str]:
    context.seen += 1
    return text.split()


@step
def longest(words: list[str], *, context: Notes) -> str:
    context.lines.append(f"{len(words)} words")
    return max(words, key=len)


pipeline = words >> longest
