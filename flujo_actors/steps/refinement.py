"""`refine_until`: a generator, again and again with a critic's feedback."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import attrs

from flujo_actors.steps.callables import check_callable, check_count
from flujo_actors.steps.pipeline import (
    AnyStep,
    BaseStep,
    ContextT_contra,
    InputT_contra,
    OutputT_co,
    Pipeline,
    a_step,
)

ROUND = "round"
"""The name of the pipeline of generator and critic in paths: `shorten[2]/round/critic`."""


@attrs.frozen(slots=False)
class RefinementStep(BaseStep[InputT_contra, OutputT_co, ContextT_contra]):
    """Lets a generator try until a critic is content. Made by `refine_until`."""

    generator: AnyStep = attrs.field(validator=a_step)
    critic: AnyStep = attrs.field(validator=a_step)
    """Given the generator's output; gives a `RefinementCheck`."""
    max_refinements: int = attrs.field(default=5, kw_only=True, validator=check_count)
    """Rounds at the most."""
    feedback_mapper: Callable[[Any, Any], Any] | None = attrs.field(
        default=None, kw_only=True, validator=check_callable
    )
    """Makes the generator's next input of the step's input and the last check."""

    @cached_property
    def round(self) -> Pipeline[Any, Any, Any]:
        """One round: the generator, then the critic on its output."""
        return Pipeline(ROUND, (self.generator, self.critic))

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        """The round."""
        return ((ROUND, self.round),)

    @property
    def output_type(self) -> Any:
        """The generator's."""
        return self.generator.output_type


def refine_until(
    name: str,
    generator: AnyStep,
    critic: AnyStep,
    *,
    max_refinements: int = 5,
    feedback_mapper: Callable[[Any, Any], Any] | None = None,
    **options: Any,
) -> RefinementStep[Any, Any, Any]:
    """A step that lets `generator` try until `critic` is content, at most `max_refinements` times.

    Args:
        name: the step's name.
        generator: gets `{"original_input": x, "feedback": None}`, and after each check that is not complete the same
            with the check's feedback, or what `feedback_mapper` makes.
        critic: gets the generator's output and gives a `RefinementCheck`.
        max_refinements: rounds at the most. When they are used up the step fails; its output is the last check.
        feedback_mapper: a function of the step's input and the last check, `async` or not.
        **options: `retry`, `timeout`, `fallback`, `usage_limits`, as for every step.
    """
    return RefinementStep(
        name, generator, critic, max_refinements=max_refinements, feedback_mapper=feedback_mapper, **options
    )
