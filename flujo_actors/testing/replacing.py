"""Putting other agents into a pipeline that is there already."""

# The steps' fields hold whatever their class says, and are looked at for the steps among them.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from flujo_actors.steps import AnyStep, BaseStep, Step

StepT = TypeVar("StepT", bound=AnyStep)


def with_agents(pipeline: StepT, agents: Mapping[str, object]) -> StepT:
    """The same pipeline with other agents in some steps, of which everything else stays: retries, limits, plugins.

    Args:
        pipeline: any step. It is not changed.
        agents: the new agents by the name of their step. A step is given its agent wherever it stands: in branches,
            in loops, as a router, as a fallback.

    Raises:
        ValueError: no step that calls an agent has one of the names.
        StepDefinitionError: something that was given is no agent.
    """
    names = {step.name for _, step in pipeline.walk() if isinstance(step, Step)}
    for name in agents:
        if name not in names:
            raise ValueError(f"no step that calls an agent is called {name!r}; there are {', '.join(sorted(names))}")
    replaced: StepT = _replaced(pipeline, agents)
    return replaced


def _replaced(value: Any, agents: Mapping[str, object]) -> Any:
    """A step, a collection of steps, or anything else, which stays as it is."""
    if isinstance(value, BaseStep):
        return _step_with(value, agents)
    if isinstance(value, tuple | list) and any(isinstance(each, BaseStep) for each in value):
        return type(value)(_replaced(each, agents) for each in value)
    if isinstance(value, Mapping) and any(isinstance(each, BaseStep) for each in value.values()):
        return {name: _replaced(each, agents) for name, each in value.items()}
    return value


def _step_with(step: AnyStep, agents: Mapping[str, object]) -> AnyStep:
    fields = {field.alias or field.name: getattr(step, field.name) for field in attrs.fields(type(step)) if field.init}
    changes = {name: _replaced(value, agents) for name, value in fields.items()}
    if isinstance(step, Step) and step.name in agents:
        changes["agent"] = agents[step.name]
    return attrs.evolve(step, **changes)
