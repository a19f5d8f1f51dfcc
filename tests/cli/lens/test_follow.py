"""Following a run that another process is in the middle of."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from flujo_actors.storage import SQLiteBackend
from tests.cli.conftest import Flujo
from tests.cli.lens.terminal import FLUJO, on_terminal

SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"

STAYING = """
import sys
import trio
from flujo_actors import LoopStep, step
from flujo_actors.storage import SQLiteBackend

@step
async def begin(data: str) -> str:
    while not SQLiteBackend("runs.db", read_only=True).list_runs():
        await trio.lowlevel.checkpoint()
    return data

@step
async def count(data: str) -> str:
    await trio.lowlevel.checkpoint()
    return data + "."

@step
async def stay(data: str) -> str:
    print("staying", file=sys.stderr, flush=True)
    await trio.sleep_forever()
    return data

pipeline = begin >> stay
many = begin >> LoopStep("many", body=count, exit_condition=lambda data, _: len(data) > 60, max_loops=100) >> stay
"""


@contextmanager
def running(folder: Path, name: str = "pipeline") -> Generator[subprocess.Popen[bytes]]:
    """A process that runs a pipeline and stays in it; its run is in the database."""
    (folder / "staying.py").write_text(STAYING)
    command = [*FLUJO, "run", f"staying.py:{name}", "--input", "x"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            while (line := process.stderr.readline()) != b"staying\n":
                assert line
            yield process
        finally:
            process.kill()


@contextmanager
def following(folder: Path, *options: str) -> Generator[subprocess.Popen[str]]:
    command = [*FLUJO, "lens", "trace", "latest", "--follow", *options]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_in_a_pipe_each_step_gives_a_line_when_it_has_ended_and_the_run_one_at_the_end(folder: Path) -> None:
    with running(folder) as run, following(folder) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline().startswith("✓ begin  ")
        run.send_signal(signal.SIGINT)
        rest, errors = follower.communicate()
    stay, root, record = rest.splitlines()
    assert stay.startswith("⊘ stay  ")
    assert "cancelled: Cancelled: interrupted by SIGINT" in stay
    assert root.startswith("⊘ pipeline_run  ")
    assert record.startswith("run ")
    assert record.endswith("cancelled")
    assert (follower.returncode, errors) == (0, "")


def test_as_json_each_span_and_the_record_are_objects_on_lines(folder: Path) -> None:
    with running(folder) as run, following(folder, "--json") as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["name"] == "begin"
        run.send_signal(signal.SIGTERM)
        rest, _ = follower.communicate()
    stay, root, record = map(json.loads, rest.splitlines())
    assert (stay["name"], stay["status"], root["name"]) == ("stay", "cancelled", "pipeline_run")
    assert (record["status"], record["pipeline"]) == ("cancelled", "pipeline")
    assert follower.returncode == 0


def test_following_ends_when_the_process_of_the_run_dies(folder: Path) -> None:
    with running(folder) as run, following(folder) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline().startswith("✓ begin  ")
        run.kill()
        run.wait()
        rest, errors = follower.communicate()
    assert rest.splitlines()[-1].endswith("interrupted")
    assert (follower.returncode, errors) == (0, "")


def test_ctrl_c_ends_following_and_not_the_run(folder: Path) -> None:
    with running(folder) as run, following(folder) as follower:
        assert follower.stdout is not None
        follower.stdout.readline()
        follower.send_signal(signal.SIGINT)
        _, errors = follower.communicate()
        assert run.poll() is None
    assert (follower.returncode, errors) == (130, "flujo: interrupted\n")


def test_a_run_that_has_ended_is_told_at_once(flujo: Flujo) -> None:
    flujo("run", "flow.py", "--input", "3")
    outcome = flujo("lens", "trace", "latest", "--follow")
    assert outcome.code == 0
    *steps, _, record = outcome.out.splitlines()
    assert [line.split()[1] for line in steps] == ["double", "double#2"]
    assert record.endswith("completed")


def test_on_a_terminal_the_tree_grows_in_its_place_and_is_left_whole(folder: Path) -> None:
    with running(folder, "many") as run:
        words = ("lens", "trace", "latest", "--follow")
        with on_terminal(*words, folder=folder, columns=90, rows=20) as terminal:
            terminal.read_until("earlier")
            run.send_signal(signal.SIGINT)
            assert terminal.read_to_end() == 0
    final = terminal.text[terminal.text.rindex("\nrun ") + 1 :].splitlines()
    assert final[0].endswith("cancelled")
    assert sum("count" in line for line in final) == 60
    assert "earlier" not in "".join(final)
    assert terminal.shown.rindex(SHOW_CURSOR) > terminal.shown.rindex(HIDE_CURSOR)


@pytest.mark.parametrize("rows", [6, 20])
def test_while_a_run_goes_on_the_tree_is_no_taller_than_the_terminal(folder: Path, rows: int) -> None:
    with running(folder, "many"):
        words = ("lens", "trace", "latest", "--follow")
        with on_terminal(*words, folder=folder, columns=90, rows=rows) as terminal:
            terminal.read_until("iteration 60")
            terminal.process.send_signal(signal.SIGINT)
            assert terminal.read_to_end() == 130
    pictures = re.split("run [0-9a-f]{32}", terminal.text)[1:]
    assert max(picture.count("\n") for picture in pictures) <= rows
    assert terminal.text.endswith("flujo: interrupted\n")
    assert terminal.shown.rindex(SHOW_CURSOR) > terminal.shown.rindex(HIDE_CURSOR)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["lens trace --follow", "watch"])
def test_a_signal_that_ends_the_process_gives_the_terminal_its_cursor_back(
    folder: Path, command: str, number: signal.Signals
) -> None:
    with running(folder):
        with SQLiteBackend(folder / "runs.db", read_only=True) as backend:
            [run] = backend.list_runs()
        with on_terminal(*command.split(), run.run_id, folder=folder) as terminal:
            terminal.read_until(HIDE_CURSOR)
            terminal.process.send_signal(number)
            assert terminal.read_to_end() == -number
    assert terminal.shown.rindex(SHOW_CURSOR) > terminal.shown.rindex(HIDE_CURSOR)


def test_a_hang_up_that_nohup_had_ignored_does_not_end_following(folder: Path) -> None:
    words = ("lens", "trace", "latest", "--follow")
    with running(folder) as run, ignoring(signal.SIGHUP), on_terminal(*words, folder=folder) as terminal:
        terminal.read_until(HIDE_CURSOR)
        terminal.process.send_signal(signal.SIGHUP)
        run.send_signal(signal.SIGINT)
        assert terminal.read_to_end() == 0


@contextmanager
def ignoring(number: signal.Signals) -> Generator[None]:
    """Processes that are started meanwhile ignore the signal."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(number, before)
