"""`CacheStep`: a body whose successes are remembered."""

from __future__ import annotations

from typing import Any

import attrs

from flujo_actors.steps.pipeline import AnyStep, BaseStep, ContextT_contra, InputT_contra, OutputT_co, a_step


@attrs.frozen(slots=False)
class CacheStep(BaseStep[InputT_contra, OutputT_co, ContextT_contra]):
    """Runs its body, or gives what the body gave when it ran on the same input and read the same in the context.

    Only successes are remembered, with what they wrote into the context, in the cache of the system.
    """

    body: BaseStep[InputT_contra, OutputT_co, ContextT_contra] = attrs.field(validator=a_step)

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        """The body."""
        return ((self.body.name, self.body),)

    @property
    def input_type(self) -> Any:
        """The body's."""
        return self.body.input_type

    @property
    def output_type(self) -> Any:
        """The body's."""
        return self.body.output_type
