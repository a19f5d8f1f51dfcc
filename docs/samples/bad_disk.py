"""A database that another program keeps locked: the run goes on, says what is missing, and stores it later."""

import logging
import sqlite3
import tempfile
from pathlib import Path

import trio

from flujo_actors import open_system, step
from flujo_actors.storage import SQLiteBackend

logging.getLogger("flujo_actors.storage").setLevel(logging.ERROR)  # it would warn on the console


@step
async def double(data: int) -> int:
    return data * 2


async def main(path: Path) -> None:
    backend = SQLiteBackend(path, lock_timeout=0.1)  # 5 seconds unless you say otherwise
    async with open_system(storage=backend, on_storage_failure="degrade") as system:
        await system.run(double, 1)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # nobody else can write now

        result = await system.run(double, 21)
        print(result.output, result.status)
        for warning in result.warnings:
            print(warning.replace(str(path), path.name))

        other.execute("ROLLBACK")
        other.close()
    print([child["name"] for child in (backend.get_trace(result.run_id) or {})["children"]])
    backend.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        trio.run(main, Path(folder) / "runs.db")
