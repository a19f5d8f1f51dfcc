"""The demo "documents": a report on text files you own, which you can check by eye.

It reads the Markdown, reStructuredText and plain text files in a folder (or one file) and counts words and headings,
measures readability, and finds dead relative links and open TODOs. Nothing leaves the machine and nothing is changed.

In reading order: `pipeline` has the steps; `headings`, `links` (with `neighbours`, which looks at the disk) and `todos`
each look for one thing, as plain functions; `report` is what comes out and `rendering` shows it. Finding and reading
files is in `flujo_actors.demos.files`, taking texts apart and measuring them in `flujo_actors.demos.texts`.
"""

from __future__ import annotations

from typing import Final

from flujo_actors.demos.demo import Demo
from flujo_actors.demos.documents.pipeline import ReportContext, pipeline
from flujo_actors.demos.documents.rendering import render, to_json
from flujo_actors.demos.documents.report import DocumentReport

DOCUMENTS: Final = Demo(
    name="documents",
    summary="Words, headings, readability, dead links and TODOs of your text files",
    default_input=".",
    pipeline=pipeline,
    new_context=ReportContext,
    render=render,
    to_json=to_json,
)

__all__ = ["DOCUMENTS", "DocumentReport", "ReportContext"]
