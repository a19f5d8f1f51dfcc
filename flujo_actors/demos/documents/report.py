"""What the demo gives: `DocumentReport`, plain frozen data."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from flujo_actors.demos.documents.headings import HeadingStatistics
from flujo_actors.demos.documents.links import DeadLink
from flujo_actors.demos.documents.todos import Todo
from flujo_actors.demos.files.finding import Note
from flujo_actors.demos.texts.readability import Readability, together
from flujo_actors.demos.texts.words import WordStatistics


@attrs.frozen
class FileReport:
    """All that was found out about one document. What was not looked at yet counts as nothing."""

    name: str
    """Its path below the report's folder, with `/` between its parts."""
    words: WordStatistics = attrs.Factory(WordStatistics)
    headings: HeadingStatistics = attrs.Factory(HeadingStatistics)
    readability: Readability | None = None
    """`None` without running text."""
    dead_links: tuple[DeadLink, ...] = ()
    todos: tuple[Todo, ...] = ()

    @property
    def problems(self) -> int:
        """How many things there are to look after."""
        return len(self.dead_links) + len(self.todos) + len(self.headings.skipping)


@attrs.frozen
class Totals:
    """The sums over all documents."""

    files: int = 0
    words: int = 0
    headings: int = 0
    dead_links: int = 0
    todos: int = 0
    problems: int = 0
    """Dead links, open TODOs, headings that skip a level, and documents that could not be read."""
    readability: Readability | None = None
    """Of all running text together; `None` when there is none."""


@attrs.frozen
class DocumentReport:
    """A report on one document or on all in a folder."""

    asked: str
    """The file or folder that was asked for."""
    is_one_file: bool
    """Whether that is a file."""
    files: tuple[FileReport, ...]
    """The documents that were read, sorted by name."""
    unread: tuple[Note, ...]
    """Documents and folders that could not be read."""
    left_out: tuple[Note, ...]
    """Documents and folders that were left out on purpose."""
    totals: Totals


def totals_of(files: Iterable[FileReport], unread: Iterable[Note]) -> Totals:
    """Sum up the documents of a report."""
    files = tuple(files)
    return Totals(
        files=len(files),
        words=sum(file.words.words for file in files),
        headings=sum(file.headings.total for file in files),
        dead_links=sum(len(file.dead_links) for file in files),
        todos=sum(len(file.todos) for file in files),
        problems=sum(file.problems for file in files) + len(tuple(unread)),
        readability=together(file.readability for file in files),
    )
