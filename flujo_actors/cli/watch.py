"""`flujo watch`: showing a run of another process while it goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import click
import trio
from rich.text import Text

from flujo_actors.cli.database import database_option, database_to_write
from flujo_actors.cli.errors import BadInputError, ExitCode
from flujo_actors.cli.going_on import find_going_on, recorded_end, run_argument, why_not_going_on
from flujo_actors.cli.progress import Progress, ProgressLines, ProgressTree
from flujo_actors.cli.terminal import cursor_given_back
from flujo_actors.cli.text import STATUS_STYLES, closing_line, new_console, one_line
from flujo_actors.control.client import ControlledRun, open_conversation, open_watch
from flujo_actors.control.protocol import Answer, Ended, RefusalCode, RunStatus, WatchRun, answer_to_json
from flujo_actors.errors import ControlLostError, ControlRefusedError


@click.command()
@run_argument
@click.option("--chunks", "with_chunks", is_flag=True, help="Show what streaming agents make, too.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object for each event, chunks too, for machines.")
@database_option
def watch(*, prefix: str, with_chunks: bool, as_json: bool, database: Path | None) -> int:
    """Show a run that is going on until it ends. Ctrl-C ends the watching, not the run.

    RUN is any beginning of the run's id that no other run that is going on has. Exits with 0 when the run has ended,
    however it did.
    """
    file = database_to_write(database)
    run = find_going_on(prefix, file)
    run_id = run.status.run_id
    try:
        ended = trio.run(_print_answers, run) if as_json else trio.run(_draw, run, with_chunks)
    except ControlRefusedError as refusal:
        is_over = refusal.code == RefusalCode.UNKNOWN_RUN
        raise BadInputError(why_not_going_on(run_id, file) if is_over else refusal.message) from refusal
    except ControlLostError:
        ended = recorded_end(run_id, file)
    except KeyboardInterrupt:
        click.echo(f"run {run_id} goes on", err=True)
        return ExitCode.INTERRUPTED
    _print_end(ended, file, as_json=as_json)
    return ExitCode.SUCCESS


async def _draw(run: ControlledRun, with_chunks: bool) -> RunStatus:  # noqa: FBT001 - trio.run takes no keywords
    console = new_console()
    progress: Progress = ProgressLines(console, with_chunks)
    if console.is_terminal:
        progress = ProgressTree(console, run.status.pipeline, with_chunks=with_chunks)
    async with open_watch(run, chunks=with_chunks) as events:
        click.echo(f"watching run {run.status.run_id}; Ctrl-C ends the watching, not the run", err=True)
        with cursor_given_back(console):
            await progress.show(events)
    assert events.ended is not None, "the events end when the run has"  # noqa: S101 - an invariant
    return events.ended


async def _print_answers(run: ControlledRun) -> RunStatus:
    """Print all answers but the last one, which is the caller's to print."""
    async with open_conversation(run.address, WatchRun(run.status.run_id, chunks=True)) as answers:
        while not isinstance(answer := await answers.next(), Ended):
            _print_answer(answer)
        return answer.run


def _print_answer(answer: Answer) -> None:
    print(json.dumps(answer_to_json(answer)), flush=True)


def _print_end(ended: RunStatus, database: Path, *, as_json: bool) -> None:
    if as_json:
        _print_answer(Ended(ended))
        return
    console = new_console()
    for line in _closing_lines(ended, database):
        console.print(line, soft_wrap=True)


def _closing_lines(run: RunStatus, database: Path) -> Iterator[Text]:
    if run.ended_at is None:
        yield Text(f"{run.status}: its process is gone", style=STATUS_STYLES[run.status])
    else:
        yield closing_line(run.status, run.ended_at - run.started_at, run.total_cost_usd, run.total_tokens)
    if run.error is not None:
        yield Text(one_line(run.error), style="red")
    yield Text(f"run {run.run_id} in {database}", style="dim")
