"""A user's folder with a pipeline file and a database path, and the command line called in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from flujo_actors.cli import main

FLOW = """
import sys

import attrs
import trio

from flujo_actors import Pipeline, step


@attrs.define
class Notes:
    seen: int = 0


@attrs.define
class Demanding:
    needed: int


@attrs.define
class Order:
    item: str
    count: int = 1


@step
async def double(data: int, *, context: Notes) -> int:
    context.seen += 1
    return data * 2


@step
async def wait(data: int) -> int:
    print("waiting", file=sys.stderr, flush=True)
    await trio.sleep_forever()
    return data


@step
async def shout(data: str) -> str:
    return data.upper()


@step
async def explode(data: int) -> int:
    raise ValueError("boom\\nin two lines, with \\x1b[31mcolour")


@step
async def total(data: Order) -> str:
    return f"{data.count} x {data.item}"


@step
async def demand(data: str, *, context: Demanding) -> str:
    return data * context.needed


@step
async def give_order(data: str) -> Order:
    return Order(data)


def ten_times() -> Demanding:
    return Demanding(10)


notes = Notes(seen=40)
pipeline = double >> double
waiting = double >> wait
broken = double >> explode
empty = Pipeline("empty", [])
number = 3
"""


@attrs.frozen
class Outcome:
    """What a command printed and exited with."""

    code: int
    out: str
    err: str

    @property
    def error_line(self) -> str:
        """Standard error, which has to be one line."""
        assert self.err.count("\n") == 1, self.err
        return self.err.rstrip("\n")


Flujo = Callable[..., Outcome]


@pytest.fixture
def folder(tmp_path: Path, session_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, which is the current one, with `flow.py` in it."""
    (tmp_path / "flow.py").write_text(FLOW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLUJO_DB", str(tmp_path / "runs.db"))
    return tmp_path


@pytest.fixture
def flujo(folder: Path, capsys: pytest.CaptureFixture[str]) -> Flujo:
    """Call the command line."""

    def call(*words: str) -> Outcome:
        code = main(words)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return call
