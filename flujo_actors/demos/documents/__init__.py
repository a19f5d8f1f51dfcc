"""The demo "documents": a report on text files you own, which you can check by eye.

It reads the Markdown, reStructuredText and plain text files in a folder (or one file) and counts words and headings,
measures readability, and finds dead relative links and open TODOs. Nothing leaves the machine and nothing is changed.

In reading order: `pipeline` has the steps; `finding`, `reading` and `neighbours` look at the disk; `markup`, `parsing`,
`markdown` and `restructured_text` take text apart; `words`, `headings`, `readability`, `links` and `todos` each
measure one thing, as plain functions; `report` is what comes out and `rendering` shows it.
"""

from __future__ import annotations

from typing import Final

from flujo_actors.demos.documents.pipeline import ReportContext, pipeline
from flujo_actors.demos.documents.rendering import render, to_json
from flujo_actors.demos.documents.report import DocumentReport

NAME: Final = "documents"
"""What the command line calls the demo."""

SUMMARY: Final = "Words, headings, readability, dead links and TODOs of your text files"
"""The demo in one line."""

DEFAULT_INPUT: Final = "."
"""What to report on when nothing is named: the folder the user is in."""


def new_context() -> ReportContext:
    """A context to start a run with."""
    return ReportContext()


__all__ = [
    "DEFAULT_INPUT",
    "NAME",
    "SUMMARY",
    "DocumentReport",
    "ReportContext",
    "new_context",
    "pipeline",
    "render",
    "to_json",
]
