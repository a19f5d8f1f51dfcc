"""What the demo gives: `InventoryReport`, plain frozen data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, cast

import attrs

from flujo_actors import StepResult
from flujo_actors.demos.files.finding import Note, Selection, displayable
from flujo_actors.demos.files.steps import problem_of
from flujo_actors.demos.inventory.findings import Finding
from flujo_actors.demos.inventory.fingerprints import Fingerprint
from flujo_actors.demos.inventory.kinds import Kind, kind_named

Outcome: TypeAlias = Mapping[str, Finding | StepResult] | StepResult
"""What became of a file: by analyser its finding, or how it failed; or how the choice of analysers failed."""


@attrs.frozen
class FileReport:
    """All that was found out about one file."""

    name: str
    """Its path below the folder that was asked for, with `/` between its parts."""
    kind: Kind | None
    """`None` when it could not be looked at."""
    findings: Mapping[str, Finding]
    """By analyser."""
    problems: tuple[str, ...]
    """Why it could not be read or analysed."""
    is_misnamed: bool
    """Whether it is something else than its name says."""

    @property
    def size(self) -> int:
        """In bytes, 0 for a file that could not be read."""
        fingerprint = self.findings.get("fingerprint")
        return fingerprint.size if isinstance(fingerprint, Fingerprint) else 0


@attrs.frozen
class InventoryReport:
    """What is in a folder, or what one file is."""

    asked: str
    """The file or folder that was asked for."""
    is_one_file: bool
    """Whether that is a file."""
    files: tuple[FileReport, ...]
    """Sorted by name."""
    copies: tuple[tuple[str, ...], ...]
    """The names of files that have one content."""
    unread: tuple[Note, ...]
    """Folders and files that could not be looked into."""
    left_out: tuple[Note, ...]
    """Files and folders that were left out on purpose."""

    @property
    def problems(self) -> int:
        """How many files and folders could not be read, or not be analysed."""
        return len(self.unread) + sum(bool(file.problems) for file in self.files)


def report_on(
    selection: Selection, kinds: Mapping[str, Kind], copies: Mapping[str, Sequence[str]], outcomes: Sequence[Outcome]
) -> InventoryReport:
    """Put a report together.

    Args:
        selection: the files.
        kinds: what each is, by name, as far as that is known.
        copies: the names of the files with one content.
        outcomes: what became of each file, in their order.
    """
    files = zip(selection.names, outcomes, strict=True)
    return InventoryReport(
        asked=displayable(selection.asked),
        is_one_file=selection.is_one_file,
        files=tuple(_report_on_file(name, kinds.get(name), outcome) for name, outcome in files),
        copies=tuple(tuple(names) for names in copies.values() if len(names) > 1),
        unread=selection.unread,
        left_out=selection.left_out,
    )


def _report_on_file(name: str, kind: Kind | None, outcome: Outcome) -> FileReport:
    found = _by_analyser(outcome)
    problems = [_problem(each) for each in found.values() if isinstance(each, StepResult)]
    return FileReport(
        name,
        kind,
        findings={analyser: each for analyser, each in found.items() if not isinstance(each, StepResult)},
        problems=tuple(dict.fromkeys(problems)),
        is_misnamed=kind not in (None, Kind.EMPTY, kind_named(name) or kind),
    )


def _by_analyser(outcome: Outcome) -> Mapping[str, Finding | StepResult]:
    if not isinstance(outcome, StepResult):
        return outcome
    # When all analysers have failed, the output tells how each did; it has none when they could not be chosen.
    return cast("Mapping[str, Finding | StepResult]", outcome.output or {"choice": outcome})


def _problem(result: StepResult) -> str:
    assert result.failure is not None, "only what failed stands here as its result"  # noqa: S101 - an invariant
    return problem_of(result.failure)
