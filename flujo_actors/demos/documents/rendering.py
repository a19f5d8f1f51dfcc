"""The report as a person reads it, and as JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Final

from cattrs.preconf.json import make_converter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flujo_actors.demos.documents.report import DocumentReport, FileReport, Totals
from flujo_actors.demos.printing import count, left_out, new_table, path_of, print_parts, printable, remark
from flujo_actors.demos.texts.markup import MARKUP_BY_SUFFIX
from flujo_actors.demos.texts.readability import ROUGH_BELOW_WORDS, Readability

_COLUMNS: Final = ("Document", "Words", "Headings", "Ease", "Grade", "Dead links", "TODOs")
_CONVERTER: Final = make_converter()


def render(output: DocumentReport, console: Console) -> None:
    """Print a report: a table of the documents, then the problems, one to a line as `file:line: problem`."""
    print_parts(report_parts(output), console)


def to_json(output: DocumentReport) -> dict[str, Any]:
    """The report as JSON values, with the scores that `Readability` computes."""
    data: dict[str, Any] = _CONVERTER.unstructure(output)
    for values, source in zip(data["files"], output.files, strict=True):
        values["readability"] = _readability_values(source.readability)
    data["totals"]["readability"] = _readability_values(output.totals.readability)
    return data


def report_parts(report: DocumentReport) -> Iterator[Table | Text]:
    """What `render` prints, from top to bottom."""
    yield Text(_headline(report), style="bold")
    if report.files:
        yield _table(report)
        yield from _legend(report)
    yield from _problems(report)
    yield from left_out(report.left_out)


def _headline(report: DocumentReport) -> str:
    totals, asked = report.totals, printable(str(PurePath(report.asked)))
    if not report.files and not report.unread:
        looked_for = ", ".join(MARKUP_BY_SUFFIX)
        return f"No documents in {asked}: there is no file that ends in one of {looked_for}"
    counts = [count(totals.files, "document"), count(totals.words, "word"), count(totals.problems, "problem")]
    return f"{asked}: {', '.join(counts)}"


def _table(report: DocumentReport) -> Table:
    footers = ("All", *_cells_of_totals(report.totals)) if len(report.files) > 1 else ()
    table = new_table(_COLUMNS, footers)
    for file in report.files:
        table.add_row(Text(printable(file.name)), *_cells_of_file(file))
    return table


def _cells_of_file(file: FileReport) -> list[str]:
    counts = file.words.words, file.headings.total, len(file.dead_links), len(file.todos)
    return _cells(counts, file.readability)


def _cells_of_totals(totals: Totals) -> list[str]:
    return _cells((totals.words, totals.headings, totals.dead_links, totals.todos), totals.readability)


def _cells(counts: tuple[int, int, int, int], readability: Readability | None) -> list[str]:
    words, headings, dead_links, todos = (f"{number:,}" for number in counts)
    return [words, headings, *_scores(readability), dead_links, todos]


def _scores(readability: Readability | None) -> tuple[str, str]:
    if readability is None:
        return "-", "-"
    mark = "~" if readability.is_rough else ""
    return f"{mark}{readability.reading_ease:.1f}", f"{mark}{readability.grade:.1f}"


def _legend(report: DocumentReport) -> Iterator[Text]:
    scores = [file.readability for file in report.files if file.readability is not None]
    lines = ["Words: of the text, without code blocks."]
    if scores:
        lines.append("Ease: Flesch reading ease, 60 to 70 is plain English, more is easier. Grade: school years.")
    if any(score.is_rough for score in scores):
        lines.append(f"~ rough: fewer than {ROUGH_BELOW_WORDS} words in sentences.")
    yield Text("\n" + "\n".join(lines), style="dim")


def _problems(report: DocumentReport) -> Iterator[Text]:
    lines = [*_unread_lines(report), *_lines_of_files(report)]
    if lines:
        yield Text("\nProblems", style="bold")
        yield from lines


def _unread_lines(report: DocumentReport) -> Iterator[Text]:
    for note in report.unread:
        yield remark(path_of(report.asked, note.name, is_one_file=report.is_one_file), note.text, "red")


def _lines_of_files(report: DocumentReport) -> Iterator[Text]:
    for file in report.files:
        where = path_of(report.asked, file.name, is_one_file=report.is_one_file)
        for line, text, style in sorted(_problems_of_file(file)):
            yield remark(f"{where}:{line}:", text, style)


def _problems_of_file(file: FileReport) -> Iterator[tuple[int, str, str]]:
    for link in file.dead_links:
        yield link.line, f"dead link {link.target} ({link.problem})", "red"
    for todo in file.todos:
        yield todo.line, f"{todo.marker} {todo.text}".rstrip(), "yellow"
    for heading in file.headings.skipping:
        yield heading.line, f"heading skips to level {heading.level}: {heading.text}", "yellow"


def _readability_values(readability: Readability | None) -> dict[str, Any] | None:
    if readability is None:
        return None
    scores = {"reading_ease": round(readability.reading_ease, 2), "grade": round(readability.grade, 2)}
    return {**_CONVERTER.unstructure(readability), **scores, "is_rough": readability.is_rough}
