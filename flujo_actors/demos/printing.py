"""Printing what a demo gives, whatever stands in the files that it read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from pathlib import PurePath
from typing import Final

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from flujo_actors.demos.files.finding import Note

MOST_NOTES: Final = 10
"""How many files and folders that were left out are named; JSON has them all."""

_WIDEST: Final = 100_000


def print_parts(parts: Iterable[Table | Text], console: Console) -> None:
    """Print tables and texts, one after another.

    Args:
        parts: what to print, from top to bottom.
        console: where to print. Only for a terminal are there colours, long cells folded and long texts wrapped to
            fit; remarks stay on one line, so that a terminal can make links of them.
    """
    for part in parts:
        if isinstance(part, Table) and not console.is_terminal:
            part.width = _natural_width(part, console)
        console.print(part, soft_wrap=_stays_whole(part, console), crop=False, highlight=False)


def new_table(columns: Sequence[str], footers: Sequence[str] = ()) -> Table:
    """A table without lines, whose first column may be folded; the others are numbers, or short."""
    table = Table(box=None, pad_edge=False, show_footer=bool(footers), header_style="bold", footer_style="bold")
    for heading, footer in zip_longest(columns, footers, fillvalue=""):
        is_first = not table.columns
        table.add_column(
            heading,
            footer,
            justify="left" if is_first else "right",
            overflow="fold" if is_first else "ellipsis",
            no_wrap=not is_first,
        )
    return table


def remark(place: str, text: str, style: str) -> Text:
    """A line about a file, or a line in it."""
    return Text.assemble((printable(place), "bold"), (f" {printable(text)}", style), no_wrap=True)


def left_out(notes: Sequence[Note]) -> Iterator[Text]:
    """What was left out, if anything was."""
    if notes:
        named = [f"{printable(note.name)} ({note.text})" for note in notes[:MOST_NOTES]]
        more = len(notes) - len(named)
        yield Text(f"\nLeft out: {', '.join(named)}{f' and {more:,} more' if more else ''}", style="dim")


def path_of(asked: str, name: str, *, is_one_file: bool) -> str:
    """The path of a file that was found, as the user would type it from where they asked."""
    return str(PurePath(asked)) if is_one_file else str(PurePath(asked, name))


def count(number: int, noun: str) -> str:
    """A number of things: `1 word`, `1,000 words`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Text from a file, without what a terminal would obey: escape sequences, line breaks, overrides of direction."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _stays_whole(part: Table | Text, console: Console) -> bool:
    return isinstance(part, Text) and (bool(part.no_wrap) or not console.is_terminal)


def _natural_width(table: Table, console: Console) -> int:
    """How wide the table is when nothing has to be folded: whoever reads a file or a pipe wants whole rows."""
    return Measurement.get(console, console.options.update(max_width=_WIDEST), table).maximum
