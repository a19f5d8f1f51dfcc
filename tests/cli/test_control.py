"""`flujo ps`, `flujo cancel` and `flujo watch` against runs in other processes."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord, SQLiteBackend
from tests.cli.conftest import Flujo, Outcome
from tests.cli.test_process import FLUJO, start, wait_for_line

FLOW = """
import sys

import trio
import trio.testing
from flujo_actors import ParallelStep, Step, open_system, step
from flujo_actors.control import open_control
from flujo_actors.storage import SQLiteBackend


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


async def until_recorded(count: int, database: str) -> None:
    with SQLiteBackend(database, read_only=True) as backend:
        while len(backend.list_runs()) < count:
            await trio.sleep(0.01)


@step
async def begin(data: str) -> str:
    await until_recorded(1, sys.argv[-1] if sys.argv[-1].endswith(".db") else "runs.db")
    return data


async def sleep(data: str) -> str:
    say("begun")
    await trio.sleep_forever()
    return data


async def stream(data: str):
    say("begun")
    number = 0
    while True:
        number += 1
        yield f"word {number}\\n"
        await trio.sleep(0.01)


async def wait_for_the_file(data: str) -> str:
    say("begun")
    while not await trio.Path("go").exists():
        await trio.sleep(0.01)
    return data


async def hold_on(data: str) -> str:
    say("begun")
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()
    return data


@step
async def fail(data: str) -> str:
    raise ValueError("boom")


fan = ParallelStep("fan", {name: Step(name, sleep) for name in "abc"}, on_branch_failure="ignore")
pipeline = begin >> fan
streaming = begin >> Step("stream", stream)
until_go = begin >> Step("until go", wait_for_the_file) >> Step("last", wait_for_the_file)
stubborn = begin >> Step("hold on", hold_on)
failing = begin >> Step("until go", wait_for_the_file) >> fail


async def embed(database: str, count: str, control: str) -> None:
    async with open_system(storage=SQLiteBackend(database)) as system:
        async def start() -> None:
            for _ in range(int(count)):
                await system.start(fan, "x")
            await until_recorded(int(count), database)
            await trio.testing.wait_all_tasks_blocked()
            say("embedded")
            await trio.sleep_forever()

        if control == "control":
            async with open_control(system, database):
                await start()
        else:
            await start()


