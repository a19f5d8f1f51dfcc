"""Finding a run that is going on, in whatever process; and what there is to say of one that is not."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import trio

from flujo_actors.cli.database import is_missing
from flujo_actors.cli.errors import BadInputError
from flujo_actors.cli.text import moment, one_line
from flujo_actors.control.client import ControlledRun, find_runs
from flujo_actors.control.protocol import RunStatus
from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord, SQLiteBackend

LAST_WORDS_S = 2.0
"""Seconds that a process which has closed its control socket has to record the end of its runs."""

run_argument = click.argument("prefix", metavar="RUN")
"""A run that is going on: its id, or any beginning of it that no other run that is going on has."""


def find_going_on(prefix: str, database: Path) -> ControlledRun:
    """The run whose id begins with `prefix`, of those that are going on and can be controlled.

    Raises:
        BadInputError: there is none, or more than one.
    """
    survey = trio.run(find_runs, database, prefix)
    match survey.runs if prefix else ():
        case []:
            raise BadInputError(why_not_going_on(prefix, database, survey.problems))
        case [run]:
            return run
        case runs:
            raise BadInputError(_several(prefix, [run.status.run_id for run in runs], "are going on"))


def why_not_going_on(prefix: str, database: Path, problems: Iterable[str] = ()) -> str:
    """What the database says of a run that no process has answered for.

    Args:
        prefix: how the run's id begins.
        database: where to look.
        problems: what went wrong when the processes were asked.
    """
    runs = recorded_runs(prefix, database) if prefix else []
    candidates = [run for run in runs if run.status is SpanStatus.RUNNING] or runs
    match candidates:
        case []:
            unasked = "".join(f" ({one_line(problem)})" for problem in problems)
            return f"there is no run {prefix!r}; `flujo ps` shows the runs that are going on{unasked}"
        case [run]:
            return f"run {run.run_id} {_state_of(run, problems)}"
        case _:
            return _several(prefix, [run.run_id for run in candidates], "are recorded")


def recorded_runs(prefix: str, database: Path) -> list[RunRecord]:
    """The runs in the database whose ids begin with `prefix`, six at the most; none when there is no database yet."""
    if is_missing(database):
        return []
    with SQLiteBackend(database, read_only=True) as backend:
        return backend.find_runs(prefix, limit=6)


def recorded_end(run_id: str, database: Path) -> RunStatus:
    """How a run has ended whose process has closed its control socket.

    Raises:
        BadInputError: that is not recorded, and not within `LAST_WORDS_S` either.
    """
    give_up_at = time.monotonic() + LAST_WORDS_S
    while True:
        run = next(iter(recorded_runs(run_id, database)), None)
        if run is not None and run.status is not SpanStatus.RUNNING:
            return RunStatus.of(run)
        if time.monotonic() > give_up_at:
            raise BadInputError(f"the process of run {run_id} has closed its control socket; how the run ends is open")
        time.sleep(0.05)


def _state_of(run: RunRecord, problems: Iterable[str]) -> str:
    match run.status:
        case SpanStatus.RUNNING:
            reasons = "; ".join(map(one_line, problems)) or "the program that runs it has not opened a control socket"
            return f"is going on, and cannot be controlled: {reasons}"
        case SpanStatus.INTERRUPTED:
            return f"is interrupted: its process is gone. It began at {moment(run.started_at)}"
        case _:
            when = "" if run.ended_at is None else f" at {moment(run.ended_at)}"
            return f"has ended: {run.status}{when}"


def _several(prefix: str, run_ids: Sequence[str], what: str) -> str:
    some = ", ".join(run_id[: max(12, len(prefix) + 4)] for run_id in run_ids[:5])
    return f"several runs that begin with {prefix!r} {what}: {some}{' …' if len(run_ids) > 5 else ''}"
