"""The summary as a person reads it, and as JSON values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from cattrs.preconf.json import make_converter
from rich.console import Console
from rich.table import Table
from rich.text import Text

from flujo_actors.demos.printing import count, new_table, print_parts, printable
from flujo_actors.demos.summary.report import Summary

_CONVERTER: Final = make_converter()


def render(summary: Summary, console: Console) -> None:
    """Print a summary, then round by round how it came about."""
    print_parts(summary_parts(summary), console)


def to_json(summary: Summary) -> dict[str, Any]:
    """The summary as JSON values."""
    data: dict[str, Any] = _CONVERTER.unstructure(summary)
    return data


def summary_parts(summary: Summary) -> Iterator[Table | Text]:
    """What `render` prints, from top to bottom."""
    lengths = f"{count(summary.words_before, 'word')} in {summary.words:,}"
    yield Text(f"{printable(summary.name)}: {lengths}\n", style="bold")
    yield Text(printable(summary.text))
    if summary.rounds:
        yield Text(f"\nThe critic was content after {count(len(summary.rounds), 'round')}", style="bold")
        yield _table(summary)
    else:
        yield Text("\nThe critic was never content: this is how the text begins.", style="yellow")
    yield Text(f"\n{_legend(summary)}", style="dim")


def _table(summary: Summary) -> Table:
    table = new_table(("Round", "Words", "Sentences", "Terms", "Ease"))
    table.add_column("The critic")
    for number, each in enumerate(summary.rounds, start=1):
        terms = f"{each.terms} of {len(summary.terms)}"
        figures = (f"{each.words:,}", str(each.sentences), terms, f"{each.reading_ease:.1f}")
        table.add_row(str(number), *figures, Text(printable(each.demand or "content")))
    return table


def _legend(summary: Summary) -> str:
    terms = ", ".join(f"({term})" if term in summary.missing else term for term in summary.terms)
    return printable(
        f"Ease: Flesch reading ease, of the whole text {summary.reading_ease_before:.1f}."
        f" Terms, in brackets what the summary leaves out: {terms}."
    )
