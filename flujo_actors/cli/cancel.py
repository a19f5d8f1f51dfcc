"""`flujo cancel`: stopping a run of another process, or a part of it."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Final

import click
import trio

from flujo_actors.cli.database import database_option, database_to_write
from flujo_actors.cli.errors import BadInputError
from flujo_actors.cli.going_on import find_going_on, recorded_end, run_argument, why_not_going_on
from flujo_actors.cli.text import one_line, shortened
from flujo_actors.control.addresses import Address
from flujo_actors.control.client import ANSWER_TIMEOUT_S, Answers, open_conversation
from flujo_actors.control.protocol import ActorsShown, Answer, CancelRun, Ended, RefusalCode, ShowRun
from flujo_actors.errors import ControlError, ControlFailedError, ControlLostError, ControlRefusedError
from flujo_actors.spans import SpanStatus

PATHS_NAMED: Final = 5
"""How many of the paths where something is running are named, when nothing is at the one that was given."""


@click.command()
@run_argument
@click.argument("path", metavar="[PATH]", required=False)
@click.option("--reason", default="cancelled by `flujo cancel`", metavar="TEXT", help="Why, for the failure's text.")
@click.option("--no-wait", is_flag=True, help="Do not wait until it has ended.")
@database_option
def cancel(*, prefix: str, path: str | None, reason: str, no_wait: bool, database: Path | None) -> None:
    """Stop a run that is going on, or a part of it.

    RUN is any beginning of the run's id that no other run that is going on has. PATH names a step (fan/a), an
    iteration or item (grow[3]) or a span by its id. Waits until what is stopped has cleaned up and ended.
    """
    file = database_to_write(database)
    run = find_going_on(prefix, file)
    request = CancelRun(run.status.run_id, path or None, reason, wait=not no_wait)
    try:
        status = trio.run(_cancel, run.address, request)
    except ControlRefusedError as refusal:
        raise BadInputError(_explained(refusal, run.address, request, file)) from refusal
    except ControlLostError:
        status = recorded_end(request.run_id, file).status
    click.echo(_outcome(request, status))


async def _cancel(address: Address, request: CancelRun) -> SpanStatus | None:
    """Have it done. Gives the status that the run has then, `None` when that is not waited for."""
    async with open_conversation(address, request) as answers:
        await _first_of(answers, address)
        if not request.wait:
            return None
        click.echo("cancelling; Ctrl-C ends the waiting, not the cancelling", err=True)
        answer = await answers.next()
    return answer.run.status if isinstance(answer, Ended) else None


async def _paths_in(address: Address, run_id: str) -> list[str]:
    """Where something is running."""
    async with open_conversation(address, ShowRun(run_id)) as answers:
        answer = await _first_of(answers, address)
    return [actor.path for actor in answer.actors if actor.path] if isinstance(answer, ActorsShown) else []


async def _first_of(answers: Answers, address: Address) -> Answer:
    try:
        with trio.fail_after(ANSWER_TIMEOUT_S):
            return await answers.next()
    except trio.TooSlowError:
        raise ControlFailedError(address.pid, "does not answer; an agent may block it") from None


def _explained(refusal: ControlRefusedError, address: Address, request: CancelRun, database: Path) -> str:
    if refusal.code == RefusalCode.UNKNOWN_RUN:  # it has ended since it was found
        return why_not_going_on(request.run_id, database)
    if refusal.code != RefusalCode.NOT_RUNNING or request.path is None:
        return refusal.message
    try:
        paths = trio.run(_paths_in, address, request.run_id)
    except ControlError:  # nor is anything else running by now
        return refusal.message
    nearest = difflib.get_close_matches(request.path, paths, PATHS_NAMED) or paths[:PATHS_NAMED]
    running = ", ".join(shortened(each, 80) for each in nearest)
    return f"{refusal.message}; running there: {running or 'nothing'}"


def _outcome(request: CancelRun, status: SpanStatus | None) -> str:
    run = f"run {request.run_id}"
    what = run if request.path is None else f"{one_line(request.path)} of {run}"
    match status:
        case None:
            return f"cancelling {what}"
        case SpanStatus.RUNNING | SpanStatus.CANCELLED:
            return f"cancelled {what}"
        case _ if request.path is None:
            return f"{run} has ended: {status}"
        case _:
            return f"cancelled {what}, which has ended: {status}"
