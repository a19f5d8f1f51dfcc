"""Which actor runs which kind of step: the one place that knows both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from flujo_actors.errors import FlujoError
from flujo_actors.steps import AnyStep

ActorType: TypeAlias = Callable[..., Any]
"""A class of step actors, derived from `StepActor` (which this module, standing below it, cannot name)."""


@attrs.define(eq=False, slots=False)
class UnknownStepError(FlujoError, TypeError):
    """No actor is registered for a step's class or any class that it derives from."""

    step: str
    """The step's name."""
    kind: str
    """The step's class."""

    def __str__(self) -> str:
        return (
            f"Step {self.step!r} is a {self.kind}, and no actor is registered for it; "
            f"register one: open_system(actors={{{self.kind}: YourSupervisor}})"
        )


@attrs.frozen
class ActorRegistry:
    """A map from the classes of steps to the classes of actors. A value: adding to it gives another one."""

    actors: Mapping[type[AnyStep], ActorType]

    def with_actors(self, actors: Mapping[type[AnyStep], ActorType]) -> ActorRegistry:
        """This registry and `actors`, which win where both name a class."""
        for kind, actor in actors.items():
            if not callable(actor):
                raise TypeError(f"the actor for {kind.__name__} is a class of supervisors, got {actor!r}")
        return ActorRegistry({**self.actors, **actors})

    def actor_for(self, step: AnyStep) -> ActorType:
        """The actor for a step: that of its class, or of the nearest class that it derives from.

        Raises:
            UnknownStepError: there is none.
        """
        actor = self.actors.get(type(step))
        if actor is not None:
            return actor
        for kind in type(step).__mro__[1:]:
            actor = self.actors.get(kind)
            if actor is not None:
                return actor
        raise UnknownStepError(step.name, step.kind)
