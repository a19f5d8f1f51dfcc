"""An observer of every run of a system: log lines say which step they come from, and retries are counted."""

from collections import Counter
from contextvars import ContextVar

import trio

from flujo_actors import open_system, step
from flujo_actors.events import RunEvent, StepEnded, StepRetried, StepStarted
from flujo_actors.observers import BegunRun, EndedRun, RunObserver

CURRENT_STEP: ContextVar[str] = ContextVar("CURRENT_STEP", default="no step")


def log(text: str) -> None:
    print(f"[{CURRENT_STEP.get()}] {text}")


class RunWatch(RunObserver):
    def __init__(self, retries: Counter[str]) -> None:
        self.retries = retries
        self.paths: dict[str, str] = {}

    def event(self, event: RunEvent) -> None:
        match event:
            case StepStarted():
                self.paths[event.span_id] = event.path or "the pipeline"
            case StepRetried():
                self.retries[event.path] += 1
            case StepEnded():
                del self.paths[event.span_id]
            case _:
                pass

    def attempt_begins(self, span_id: str, attempt: int) -> None:
        CURRENT_STEP.set(f"{self.paths[span_id]}, attempt {attempt}")

    def run_ends(self, run: EndedRun) -> None:
        log(f"{run.status}, {len(self.paths)} steps left")


class Watch:
    def __init__(self) -> None:
        self.retries = Counter[str]()

    def run_begins(self, run: BegunRun) -> RunObserver:
        log(f"{run.pipeline} begins")
        return RunWatch(self.retries)


tries = iter([False, True])


@step
async def fetch(url: str) -> str:
    log(f"fetching {url}")
    await trio.sleep(0.01)
    if not next(tries):
        raise ConnectionError("no answer")
    return f"the page at {url}"


@step
def words(page: str) -> int:
    log("counting")
    return len(page.split())


async def main() -> None:
    watch = Watch()
    async with open_system(observers=[watch]) as system:
        await system.run(fetch >> words, "example.org")
    print(dict(watch.retries))


trio.run(main)
