"""Demos: pipelines that do something on files of yours, offline, run with `flujo demo NAME`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs
from rich.console import Console

from flujo_actors.demos import documents
from flujo_actors.steps import AnyStep


@attrs.frozen
class Demo:
    """A pipeline with what the command line needs to run it and to show what came out."""

    name: str
    summary: str
    """What it does, in one line."""
    default_input: str
    """What it works on when the user names nothing."""
    pipeline: AnyStep
    new_context: Callable[[], Any]
    render: Callable[[Any, Console], None]
    """Shows the pipeline's output to a person."""
    to_json: Callable[[Any], Any]
    """The pipeline's output as JSON values."""


DEMOS: Final = {
    demo.name: demo
    for demo in (
        Demo(
            name=documents.NAME,
            summary=documents.SUMMARY,
            default_input=documents.DEFAULT_INPUT,
            pipeline=documents.pipeline,
            new_context=documents.new_context,
            render=documents.render,
            to_json=documents.to_json,
        ),
    )
}
"""The demos by name."""

__all__ = ["DEMOS", "Demo"]
