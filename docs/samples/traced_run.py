"""Two runs with something of everything that a trace shows; `flujo lens` reads them (docs/how-to/read-a-trace.md)."""

import sys

import attrs
import trio

from flujo_actors import (
    LoopStep,
    ParallelStep,
    Pipeline,
    PipelineResult,
    RetryPolicy,
    UsageMeter,
    open_system,
    step,
)
from flujo_actors.storage import MemoryBackend, SQLiteBackend, StateBackend


@attrs.define
class Notes:
    calls: int = 0
    length: int = 0


@step(retry=RetryPolicy(max_attempts=3))
async def fetch(topic: str, *, context: Notes, usage: UsageMeter) -> str:
    context.calls += 1
    usage.charge(cost_usd=0.002, prompt_tokens=40)
    await trio.sleep(0.3)
    if usage.total().prompt_tokens < 80:
        raise ConnectionError("the source did not answer")
    return f"what is known of {topic}"


@step
async def write(text: str, *, usage: UsageMeter) -> str:
    usage.charge(cost_usd=0.01, prompt_tokens=len(text), completion_tokens=20)
    await trio.sleep(0.5)
    return f"{text}, and more"


@step
async def measure(text: str, *, context: Notes) -> str:
    context.length = len(text)
    await trio.sleep(0.1)
    return text


@step
async def ask_expert(text: str) -> str:
    await trio.sleep(0.2)
    raise TimeoutError("the expert is on holiday")


@step
async def ask_colleague(text: str) -> str:
    await trio.sleep(0.4)
    return "looks fine"


@step
async def check_facts(text: str) -> str:
    await trio.sleep(0.6)
    if "moon" in text:
        raise ValueError("the moon is not made of cheese")
    return "true"


draft = LoopStep("draft", body=write >> measure, exit_condition=lambda text, notes: notes.length > 40, max_loops=3)
review = ParallelStep("review", {"opinion": ask_expert.with_fallback(ask_colleague), "facts": check_facts})
pipeline = Pipeline("article", [fetch, draft, review])


async def main(storage: StateBackend) -> list[PipelineResult[object, Notes]]:
    async with open_system(storage=storage) as system:
        return [await system.run(pipeline, topic, context=Notes()) for topic in ("the sun", "the moon")]


if __name__ == "__main__":
    for result in trio.run(main, SQLiteBackend(sys.argv[1]) if len(sys.argv) > 1 else MemoryBackend()):
        print(result.status, "-", result.failure or "no failure")
