"""`Demo`: a pipeline with what the command line needs to run it and to show what came out."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any

import attrs
from rich.console import Console

from flujo_actors import AnyStep, PipelineResult


@attrs.frozen(kw_only=True)
class Demo:
    """A pipeline to try, on files of yours."""

    name: str
    """What the command line calls it."""
    summary: str
    """What it does, in one line."""
    default_input: str
    """What it works on when the user names nothing."""
    pipeline: AnyStep
    new_context: Callable[[], Any]
    """Makes a context to start a run with."""
    conclude: Callable[[PipelineResult[Any, Any]], Any] = attrgetter("output")
    """What is shown of a run that completed: its output, or what the demo makes of its result."""
    render: Callable[[Any, Console], None]
    """Shows that to a person."""
    to_json: Callable[[Any], Any]
    """The same as JSON values."""
