import trio

from flujo_actors import open_system, step
from flujo_actors.events import StepStarted
from flujo_actors.storage import MemoryBackend


@step
async def wait_a_little(seconds: float) -> str:
    await trio.sleep(seconds)
    return f"waited {seconds} s"


async def main() -> None:
    backend = MemoryBackend()
    async with open_system(storage=backend) as system:
        result = await system.run(wait_a_little, 0.01)
        print(result.unwrap())

        run = await system.start(wait_a_little, 60.0)
        async for event in run.events():
            print(type(event).__name__)
            if isinstance(event, StepStarted) and event.path == "wait_a_little":
                run.cancel(reason="a minute is too long")
        print((await run.wait()).failure)

        with trio.move_on_after(0.01):  # cancelling the host cancels the run
            await system.run(wait_a_little, 60.0)
    print([str(run.status) for run in backend.list_runs()])


trio.run(main)
