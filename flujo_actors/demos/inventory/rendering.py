"""The report as a person reads it, and as JSON values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final

from cattrs.preconf.json import make_converter
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from flujo_actors.demos.inventory.report import FileReport, InventoryReport
from flujo_actors.demos.printing import count, left_out, new_table, path_of, print_parts, printable, remark

MOST_FILES: Final = 100
"""How many files are shown; JSON has them all."""

_CONVERTER: Final = make_converter()


def render(report: InventoryReport, console: Console) -> None:
    """Print a report: a table of the files, then the problems, one to a line, then which files are copies."""
    print_parts(report_parts(report), console)


def to_json(report: InventoryReport) -> dict[str, Any]:
    """The report as JSON values."""
    data: dict[str, Any] = _CONVERTER.unstructure(report)
    return data


def report_parts(report: InventoryReport) -> Iterator[Table | Text]:
    """What `render` prints, from top to bottom."""
    yield Text(_headline(report), style="bold")
    if report.files:
        yield _table(report)
    if len(report.files) > MOST_FILES:
        yield Text(f"… and {len(report.files) - MOST_FILES:,} more, which --json shows", style="dim")
    yield from _problems(report)
    yield from _copies(report)
    yield from left_out(report.left_out)


def _headline(report: InventoryReport) -> str:
    asked = printable(str(PurePath(report.asked)))
    if not report.files and not report.unread:
        return f"No files in {asked}"
    kinds = Counter("unreadable" if file.kind is None else str(file.kind) for file in report.files)
    by_kind = ", ".join(f"{number:,} {kind}" for kind, number in kinds.most_common())
    size = decimal(sum(file.size for file in report.files))
    return f"{asked}: {count(len(report.files), 'file')}, {size}, {count(report.problems, 'problem')} ({by_kind})"


def _table(report: InventoryReport) -> Table:
    table = new_table(("File", "Kind", "Size"))
    table.add_column("What is in it", overflow="fold")
    for file in report.files[:MOST_FILES]:
        size = decimal(file.size) if file.findings else "-"
        table.add_row(Text(printable(file.name)), file.kind or "?", size, Text(printable(_in_words(file))))
    return table


def _in_words(file: FileReport) -> str:
    return "; ".join(filter(None, (finding.in_words for finding in file.findings.values())))


def _problems(report: InventoryReport) -> Iterator[Text]:
    lines = [*_lines_of_problems(report)]
    if lines:
        yield Text("\nProblems", style="bold")
        yield from lines


def _lines_of_problems(report: InventoryReport) -> Iterator[Text]:
    for note in report.unread:
        yield remark(_path(report, note.name), note.text, "red")
    for file in report.files:
        for problem in file.problems:
            yield remark(_path(report, file.name), problem, "red")
        if file.is_misnamed:
            yield remark(_path(report, file.name), f"is not what its name says, but of the kind {file.kind}", "yellow")


def _copies(report: InventoryReport) -> Iterator[Text]:
    if report.copies:
        yield Text("\nSame content", style="bold")
    for names in report.copies:
        yield Text(printable(" = ".join(_path(report, name) for name in names)))


def _path(report: InventoryReport, name: str) -> str:
    return path_of(report.asked, name, is_one_file=report.is_one_file)
