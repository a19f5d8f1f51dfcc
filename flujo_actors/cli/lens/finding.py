"""Which run is meant, and which runs."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs
import click
from rich.text import Text

from flujo_actors.cli.errors import BadInputError
from flujo_actors.cli.lens.times import as_moment
from flujo_actors.cli.text import STATUS_STYLES, amount, counted, duration, moment, one_line, shortened
from flujo_actors.lens import TraceTree
from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord, StateBackend

ID_LENGTH: Final = 12
"""Characters of a run's id in tables; any unique beginning of an id names the run."""

_LATEST: Final = re.compile(r"latest(?:~(\d{1,9}))?")

_Command = TypeVar("_Command", bound=Callable[..., Any])

run_argument = click.argument("run_id", metavar="RUN")


@attrs.frozen
class RunFilter:
    """Which runs are meant."""

    status: SpanStatus | None
    pipeline: str | None
    since: float | None
    """Only runs that started then or later; wall clock, seconds since the epoch."""
    until: float | None
    """Only runs that started earlier; wall clock, seconds since the epoch."""

    def runs(self, backend: StateBackend, limit: int | None = None) -> list[RunRecord]:
        """The runs that fit, the latest first, at most `limit`."""
        return backend.list_runs(
            status=self.status,
            pipeline=self.pipeline,
            started_after=self.since,
            started_before=self.until,
            limit=limit,
        )


def filter_options(command: _Command) -> _Command:
    """Give a command the options of a `RunFilter`, named as its fields."""
    statuses = click.Choice([str(status) for status in SpanStatus])
    options = [
        click.option("--status", type=statuses, callback=_as_status, help="Only runs of this status."),
        click.option("--pipeline", metavar="NAME", help="Only runs of the pipeline of this name."),
        click.option(
            "--since",
            metavar="TIME",
            callback=as_moment,
            help="Only runs that started then or later; ISO, or an age: 2h, 3d.",
        ),
        click.option(
            "--until", metavar="TIME", callback=as_moment, help="Only runs that started before that; ISO, or an age."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def find_run(backend: StateBackend, name: str) -> RunRecord:
    """The run that is meant by the beginning of its id, by `latest`, or by `latest~N` for the one N before that.

    Raises:
        BadInputError: there is none, or more than one.
    """
    if (latest := _LATEST.fullmatch(name)) is not None:
        return _recent(backend, int(latest[1] or 0))
    exact = backend.get_run(name)
    runs = [exact] if exact is not None else backend.find_runs(name, limit=6) if name else []
    if not runs:
        raise BadInputError(f"there is no run {name!r}; `flujo lens list` shows the runs")
    if len(runs) > 1:
        some = ", ".join(run.run_id[: max(ID_LENGTH, len(name) + 4)] for run in runs[:5])
        raise BadInputError(f"several runs begin with {name!r}: {some}{' …' if len(runs) > 5 else ''}")
    return runs[0]


def find_trace(backend: StateBackend, name: str) -> tuple[RunRecord, TraceTree]:
    """A run and its trace, as they are now.

    Raises:
        BadInputError: as for `find_run`, or the run was deleted meanwhile.
    """
    run = find_run(backend, name)
    trace = read_trace(backend, run)
    if trace is None:
        raise BadInputError(f"run {run.run_id} was deleted meanwhile")
    return run, trace


def read_trace(backend: StateBackend, run: RunRecord) -> TraceTree | None:
    """The trace of a run, `None` when it was deleted meanwhile."""
    trace = backend.get_trace(run.run_id)
    now = time.time() if run.status is SpanStatus.RUNNING else None
    return None if trace is None else TraceTree.from_trace(trace, now=now)


def headline(run: RunRecord) -> Text:
    """A run on one line."""
    spent = amount(run.total_cost_usd, run.total_tokens)
    parts = [f"run {one_line(run.run_id)}", shortened(run.pipeline, 40), moment(run.started_at), length(run), spent]
    return Text.assemble("  ".join(part for part in parts if part), "  ", (str(run.status), STATUS_STYLES[run.status]))


def length(run: RunRecord) -> str:
    """How long a run took; empty when no end was recorded."""
    return "" if run.ended_at is None else duration(run.ended_at - run.started_at)


def _recent(backend: StateBackend, back: int) -> RunRecord:
    runs = backend.list_runs(limit=back + 1)
    if len(runs) <= back:
        held = counted(len(runs), "run") if runs else "no run"
        raise BadInputError(f"there is no run that far back; the database holds {held}")
    return runs[back]


def _as_status(ctx: click.Context, param: click.Parameter, value: str | None) -> SpanStatus | None:
    del ctx, param
    return None if value is None else SpanStatus(value)
