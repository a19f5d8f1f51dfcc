"""What the demo shows: `ReadingReport`, plain frozen data, made of the result of a run.

A step's output does not say how it came about. Its `StepResult` does: whether the fallback ran, what the primary's
error was, how many attempts there were and what they cost. All results of a run stand in its `step_history`.
"""

from __future__ import annotations

from typing import Any

import attrs

from flujo_actors import PipelineResult, StepResult
from flujo_actors.demos.fallback.tables import Table
from flujo_actors.demos.files.finding import Note, Selection, displayable


@attrs.frozen
class FileReport:
    """How one file was read."""

    name: str
    """Its path below the folder that was asked for, with `/` between its parts."""
    reader: str | None
    """`strict` or `lenient`, `None` when neither could read it."""
    columns: tuple[str, ...]
    records: int
    repairs: tuple[str, ...]
    """What the lenient reader had to do."""
    error: str | None
    """Why the strict reader failed, and the lenient one, when it failed too."""
    strict_attempts: int
    lenient_attempts: int
    words: int
    """Words that all attempts together have read: the tokens of the step."""


@attrs.frozen
class ReadingReport:
    """How the files were read."""

    asked: str
    """The file or folder that was asked for."""
    is_one_file: bool
    """Whether that is a file."""
    files: tuple[FileReport, ...]
    """Sorted by name."""
    unread: tuple[Note, ...]
    """Folders that could not be looked into."""
    left_out: tuple[Note, ...]
    """Files and folders that were left out on purpose."""


def conclude(result: PipelineResult[Any, Any]) -> ReadingReport:
    """Make a report of the result of a run that completed."""
    found, read = result.step_history
    selection: Selection = found.output
    # Side by side, the results stand in the order in which the files ended; the outputs in that of the files.
    by_output = {id(each.output): each for each in read.step_history if each.success}
    outcomes = [each if isinstance(each, StepResult) else by_output[id(each)] for each in read.output]
    return ReadingReport(
        asked=displayable(selection.asked),
        is_one_file=selection.is_one_file,
        files=tuple(_report_on(name, outcome) for name, outcome in zip(selection.names, outcomes, strict=True)),
        unread=selection.unread,
        left_out=selection.left_out,
    )


def _report_on(name: str, result: StepResult) -> FileReport:
    fallback = [each.attempts for each in result.step_history]
    table = result.output if isinstance(result.output, Table) else Table((), ())
    fell_back = bool(result.metadata.get("fallback_triggered"))
    return FileReport(
        name=name,
        reader=None if not result.success else "lenient" if fell_back else "strict",
        columns=table.columns,
        records=len(table.rows),
        repairs=table.repairs,
        error=result.metadata.get("original_error") if result.success else result.feedback,
        strict_attempts=result.attempts - sum(fallback),
        lenient_attempts=sum(fallback),
        words=result.token_counts,
    )
