"""The command line as a process of its own: signals, pipes, a terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from flujo_actors.spans import SpanStatus
from flujo_actors.storage import SQLiteBackend

FLUJO = [sys.executable, "-m", "flujo_actors"]


def start(*words: str, folder: Path) -> subprocess.Popen[bytes]:
    # Unbuffered output hides what happens to output that is still in a buffer.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        [*FLUJO, *words], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def wait_for_line(process: subprocess.Popen[bytes], beginning: bytes) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(beginning):
            return
    pytest.fail(f"no line began with {beginning!r}")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_ends_the_run_cleanly_with_its_spans_stored(
    folder: Path, number: signal.Signals, code: int
) -> None:
    with start("run", "flow.py:waiting", "--input", "3", folder=folder) as process:
        wait_for_line(process, b"waiting")
        process.send_signal(number)
        _, errors = process.communicate()
    assert process.returncode == code
    assert b"Traceback" not in errors
    assert f"Cancelled: interrupted by {number.name} (while running wait)".encode() in errors
    with SQLiteBackend(folder / "runs.db") as backend:
        (run,) = backend.list_runs()
        trace = backend.get_trace(run.run_id)
    assert run.status is SpanStatus.CANCELLED
    assert trace is not None
    assert [(child["name"], child["status"]) for child in trace["children"]] == [
        ("double", "completed"),
        ("wait", "cancelled"),
    ]


def test_a_run_under_nohup_goes_on_when_the_terminal_is_closed(folder: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which a child inherits, and is what nohup does
    try:
        process = start("run", "flow.py:waiting", "--input", "3", folder=folder)
    finally:
        signal.signal(signal.SIGHUP, before)
    with process:
        wait_for_line(process, b"double: completed")
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert b"Cancelled: interrupted by SIGINT" in errors


def test_a_second_interrupt_ends_a_process_whose_agent_does_not_let_go(folder: Path) -> None:
    (folder / "stuck.py").write_text(
        "import sys, threading, trio\nfrom flujo_actors import step\nfrom flujo_actors.storage import SQLiteBackend\n"
        "@step\nasync def ready(data: str) -> str:\n"
        "    while not SQLiteBackend('runs.db', read_only=True).list_runs():\n"
        "        await trio.lowlevel.checkpoint()\n"
        "    return data\n"
        "@step\nasync def stuck(data: str) -> str:\n"
        "    print('stuck', file=sys.stderr, flush=True)\n    threading.Event().wait(60)\n    return data\n"
        "pipeline = ready >> stuck\n"
    )
    with start("run", "stuck.py", "--input", "x", folder=folder) as process:
        wait_for_line(process, b"stuck")
        process.send_signal(signal.SIGINT)
        # The first interrupt is only a request; when it has been taken, the second one ends the process.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                continue
    assert process.returncode == 130
    with SQLiteBackend(folder / "runs.db") as backend:
        (run,) = backend.list_runs()
    assert run.status is SpanStatus.INTERRUPTED


def test_a_reader_that_goes_away_early_is_no_error(folder: Path) -> None:
    (folder / "long.py").write_text(
        "from flujo_actors import step\n@step\nasync def pipeline(data: str) -> str:\n    return data * 1_000_000\n"
    )
    with start("run", "long.py", "--input", "line\n", folder=folder) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
    assert process.returncode == 0
    assert b"completed in" in errors
    assert b"Error" not in errors


def test_a_run_goes_on_when_nobody_reads_its_progress(folder: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*FLUJO, "run", "flow.py", "--input", "3"], cwd=folder, stdout=subprocess.PIPE, stderr=writer, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stdout) == (0, b"12\n")


def test_output_that_cannot_be_written_gives_one_line(folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*FLUJO, "--help"], cwd=folder, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (74, b"flujo: the output cannot be written: No space left on device\n")


def test_a_command_works_without_standard_output(folder: Path) -> None:
    words = [*FLUJO, "run", "flow.py", "--input", "3"]
    done = subprocess.run(["sh", "-c", '"$@" >&-', "sh", *words], cwd=folder, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 0
    assert b"completed in" in done.stderr


def test_signs_that_the_locale_s_encoding_lacks_are_printed_as_escapes(folder: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    for words in (["run", "flow.py", "--input", "3"], ["lens", "list"]):
        subprocess.run([*FLUJO, *words], cwd=folder, env=environment, capture_output=True, check=True)
    words = ["lens", "trace", "latest"]
    done = subprocess.run([*FLUJO, *words], cwd=folder, env=environment, capture_output=True, check=True)
    assert done.stdout.decode("latin-1").splitlines()[1].startswith("\\u2713 pipeline_run")


def test_on_a_terminal_the_progress_is_a_tree(folder: Path) -> None:
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    command = [*FLUJO, "run", "flow.py:broken", "--input", "3"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stderr=terminal, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        os.close(terminal)
        shown = b""
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:  # how Linux reports that the other end is closed
                break
            if not part:
                break
            shown += part
    os.close(controller)
    text = shown.decode()
    assert process.returncode == 1
    assert "├── " in text
    assert "double" in text
    assert "└── " in text
    assert "Agent execution failed with ValueError: boom in two lines, with \\x1b[31mcolour" in text.replace("\r\n", "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user to meet a file it may not write")
def test_a_database_that_may_not_be_written_is_refused_before_anything_runs(folder: Path) -> None:
    database = folder / "runs.db"
    with SQLiteBackend(database):
        pass
    database.chmod(0o444)
    folder.chmod(0o755)
    before = database.read_bytes()
    script = (
        "import os, sys\nfrom flujo_actors.cli import main\nimport flujo_actors.cli.lens\nos.seteuid(65534)\n"
        f"sys.exit(main(['run', 'flow.py', '--input', '3', '--db', {str(database)!r}]))"
    )
    for parent in folder.parents:
        if parent.stat().st_mode & 0o011 != 0o011 and parent.name.startswith("pytest-"):
            parent.chmod(0o755)
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "may not be written" in done.stderr or "read-only" in done.stderr
    assert database.read_bytes() == before
