import tempfile
from pathlib import Path

from flujo_actors import run_pipeline, step
from flujo_actors.storage import SQLiteBackend


@step
def shout(text: str) -> str:
    return text.upper()


@step
def cheer(text: str) -> str:
    return text + "!"


with tempfile.TemporaryDirectory() as folder:
    database = Path(folder, "runs.db")
    result = run_pipeline(shout >> cheer, "hello", storage=SQLiteBackend(database))

    with SQLiteBackend(database, read_only=True) as backend:  # any time later, in any process
        trace = backend.get_trace(result.run_id)
        if trace is not None:
            print(trace["name"], trace["status"], [child["name"] for child in trace["children"]])
        print(trace == result.trace_tree)
