import attrs

from flujo_actors import run_pipeline, step


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


result = run_pipeline(words >> longest, "structured concurrency for pipelines", context=Notes())
print(result.output, result.context)
