"""`flujo lens prune`: forgetting old runs."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from flujo_actors.cli.database import database_option, open_to_change, open_to_read
from flujo_actors.cli.errors import BadInputError
from flujo_actors.cli.lens.listing import show_runs
from flujo_actors.cli.lens.times import as_age
from flujo_actors.cli.run import json_option
from flujo_actors.cli.text import new_console, print_json


@click.command()
@database_option
@click.option("--older-than", metavar="AGE", callback=as_age, help="Runs that ended longer ago: 12h, 30d, 8w.")
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="All but the N runs that started last.")
@click.option("--dry-run", is_flag=True, help="Only say which runs would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
def prune(
    *, database: Path | None, older_than: float | None, keep: int | None, dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Delete old runs and their traces, by age or by number.

    With both options only what either would delete is deleted. Runs that are running or paused are kept.
    """
    if older_than is None and keep is None:
        raise BadInputError("say which runs: --older-than AGE, --keep N, or both")
    with open_to_read(database) as backend:
        doomed = backend.find_prunable(older_than=older_than, keep=keep)
    deleted: list[str] = []
    if dry_run and not as_json:
        show_runs(doomed, new_console())
    elif doomed and not dry_run:
        _confirm(len(doomed), yes=yes)
        with open_to_change(database) as backend:
            deleted = backend.delete_runs(run.run_id for run in doomed)
    if as_json:
        print_json({"deleted": deleted, "would_delete": [run.run_id for run in doomed] if dry_run else []})
    elif not dry_run:
        click.echo(f"deleted {_runs(len(deleted))}")


def _confirm(count: int, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInputError(f"{_runs(count)} would be deleted; say --yes to do it without being asked")
    click.confirm(f"Delete {_runs(count)}?", abort=True, err=True)


def _runs(count: int) -> str:
    return "no run" if count == 0 else "1 run" if count == 1 else f"{count} runs"
