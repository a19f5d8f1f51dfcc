"""Traces to export, and a browser to look at pages with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from flujo_actors.exports import ExportedRun, export_html
from flujo_actors.lens import TraceTree
from flujo_actors.spans import SpanStatus
from tests.exports.browser import PROGRAMS, Browser, Page, find_browser
from tests.stored_runs import article_traces

RUN = ExportedRun("0123456789abcdef0123456789abcdef", "article", SpanStatus.FAILED, 0.024, 180)

Show = Callable[..., Page]


@pytest.fixture(scope="session")
def completed_and_failed() -> tuple[TraceTree, TraceTree]:
    return article_traces()


@pytest.fixture
def completed(completed_and_failed: tuple[TraceTree, TraceTree]) -> TraceTree:
    """The trace of a run that completes."""
    return completed_and_failed[0]


@pytest.fixture
def failed(completed_and_failed: tuple[TraceTree, TraceTree]) -> TraceTree:
    """The trace of a run that fails."""
    return completed_and_failed[1]


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    program = find_browser()
    if program is None:
        pytest.skip(f"the exported page is not looked at: no browser on this machine ({', '.join(PROGRAMS)})")
    with Browser(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Open a trace in the browser, as a page that was exported to a file."""
    opened: list[Page] = []

    def show_trace(trace: TraceTree, run: ExportedRun = RUN) -> Page:
        file = tmp_path / "trace.html"
        file.write_text(export_html(trace, run), encoding="utf-8")
        opened.append(browser.open(file))
        opened[-1].settle()
        return opened[-1]

    yield show_trace
    for page in opened:
        page.close()
