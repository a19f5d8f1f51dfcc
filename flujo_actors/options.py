"""What may be said of a single run."""

from __future__ import annotations

from typing import Any, TypedDict

import attrs

from flujo_actors.limits import UsageLimits


class RunOptions(TypedDict, total=False):
    """The keywords of `System.run`, `System.start` and `run_pipeline` besides the context: fields of `RunSettings`."""

    resources: Any
    usage_limits: UsageLimits | None
    max_concurrency: int | None
    keep_results: int | None


def _count(settings: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise ValueError(f"{attribute.name} is a whole number, 1 or more, or None, got {value!r}")


def _limits(settings: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, UsageLimits):
        raise ValueError(f"usage_limits is a UsageLimits, got {value!r}")


@attrs.frozen(kw_only=True)
class RunSettings:
    """What was said of a run."""

    resources: Any = None
    """For agents that declare `resources`: what is an async context manager is opened and closed with the run."""
    usage_limits: UsageLimits | None = attrs.field(default=None, validator=_limits)
    """What the run may spend. Once it has spent more, everything in it is cancelled."""
    max_concurrency: int | None = attrs.field(default=None, validator=_count)
    """How many agents of the run may be at work at once, wherever they stand in it; `None` for no limit.

    A step that waits for its turn has not begun: the time counts for the limits of the steps around it, not its own.
    """
    keep_results: int | None = attrs.field(default=None, validator=_count)
    """How many results a step keeps of those of its children, the last, in `step_history`, and how many spans the
    run's result keeps; `None` for all. A run of very many steps so holds no more than its outputs.
    """
