"""A program of asyncio's that runs pipelines in its own event loop, where trio is a guest."""

import asyncio
from typing import Any, Self

import outcome
import trio

from flujo_actors import PipelineResult, System, open_system, step
from flujo_actors.steps import AnyStep
from flujo_actors.storage import MemoryBackend, StateBackend


class Pipelines:
    """A system for tasks of asyncio's: `async with Pipelines(storage) as pipelines`. One in a thread at a time."""

    def __init__(self, storage: StateBackend) -> None:
        self.storage = storage

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.opened: asyncio.Future[tuple[System, trio.Nursery, trio.lowlevel.TrioToken]] = loop.create_future()
        self.closed: asyncio.Future[outcome.Outcome[None]] = loop.create_future()
        trio.lowlevel.start_guest_run(
            self._live,
            run_sync_soon_threadsafe=loop.call_soon_threadsafe,
            done_callback=self.closed.set_result,
            host_uses_signal_set_wakeup_fd=True,
        )
        either: list[asyncio.Future[Any]] = [self.opened, self.closed]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if self.closed.done():
            self.closed.result().unwrap()  # which raises why the system could not be opened
        self.system, self.nursery, self.token = self.opened.result()
        return self

    async def _live(self) -> None:
        """The trio program. It ends when its nursery is cancelled."""
        async with open_system(storage=self.storage) as system, trio.open_nursery() as nursery:
            self.opened.set_result((system, nursery, trio.lowlevel.current_trio_token()))
            await trio.sleep_forever()

    async def __aexit__(self, *details: object) -> None:
        self.token.run_sync_soon(self.nursery.cancel_scope.cancel)
        (await self.closed).unwrap()

    async def run(self, pipeline: AnyStep, data: Any, **options: Any) -> PipelineResult[Any, Any]:
        """Run a pipeline. Cancelling this cancels the run, and waits until it has cleaned up."""
        ended: asyncio.Future[PipelineResult[Any, Any]] = asyncio.get_running_loop().create_future()
        scope = trio.CancelScope()

        async def in_trio() -> None:
            try:
                with scope:
                    ended.set_result(await self.system.run(pipeline, data, **options))
            except Exception as error:
                ended.set_exception(error)
            finally:
                ended.cancel()  # where it has neither

        self.token.run_sync_soon(self.nursery.start_soon, in_trio)
        try:
            return await asyncio.shield(ended)
        except asyncio.CancelledError:
            if not ended.done():
                self.token.run_sync_soon(scope.cancel)
                await asyncio.wait([ended])
            raise


@step
async def wait_a_little(seconds: float) -> str:
    await trio.sleep(seconds)
    return f"waited {seconds} s"


async def main() -> None:
    backend = MemoryBackend()
    async with Pipelines(backend) as pipelines:
        too_long = asyncio.create_task(pipelines.run(wait_a_little, 60.0))
        results = await asyncio.gather(*[pipelines.run(wait_a_little, seconds) for seconds in (0.01, 0.02)])
        print([result.unwrap() for result in results])
        too_long.cancel()
        await asyncio.wait([too_long])
    print(sorted(str(run.status) for run in backend.list_runs()))


asyncio.run(main())
