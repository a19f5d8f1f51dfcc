"""`MapStep`: a body for each of many items."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs

from flujo_actors.errors import StepDefinitionError
from flujo_actors.steps.callables import check_count
from flujo_actors.steps.pipeline import AnyStep, BaseStep, ContextT_contra, InputT_contra, OutputT_co, a_step


def _check_over(step: AnyStep, attribute: attrs.Attribute[Any], over: object) -> None:
    if not callable(over) and not (isinstance(over, str) and over):
        raise StepDefinitionError(step.name, f"over is a field of the context or a function, got {over!r}")


def _check_on_item_failure(step: AnyStep, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in ("fail", "ignore"):
        raise StepDefinitionError(step.name, f"on_item_failure is 'fail' or 'ignore', got {value!r}")


@attrs.frozen(slots=False)
class MapStep(BaseStep[InputT_contra, OutputT_co, ContextT_contra]):
    """Runs its body once for each item; the output is the list of the bodies' outputs, in the order of the items."""

    body: AnyStep = attrs.field(validator=a_step)
    over: str | Callable[[Any, Any], Any] = attrs.field(kw_only=True, validator=_check_over)
    """The items: a field of the context by name, or what a function of the input and the context gives."""
    max_concurrency: int = attrs.field(default=1, kw_only=True, validator=check_count)
    """Items at once. One after another, an item sees what the one before wrote; side by side they are merged."""
    on_item_failure: Literal["fail", "ignore"] = attrs.field(
        default="fail", kw_only=True, validator=_check_on_item_failure
    )
    """Whether an item that fails ends the map, or stands in the output as its `StepResult`."""

    @property
    def context_fields(self) -> tuple[str, ...]:
        """The one that is mapped over."""
        return (self.over,) if isinstance(self.over, str) else ()

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        """The body."""
        return ((self.body.name, self.body),)
