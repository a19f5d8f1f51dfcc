"""The report as a person reads it, and as JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final

from cattrs.preconf.json import make_converter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flujo_actors.demos.fallback.report import FileReport, ReadingReport
from flujo_actors.demos.fallback.tables import FORMAT_BY_SUFFIX
from flujo_actors.demos.printing import count, left_out, new_table, path_of, print_parts, printable, remark

_COLUMNS: Final = ("File", "Reader", "Records", "Columns", "Attempts", "Words read")
_CONVERTER: Final = make_converter()


def render(report: ReadingReport, console: Console) -> None:
    """Print a report: the files as a table, why and how the lenient reader stepped in, what neither could read."""
    print_parts(report_parts(report), console)


def to_json(report: ReadingReport) -> dict[str, Any]:
    """The report as JSON values."""
    data: dict[str, Any] = _CONVERTER.unstructure(report)
    return data


def report_parts(report: ReadingReport) -> Iterator[Table | Text]:
    """What `render` prints, from top to bottom."""
    yield Text(_headline(report), style="bold")
    if report.files:
        yield _table(report)
    yield from _section("Read leniently", _lines_of_lenient(report))
    yield from _section("Not read", _lines_of_unread(report))
    yield from left_out(report.left_out)


def _headline(report: ReadingReport) -> str:
    asked = printable(str(PurePath(report.asked)))
    if not report.files and not report.unread:
        return f"No data in {asked}: there is no file that ends in one of {', '.join(FORMAT_BY_SUFFIX)}"
    readers = [file.reader for file in report.files]
    by_reader = (
        f"{readers.count('strict')} read strictly, {readers.count('lenient')} leniently, {readers.count(None)} not"
    )
    return f"{asked}: {count(len(report.files), 'file')}: {by_reader}"


def _table(report: ReadingReport) -> Table:
    records, words = sum(file.records for file in report.files), sum(file.words for file in report.files)
    table = new_table(_COLUMNS, ("All", "", f"{records:,}", "", "", f"{words:,}"))
    for file in report.files:
        figures = (f"{file.records:,}", str(len(file.columns)), _attempts(file), f"{file.words:,}")
        table.add_row(Text(printable(file.name)), file.reader or "-", *figures)
    return table


def _attempts(file: FileReport) -> str:
    """Those of the strict reader, and those of the lenient one."""
    return f"{file.strict_attempts} + {file.lenient_attempts}" if file.lenient_attempts else str(file.strict_attempts)


def _section(title: str, lines: Iterator[Text]) -> Iterator[Text]:
    found = [*lines]
    if found:
        yield Text(f"\n{title}", style="bold")
        yield from found


def _lines_of_lenient(report: ReadingReport) -> Iterator[Text]:
    for file in report.files:
        if file.reader == "lenient":
            yield remark(_path(report, file.name), str(file.error), "yellow")
            yield remark("   ", f"-> {', '.join(file.repairs) or 'nothing had to be mended'}", "dim")


def _lines_of_unread(report: ReadingReport) -> Iterator[Text]:
    for note in report.unread:
        yield remark(_path(report, note.name), note.text, "red")
    for file in report.files:
        if file.reader is None:
            yield remark(_path(report, file.name), str(file.error), "red")


def _path(report: ReadingReport, name: str) -> str:
    return path_of(report.asked, name, is_one_file=report.is_one_file)
