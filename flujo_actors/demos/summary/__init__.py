"""The demo "summary": a summary of a text of yours, made of its own sentences, better round by round.

A summariser and a critic take turns. The critic judges length, coherence, what of the text's most important terms is
there, and readability, and its feedback tells the summariser what to do next, until the critic is content. When it
never is, the beginning of the text is the fallback. It is made for English. Nothing leaves the machine and nothing is
changed.

In reading order: `pipeline` has the steps; `source` and `terms` take the text apart; `draft`, `summariser` and `critic`
are what goes round, as plain functions; `report` is what comes out and `rendering` shows it.
"""

from __future__ import annotations

from typing import Final

from flujo_actors.demos.demo import Demo
from flujo_actors.demos.samples import SAMPLES
from flujo_actors.demos.summary.pipeline import Revisions, pipeline
from flujo_actors.demos.summary.rendering import render, to_json
from flujo_actors.demos.summary.report import Summary

SUMMARY: Final = Demo(
    name="summary",
    summary="A summary of a text, of its own sentences, revised until a critic is content",
    default_input=str(SAMPLES / "summaries.md"),
    pipeline=pipeline,
    new_context=Revisions,
    render=render,
    to_json=to_json,
)

__all__ = ["SUMMARY", "Revisions", "Summary"]
