"""`LoopStep`: a body, again and again on its own output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import attrs

from flujo_actors.errors import StepDefinitionError
from flujo_actors.steps.callables import check_callable, check_count
from flujo_actors.steps.pipeline import AnyStep, BaseStep, ContextT_contra, InputT_contra, OutputT_co, a_step


def _check_on_max_loops(step: AnyStep, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in ("fail", "succeed"):
        raise StepDefinitionError(step.name, f"on_max_loops is 'fail' or 'succeed', got {value!r}")


@attrs.frozen(slots=False)
class LoopStep(BaseStep[InputT_contra, OutputT_co, ContextT_contra]):
    """Runs its body until a condition holds, at most `max_loops` times.

    The callables may be `async`, and may change the context they are given.
    """

    body: AnyStep = attrs.field(validator=a_step)
    exit_condition: Callable[[Any, Any], Any] = attrs.field(kw_only=True, validator=check_callable)
    """Asked after each iteration with the body's output and the context: whether to stop."""
    max_loops: int = attrs.field(default=5, kw_only=True, validator=check_count)
    """Iterations at the most."""
    initial_input_mapper: Callable[[Any, Any], Any] | None = attrs.field(
        default=None, kw_only=True, validator=check_callable
    )
    """Makes the first iteration's input of the step's, with the context."""
    iteration_input_mapper: Callable[[Any, Any, int], Any] | None = attrs.field(
        default=None, kw_only=True, validator=check_callable
    )
    """Makes the next input of the body's output, with the context and the number of the iteration that just ended."""
    loop_output_mapper: Callable[[Any, Any], Any] | None = attrs.field(
        default=None, kw_only=True, validator=check_callable
    )
    """Makes the step's output of the body's last, with the context, whichever way the loop ended normally."""
    on_max_loops: Literal["fail", "succeed"] = attrs.field(default="fail", kw_only=True, validator=_check_on_max_loops)
    """What it means that the condition never held."""

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        """The body."""
        return ((self.body.name, self.body),)

    @property
    def input_type(self) -> Any:
        """The body's, unless a mapper is in between."""
        return self.body.input_type if self.initial_input_mapper is None else Any

    @property
    def output_type(self) -> Any:
        """The body's, unless a mapper is in between."""
        return self.body.output_type if self.loop_output_mapper is None else Any
