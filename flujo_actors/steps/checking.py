"""Whether a pipeline can run with the context that it is given."""

from __future__ import annotations

from typing import Any

from flujo_actors.errors import Problem
from flujo_actors.steps.annotations import contradiction
from flujo_actors.steps.pipeline import AnyStep


def check_context(root: AnyStep, context: object) -> tuple[Problem, ...]:
    """Every step that declares another context than the one a run is given (`None` for a run without one)."""
    if all(_mismatch(wanted, context) is None for wanted in root.context_types):
        return ()
    return tuple(
        Problem(path, message)
        for path, step in root.walk()
        if step.context_type is not None and (message := _mismatch(step.context_type, context)) is not None
    )


def _mismatch(wanted: Any, context: object) -> str | None:
    if context is None:
        return "its agent declares `context`, and the run has none; pass `context=`"
    names = contradiction(type(context), wanted)
    return None if names is None else f"its agent takes {names[1]} as context, and the run has {names[0]}"
