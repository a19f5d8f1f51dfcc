"""Whether a pipeline can run with the context that it is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flujo_actors.errors import Problem
from flujo_actors.steps.annotations import as_class, without_none
from flujo_actors.steps.pipeline import AnyStep


def check_context(root: AnyStep, context: object) -> tuple[Problem, ...]:
    """Every step that declares another context than the one a run is given (`None` for a run without one).

    And every step that names a field which the context can never have. A dict, or an object that takes attributes that
    its class does not declare, may get it from a step before.
    """
    return (*_mismatches(root, context), *_missing_fields(root, context))


def _missing_fields(root: AnyStep, context: object) -> Iterator[Problem]:
    if context is None or isinstance(context, dict) or hasattr(context, "__dict__"):
        return
    kind = type(context)
    for path, name in root.named_fields:
        if not hasattr(kind, name):
            yield Problem(path, f"it names the field {name!r} of the context, and {kind.__name__} has none")


def _mismatches(root: AnyStep, context: object) -> Iterator[Problem]:
    if all(_mismatch(wanted, context) is None for wanted in root.context_types):
        return
    for path, step in root.walk():
        message = None if step.context_type is None else _mismatch(step.context_type, context)
        if message is not None:
            yield Problem(path, message)


def _mismatch(wanted: Any, context: object) -> str | None:
    needed, may_be_none = without_none(wanted)
    if context is None:
        return None if may_be_none else "its agent declares `context`, and the run has none; pass `context=`"
    wanted_class = as_class(needed)
    if wanted_class is None or isinstance(context, wanted_class):
        return None
    return f"its agent takes {wanted_class.__name__} as context, and the run has {type(context).__name__}"
