"""The pipeline: find, read, parse, then one step for each thing that is measured, then the report.

What is found out travels from step to step as `Survey`; the shared context, `ReportContext`, keeps the totals.
Reading and parsing happen in threads, one document at a time, so that a run can be cancelled between any two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs

from flujo_actors import step
from flujo_actors.demos.documents.headings import heading_statistics
from flujo_actors.demos.documents.links import dead_links
from flujo_actors.demos.documents.neighbours import Neighbours
from flujo_actors.demos.documents.report import DocumentReport, FileReport, totals_of
from flujo_actors.demos.documents.todos import find_todos
from flujo_actors.demos.files.finding import Note, Selection, displayable, find_files
from flujo_actors.demos.files.reading import ReadingError
from flujo_actors.demos.files.steps import ONCE, in_thread
from flujo_actors.demos.texts.documents import Document, read_document
from flujo_actors.demos.texts.markup import Markup, ParsedText, is_document
from flujo_actors.demos.texts.parsing import parse
from flujo_actors.demos.texts.readability import readability
from flujo_actors.demos.texts.words import word_statistics


@attrs.define
class ReportContext:
    """The totals of a run, as far as it has come."""

    files: int = 0
    """Documents read."""
    words: int = 0
    """Words in them."""
    problems: int = 0
    """Dead links, open TODOs, headings that skip a level, and documents that could not be read."""


@attrs.frozen
class Library:
    """The documents, read."""

    selection: Selection
    documents: tuple[Document, ...]


@attrs.frozen
class Page:
    """A document with what is known of it so far."""

    document: Document
    parsed: ParsedText
    report: FileReport


@attrs.frozen
class Survey:
    """All documents with what is known of them so far."""

    selection: Selection
    pages: tuple[Page, ...]


@step(retry=ONCE)
async def find_documents(asked: str, *, context: ReportContext) -> Selection:
    """Find the documents in a folder, or the one that was asked for."""
    selection = await find_files(asked, is_document)
    context.problems += len(selection.unread)
    return selection


@step(retry=ONCE)
async def read_documents(selection: Selection, *, context: ReportContext) -> Library:
    """Read them. One that cannot be read becomes a note, unless it was asked for by name."""
    documents: list[Document] = []
    unread: list[Note] = []
    for file in selection.files:
        try:
            documents.append(await in_thread(read_document, file))
        except ReadingError as error:
            if selection.is_one_file:
                raise ReadingError(selection.asked, error.problem) from error
            unread.append(Note(file.name, error.problem))
    context.files += len(documents)
    context.problems += len(unread)
    return Library(attrs.evolve(selection, unread=(*selection.unread, *unread)), tuple(documents))


@step
async def parse_documents(library: Library) -> Survey:
    """Take the text, headings and links out of the markup."""
    pages = [await in_thread(_open_page, document) for document in library.documents]
    return Survey(library.selection, tuple(pages))


@step
async def count_words(survey: Survey, *, context: ReportContext) -> Survey:
    """Count the words of each document."""
    counted = await _examine(survey, _with_words)
    context.words += sum(page.report.words.words for page in counted.pages)
    return counted


@step
async def outline_headings(survey: Survey, *, context: ReportContext) -> Survey:
    """Count the headings of each document, and find those that skip a level."""
    outlined = await _examine(survey, _with_headings)
    context.problems += sum(len(page.report.headings.skipping) for page in outlined.pages)
    return outlined


@step
async def measure_readability(survey: Survey) -> Survey:
    """Count what the readability formulas take."""
    return await _examine(survey, _with_readability)


@step
async def check_links(survey: Survey, *, context: ReportContext) -> Survey:
    """Find the relative links that lead nowhere."""
    known = {page.report.name: _anchors(page) for page in survey.pages}
    neighbours = Neighbours(survey.selection.folder, known)
    checked = await _examine(survey, lambda page: _with_links(page, neighbours))
    context.problems += sum(len(page.report.dead_links) for page in checked.pages)
    return checked


@step
async def list_todos(survey: Survey, *, context: ReportContext) -> Survey:
    """Find the open TODOs."""
    listed = await _examine(survey, _with_todos)
    context.problems += sum(len(page.report.todos) for page in listed.pages)
    return listed


@step
def write_report(survey: Survey) -> DocumentReport:
    """Put the report together."""
    selection = survey.selection
    files = tuple(page.report for page in survey.pages)
    return DocumentReport(
        asked=displayable(selection.asked),
        is_one_file=selection.is_one_file,
        files=files,
        unread=tuple(sorted(selection.unread, key=lambda note: note.name)),
        left_out=selection.left_out,
        totals=totals_of(files, selection.unread),
    )


pipeline: Final = (
    find_documents
    >> read_documents
    >> parse_documents
    >> count_words
    >> outline_headings
    >> measure_readability
    >> check_links
    >> list_todos
    >> write_report
).named("documents")
"""From the path of a file or folder to a `DocumentReport`."""


async def _examine(survey: Survey, examine: Callable[[Page], FileReport]) -> Survey:
    pages = [attrs.evolve(page, report=await in_thread(examine, page)) for page in survey.pages]
    return attrs.evolve(survey, pages=tuple(pages))


def _open_page(document: Document) -> Page:
    return Page(document, parse(document.text, document.markup), FileReport(document.name))


def _with_words(page: Page) -> FileReport:
    return attrs.evolve(page.report, words=word_statistics(page.parsed.text))


def _with_headings(page: Page) -> FileReport:
    return attrs.evolve(page.report, headings=heading_statistics(page.parsed.headings))


def _with_readability(page: Page) -> FileReport:
    running = (block.text for block in page.parsed.blocks if block.is_running)
    return attrs.evolve(page.report, readability=readability(running))


def _with_links(page: Page, neighbours: Neighbours) -> FileReport:
    found = dead_links(page.report.name, page.parsed.links, neighbours)
    return attrs.evolve(page.report, dead_links=found)


def _with_todos(page: Page) -> FileReport:
    return attrs.evolve(page.report, todos=find_todos(page.document.text))


def _anchors(page: Page) -> frozenset[str] | None:
    return page.parsed.anchors if page.document.markup is Markup.MARKDOWN else None