if __name__ == "__main__":
    trio.run(embed, *sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def _flow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flow is there, and its processes may take their time to answer."""
    (folder / "slow.py").write_text(FLOW)
    monkeypatch.setattr("flujo_actors.control.client.ANSWER_TIMEOUT_S", 60.0)


@contextmanager
def killed_at_the_end(process: subprocess.Popen[bytes]) -> Generator[subprocess.Popen[bytes], None, None]:
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def running(folder: Path, name: str = "pipeline", *options: str) -> Generator[subprocess.Popen[bytes], None, None]:
    """A `flujo run` that is recorded, is in its second step, and goes on until it is stopped."""
    process = start("run", f"slow.py:{name}", "--input", "x", *options, folder=folder)
    with killed_at_the_end(process):
        for _ in "abc" if name == "pipeline" else "a":
            wait_for_line(process, b"begun")
        yield process


@contextmanager
def embedding(
    folder: Path, *, runs: int = 1, control: bool = True, database: str = "runs.db"
) -> Generator[subprocess.Popen[bytes], None, None]:
    """A trio program with runs that go on until it is killed."""
    words = [sys.executable, "slow.py", database, str(runs), "control" if control else "no control"]
    with killed_at_the_end(subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE)) as process:
        wait_for_line(process, b"embedded")
        yield process


def listed(flujo: Flujo, *options: str) -> list[dict[str, Any]]:
    outcome = flujo("ps", "--json", *options)
    assert (outcome.code, outcome.err) == (0, "")
    runs: list[dict[str, Any]] = json.loads(outcome.out)
    return runs


def sockets_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_socket()]


class TestPs:
    def test_where_nothing_runs_it_says_so_and_makes_nothing(self, flujo: Flujo, folder: Path) -> None:
        assert flujo("ps") == Outcome(0, "no runs are going on\n", "")
        assert flujo("ps", "--json").out == "[]\n"
        assert not (folder / "runs.db").exists()

    def test_it_lists_the_runs_of_all_processes_that_use_the_database(
        self, flujo: Flujo, folder: Path, session_folder: Path
    ) -> None:
        with running(folder) as one, running(folder) as two, embedding(folder, runs=3) as three:
            runs = listed(flujo)
            assert [run["pid"] for run in runs] == [one.pid, two.pid, *[three.pid] * 3]
            assert {(run["status"], run["controllable"]) for run in runs} == {("running", True)}
            assert runs[2]["actors"] == 5
            heading, *lines = flujo("ps").out.splitlines()
            assert heading.split() == ["run", "pipeline", "status", "age", "actors", "spent", "pid"]
            assert [line.split()[0] for line in lines] == [run["run_id"][:12] for run in runs]
            assert lines[0].split()[-1] == str(one.pid)
            modes = {stat.S_IMODE(path.stat().st_mode) for path in sockets_in(session_folder)}
            folders = {stat.S_IMODE(path.parent.stat().st_mode) for path in sockets_in(session_folder)}
            assert (modes, folders) == ({0o600}, {0o700})

    def test_databases_are_kept_apart(self, flujo: Flujo, folder: Path) -> None:
        with running(folder), running(folder, "pipeline", "--db", "other.db") as other:
            (run,) = listed(flujo, "--db", "other.db")
            assert run["pid"] == other.pid
            assert len(listed(flujo)) == 1

    def test_a_hundred_runs_in_one_process_are_listed(self, flujo: Flujo, folder: Path) -> None:
        with embedding(folder, runs=100):
            runs = listed(flujo)
            assert len({run["run_id"] for run in runs}) == 100
            assert {run["actors"] for run in runs} == {5}
            assert len(flujo("ps").out.splitlines()) == 101

    def test_a_run_that_nobody_can_be_asked_for_is_listed_and_marked(self, flujo: Flujo, folder: Path) -> None:
        with embedding(folder, control=False):
            (run,) = listed(flujo)
            assert (run["controllable"], run["pid"], run["actors"]) == (False, None, None)
            assert flujo("ps").out.splitlines()[1].endswith("no control")

    def test_a_process_that_does_not_answer_is_named_and_its_run_marked(
        self, flujo: Flujo, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with embedding(folder) as process:
            (run,) = listed(flujo)
            process.send_signal(signal.SIGSTOP)
            monkeypatch.setattr("flujo_actors.control.client.ANSWER_TIMEOUT_S", 0.3)
            outcome = flujo("ps", "--json")
            assert outcome.error_line == f"warning: Process {process.pid} does not answer; an agent may block it"
            (marked,) = json.loads(outcome.out)
            assert (marked["run_id"], marked["controllable"]) == (run["run_id"], False)
            cancelled = flujo("cancel", run["run_id"])
            assert cancelled.code == 2
            assert f"cannot be controlled: Process {process.pid} does not answer" in cancelled.error_line

    def test_runs_of_a_process_that_was_killed_are_not_going_on(
        self, flujo: Flujo, folder: Path, session_folder: Path
    ) -> None:
        with running(folder) as process:
            (run,) = listed(flujo)
            process.kill()
            process.wait()
            assert len(sockets_in(session_folder)) == 1
            assert listed(flujo) == []
            assert sockets_in(session_folder) == []
            outcome = flujo("cancel", run["run_id"])
            assert outcome.code == 2
            assert outcome.error_line.startswith(
                f"flujo: run {run['run_id']} is interrupted: its process is gone. It began at 2"
            )

    def test_a_folder_that_others_may_enter_is_named_and_not_looked_into(
        self, flujo: Flujo, session_folder: Path
    ) -> None:
        (session_folder / "flujo").mkdir()
        (session_folder / "flujo").chmod(0o755)
        outcome = flujo("ps")
        assert (outcome.code, outcome.out) == (0, "no runs are going on\n")
        assert "is open to other users (mode 0755); `chmod 700" in outcome.error_line

    def test_what_is_no_database_gives_one_line(self, flujo: Flujo, folder: Path) -> None:
        (folder / "runs.db").write_text("not a database, but mine\n" * 100)
        for command in (["ps"], ["cancel", "4f"], ["watch", "4f"]):
            outcome = flujo(*command)
            assert outcome.code == 2
            assert "it is not an SQLite database" in outcome.error_line

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user to meet a file it may not read")
    @pytest.mark.parametrize("command", [["ps"], ["cancel", "4f"], ["watch", "4f"]])
    def test_a_database_that_may_not_be_looked_at_gives_one_line(
        self, command: list[str], tmp_path: Path, session_folder: Path
    ) -> None:
        (tmp_path / "closed").mkdir(mode=0o700)
        script = (
            "import os, sys\nfrom flujo_actors.cli import main\nos.seteuid(65534)\n"
            f"sys.exit(main([*{command!r}, '--db', {str(tmp_path / 'closed' / 'runs.db')!r}]))"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"flujo: Database .*: it cannot be opened: Permission denied .*\n", done.stderr)


class TestCancel:
    def test_a_run_is_cancelled_and_says_why(self, flujo: Flujo, folder: Path, session_folder: Path) -> None:
        with running(folder) as process:
            (run,) = listed(flujo)
            outcome = flujo("cancel", run["run_id"][:6], "--reason", "enough")
            assert (outcome.code, outcome.out) == (0, f"cancelled run {run['run_id']}\n")
            _, errors = process.communicate()
        assert process.returncode == 1
        assert b"the pipeline: Cancelled: enough (while running fan/" in errors
        assert sockets_in(session_folder) == []

    def test_a_part_is_cancelled_and_the_run_goes_on(self, flujo: Flujo, folder: Path) -> None:
        with running(folder) as process:
            (run,) = listed(flujo)
            outcome = flujo("cancel", run["run_id"], "fan/b")
            assert (outcome.code, outcome.out) == (0, f"cancelled fan/b of run {run['run_id']}\n")
            assert listed(flujo)[0]["actors"] == 4
            outcome = flujo("cancel", run["run_id"], "fan")
            # Told when the part has ended: the run may have, too.
            assert re.fullmatch(rf"cancelled fan of run {run['run_id']}(, which has ended: failed)?\n", outcome.out)
            process.wait()

    def test_who_does_not_wait_is_told_that_it_is_under_way(self, flujo: Flujo, folder: Path) -> None:
        with running(folder) as process:
            (run,) = listed(flujo)
            outcome = flujo("cancel", run["run_id"], "--no-wait")
            assert outcome == Outcome(0, f"cancelling run {run['run_id']}\n", "")
            process.wait()

    def test_where_nothing_is_running_it_says_what_is(self, flujo: Flujo, folder: Path) -> None:
        with running(folder):
            (run,) = listed(flujo)
            outcome = flujo("cancel", run["run_id"], "fan/d")
            assert outcome.code == 2
            beginning = f"flujo: nothing is running at 'fan/d' in run {run['run_id']}; running there: "
            assert outcome.error_line.startswith(beginning)
            assert set(outcome.error_line.removeprefix(beginning).split(", ")) == {"fan", "fan/a", "fan/b", "fan/c"}

    def test_a_run_that_has_ended_is_said_to_have_and_when(self, flujo: Flujo, folder: Path) -> None:
        run_id = json.loads(flujo("run", "flow.py", "--input", "3", "--json").out)["run_id"]
        for command in ("cancel", "watch"):
            outcome = flujo(command, run_id[:9])
            assert outcome.code == 2
            assert re.fullmatch(
                rf"flujo: run {run_id} has ended: completed at \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d", outcome.error_line
            )

    @pytest.mark.parametrize("run_id", ["ffff", "", "%"])
    def test_an_unknown_run_gives_one_line_with_and_without_a_database(self, flujo: Flujo, run_id: str) -> None:
        expected = f"flujo: there is no run {run_id!r}; `flujo ps` shows the runs that are going on"
        for command in ("cancel", "watch"):
            outcome = flujo(command, run_id)
            assert outcome.code == 2
            assert outcome.error_line == expected
        flujo("run", "flow.py", "--input", "3")
        assert flujo("cancel", run_id).error_line == expected

    def test_a_run_without_control_is_said_to_be_so(self, flujo: Flujo, folder: Path) -> None:
        with embedding(folder, control=False):
            (run,) = listed(flujo)
            assert flujo("cancel", run["run_id"]).error_line == (
                f"flujo: run {run['run_id']} is going on, and cannot be controlled: the program that runs it has not "
                "opened a control socket"
            )

    def test_a_beginning_that_several_runs_have_is_refused(self, flujo: Flujo, folder: Path) -> None:
        with embedding(folder, runs=17):
            beginnings = [run["run_id"][0] for run in listed(flujo)]
            shared = next(each for each in beginnings if beginnings.count(each) > 1)
            outcome = flujo("cancel", shared)
            assert outcome.code == 2
            assert outcome.error_line.startswith(f"flujo: several runs that begin with '{shared}' are going on: ")
            assert len(listed(flujo)) == 17

    def test_a_run_that_is_going_on_comes_before_those_that_have_ended(self, flujo: Flujo, folder: Path) -> None:
        with embedding(folder, runs=1) as process, SQLiteBackend(folder / "runs.db") as backend:
            (run,) = listed(flujo)
            for number in range(3):
                old = RunRecord(run["run_id"][:4] + f"{number:028}", SpanStatus.COMPLETED, "old", 1.0, 2.0)
                backend.record_run_start(old)
            assert flujo("cancel", run["run_id"][:4], "--no-wait").code == 0
            process.kill()


@contextmanager
def watching(folder: Path, *words: str) -> Generator[subprocess.Popen[bytes], None, None]:
    """A `flujo watch` that has begun to watch."""
    with killed_at_the_end(start("watch", *words, folder=folder)) as process:
        wait_for_line(process, b"watching run")
        yield process


def read_terminal(controller: int, until: bytes = b"") -> str:
    """What a program shows on its terminal, to its end or until something is shown."""
    shown = b""
    while not until or until not in shown:
        try:
            part = os.read(controller, 65536)
        except OSError:  # how Linux reports that the other end is closed
            break
        if not part:
            break
        shown += part
    return shown.decode()


class TestWatch:
    def test_piped_it_gives_a_line_for_each_step_and_how_the_run_ended(self, flujo: Flujo, folder: Path) -> None:
        with running(folder, "until_go"):
            (run,) = listed(flujo)
            with watching(folder, run["run_id"][:8]) as process:
                (folder / "go").touch()
                out, errors = process.communicate()
        assert (process.returncode, errors) == (0, b"")
        assert [line.split(" in ")[0] for line in out.decode().splitlines()] == [
            "until go: completed",
            "last: completed",
            "✓ completed",
            f"run {run['run_id']}",
        ]

    def test_it_exits_with_0_however_the_run_ended(self, flujo: Flujo, folder: Path) -> None:
        with running(folder, "failing") as process:
            (run,) = listed(flujo)
            with watching(folder, run["run_id"]) as watcher:
                (folder / "go").touch()
                out, _ = watcher.communicate()
            process.wait()
        assert (process.returncode, watcher.returncode) == (1, 0)
        lines = out.decode().splitlines()
        assert lines[1] == ("fail: attempt 1 failed, trying again: Agent execution failed with ValueError: boom")
        assert lines[3].startswith("✗ failed in ")
        assert lines[4] == "fail: Agent execution failed with ValueError: boom (attempt 2)"

    def test_as_json_it_gives_the_actors_each_event_and_the_end_a_line_each(self, flujo: Flujo, folder: Path) -> None:
        with running(folder, "streaming"):
            (run,) = listed(flujo)
            with killed_at_the_end(start("watch", run["run_id"], "--json", folder=folder)) as watcher:
                assert watcher.stdout is not None
                lines = [json.loads(watcher.stdout.readline()) for _ in range(4)]
                flujo("cancel", run["run_id"])
                lines += [json.loads(line) for line in watcher.stdout]
        assert watcher.returncode == 0
        assert {line["version"] for line in lines} == {1}
        assert [actor["path"] for actor in lines[0]["actors"]] == ["", "stream"]
        assert [line["event"] for line in lines[1:4]] == ["ChunkProduced"] * 3
        assert lines[1]["chunk"] == f"word {lines[1]['number']}\n"
        assert [line["event"] for line in lines[-3:-1]] == ["StepEnded", "StepEnded"]
        assert (lines[-1]["answer"], lines[-1]["run"]["status"]) == ("ended", "cancelled")

    def test_chunks_are_shown_when_they_are_asked_for(self, flujo: Flujo, folder: Path) -> None:
        with running(folder, "streaming"):
            (run,) = listed(flujo)
            with watching(folder, run["run_id"], "--chunks") as watcher:
                assert watcher.stdout is not None
                chunk = watcher.stdout.readline().decode()
                assert re.fullmatch(r"stream: chunk (\d+): word \1\n", chunk)

    @pytest.mark.parametrize("options", [[], ["--chunks"]])
    def test_on_a_terminal_a_late_watcher_sees_the_whole_tree(
        self, options: list[str], flujo: Flujo, folder: Path
    ) -> None:
        with running(folder, "streaming" if options else "pipeline"):
            (run,) = listed(flujo)
            controller, terminal = pty.openpty()
            environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
            command = [*FLUJO, "watch", run["run_id"], *options]
            with killed_at_the_end(
                subprocess.Popen(
                    command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=terminal, stderr=terminal
                )
            ) as watcher:
                os.close(terminal)
                shown = read_terminal(controller, until=b"chunk " if options else "└── ".encode())
                flujo("cancel", run["run_id"], "--reason", "enough")
                shown += read_terminal(controller)
            os.close(controller)
        assert watcher.returncode == 0
        steps = ["stream"] if options else ["fan", "a", "b", "c"]
        plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown).replace("\r", "")
        for step in steps:
            assert re.search(rf"─ … {step} ", plain), plain
            assert re.search(rf"─ ⊘ {step} .*Cancelled: enough", plain), plain
        assert "⊘ cancelled in " in plain

    def test_ctrl_c_ends_the_watching_and_not_the_run(self, flujo: Flujo, folder: Path) -> None:
        with running(folder):
            (run,) = listed(flujo)
            with watching(folder, run["run_id"]) as watcher:
                watcher.send_signal(signal.SIGINT)
                _, errors = watcher.communicate()
            assert (watcher.returncode, errors.decode()) == (130, f"run {run['run_id']} goes on\n")
            assert [each["status"] for each in listed(flujo)] == ["running"]

    def test_a_reader_that_goes_away_early_ends_the_watching_and_not_the_run(self, flujo: Flujo, folder: Path) -> None:
        with running(folder, "streaming"):
            (run,) = listed(flujo)
            for options in (["--json"], ["--chunks"]):
                with killed_at_the_end(start("watch", run["run_id"], *options, folder=folder)) as watcher:
                    assert watcher.stdout is not None
                    watcher.stdout.readline()
                    watcher.stdout.close()
                    assert watcher.stderr is not None
                    errors = watcher.stderr.read()
                assert (watcher.returncode, b"Error" in errors) == (0, False)
            assert len(listed(flujo)) == 1

    @pytest.mark.parametrize("options", [[], ["--json"]])
    def test_when_the_process_is_killed_the_run_is_interrupted(
        self, options: list[str], flujo: Flujo, folder: Path
    ) -> None:
        with running(folder) as process:
            (run,) = listed(flujo)
            with killed_at_the_end(start("watch", run["run_id"], *options, folder=folder)) as watcher:
                if options:
                    assert watcher.stdout is not None
                    watcher.stdout.readline()
                else:
                    wait_for_line(watcher, b"watching run")
                process.kill()
                process.wait()
                out, _ = watcher.communicate()
        assert watcher.returncode == 0
        if options:
            assert json.loads(out)["run"]["status"] == "interrupted"
        else:
            assert out.decode().splitlines()[0] == "interrupted: its process is gone"

    def test_one_who_waits_for_a_cancelling_is_told_of_a_process_that_dies(self, flujo: Flujo, folder: Path) -> None:
        with running(folder, "stubborn") as process:
            (run,) = listed(flujo)
            with killed_at_the_end(start("cancel", run["run_id"], folder=folder)) as cancelling:
                wait_for_line(cancelling, b"cancelling")
                assert [each["status"] for each in listed(flujo)] == ["cancelling"]
                process.kill()
                process.wait()
                out, _ = cancelling.communicate()
        assert (cancelling.returncode, out.decode()) == (0, f"run {run['run_id']} has ended: interrupted\n")


class TestRunsThatAreControlled:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_interrupted_run_leaves_no_socket(
        self, number: signal.Signals, flujo: Flujo, folder: Path, session_folder: Path
    ) -> None:
        with running(folder) as process:
            assert len(sockets_in(session_folder)) == 1
            process.send_signal(number)
            process.communicate()
        assert sockets_in(session_folder) == []

    def test_where_no_socket_can_be_made_the_run_goes_on_with_a_warning(
        self, flujo: Flujo, session_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("flujo_actors.control.addresses.folders", lambda: (session_folder / "flujo",))
        (session_folder / "flujo").mkdir()
        (session_folder / "flujo").chmod(0o755)
        outcome = flujo("run", "flow.py", "--input", "3")
        assert (outcome.code, outcome.out) == (0, "12\n")
        assert outcome.err.startswith(
            "warning: other terminals cannot see this run: No control socket can be made: "
            f"{session_folder}/flujo is open to other users (mode 0755)"
        )
