"""Whether a pipeline can run with the context that it is given."""

from __future__ import annotations

from typing import Any

from flujo_actors.errors import Problem
from flujo_actors.steps.annotations import as_class, without_none
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
    needed, may_be_none = without_none(wanted)
    if context is None:
        return None if may_be_none else "its agent declares `context`, and the run has none; pass `context=`"
    wanted_class = as_class(needed)
    if wanted_class is None or isinstance(context, wanted_class):
        return None
    return f"its agent takes {wanted_class.__name__} as context, and the run has {type(context).__name__}"
