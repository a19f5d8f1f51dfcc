import sys
import tempfile
from pathlib import Path

import trio

from flujo_actors import open_system, step
from flujo_actors.control import open_control
from flujo_actors.storage import SQLiteBackend


@step
async def wait_a_little(seconds: float) -> str:
    await trio.sleep(seconds)
    return f"waited {seconds} s"


async def another_terminal(*words: str) -> None:
    done = await trio.run_process([sys.executable, "-m", "flujo_actors", *words], capture_stdout=True)
    print("flujo", words[0], "says:", done.stdout.decode().split(" run ")[0])


async def main(database: Path) -> None:
    async with open_system(storage=SQLiteBackend(database)) as system, open_control(system, database):
        run = await system.start(wait_a_little, 60.0)
        await another_terminal("cancel", run.run_id, "--reason", "too long", "--no-wait", "--db", str(database))
        print((await run.wait()).failure)
        await another_terminal("ps", "--db", str(database))


with tempfile.TemporaryDirectory() as folder:
    trio.run(main, Path(folder) / "runs.db")
