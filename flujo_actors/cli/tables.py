"""Tables of any length: aligned columns, cut to the width of a terminal, whole in a file or pipe."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs
from rich.console import Console
from rich.text import Text

GAP = 2
"""Blanks between two columns."""

Cell: TypeAlias = str | Text


@attrs.frozen
class Column:
    """A column of a table."""

    heading: str
    right: bool = False
    """Whether it is aligned to the right, as numbers are."""
    shrinks: bool = False
    """Whether its cells may be cut where the terminal is too narrow for all of them."""


def show_table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]], console: Console) -> None:
    """Print a table.

    Args:
        columns: what the columns are. One that is empty in every row is left out.
        rows: a cell for each column in each row; each on one line.
        console: where to.
    """
    cells = [[Text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    used = [place for place in range(len(columns)) if any(row[place].plain for row in cells)]
    shown = [columns[place] for place in used]
    table = [
        [Text(column.heading, style="bold") for column in shown],
        *([row[place] for place in used] for row in cells),
    ]
    widths = [max(row[place].cell_len for row in table) for place in range(len(shown))]
    if console.is_terminal:
        widths = _shrunk(shown, widths, console.width)
    print_lines((_line(shown, row, widths) for row in table), console)


def print_lines(lines: Iterable[Text], console: Console) -> None:
    """Print lines, however many: cut to the width of a terminal, whole in a file or pipe."""
    if console.is_terminal:
        for line in lines:
            console.print(line, no_wrap=True, overflow="ellipsis", crop=True)
    else:  # rich takes ten times as long for a line, to no effect here
        for line in lines:
            print(line.plain.rstrip(), file=console.file)


def _line(columns: Sequence[Column], row: Sequence[Text], widths: Sequence[int]) -> Text:
    parts: list[Text] = []
    for column, cell, width in zip(columns, row, widths, strict=True):
        fitted = cell.copy()
        if cell.cell_len > width:
            fitted.truncate(width, overflow="ellipsis")
        fitted.align("right" if column.right else "left", width)
        parts.append(fitted)
    return Text(" " * GAP).join(parts)


def _shrunk(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """The widths with the columns that may shrink made so narrow, the widest first, that all fit if they can."""
    fitted = list(widths)
    while sum(fitted) + GAP * (len(fitted) - 1) > room:
        candidates = [
            place for place, column in enumerate(columns) if column.shrinks and fitted[place] > len(column.heading) + 4
        ]
        if not candidates:
            break
        fitted[max(candidates, key=fitted.__getitem__)] -= 1
    return fitted
