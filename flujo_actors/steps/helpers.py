"""The helpers of a leaf: processors, plugins and validators, and how each is called, found out once."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any, Final

import attrs

from flujo_actors.errors import StepDefinitionError
from flujo_actors.steps.agents import AgentCall, agent_name, inspect_agent

_METHODS: Final = {
    "prompt_processors": "process",
    "output_processors": "process",
    "plugins": "validate",
    "validators": "validate",
}
"""The options of a leaf that hold helpers, and the method of a helper that is no function."""

_WITH_PRIORITY: Final = "plugins"


@attrs.frozen
class Helper:
    """Something that a leaf calls with a value, before or after its agent."""

    name: str
    given: Any
    """What the user passed."""
    call: AgentCall = attrs.field(eq=False, repr=False)
    priority: int = 0
    """Of a plugin: the higher, the earlier."""


def convert_helpers(step: str, options: dict[str, Any]) -> None:
    """Make `Helper`s of those options of a step that hold helpers; plugins by descending priority.

    Raises:
        StepDefinitionError: something is no list, or in a list and no helper.
    """
    for field in _METHODS.keys() & options.keys():
        given: Any = options[field]
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise StepDefinitionError(step, f"{field} is a list, got {given!r}")
        helpers = [_helper(each, step, field) for each in given]
        options[field] = tuple(sorted(helpers, key=lambda helper: -helper.priority))


def _helper(given: Any, step: str, field: str) -> Helper:
    if isinstance(given, Helper):
        return given
    target, priority = given if field == _WITH_PRIORITY and _is_pair(given) else (given, 0)
    function: Any = getattr(target, _METHODS[field], target)
    if not callable(function):
        pair = ", alone or in a pair with its priority, a whole number" if field == _WITH_PRIORITY else ""
        wanted = f"a function, or an object with `{_METHODS[field]}`{pair}"
        raise StepDefinitionError(step, f"{field}: {reprlib.repr(given)} is none; pass {wanted}")
    try:
        call = inspect_agent(function)
    except TypeError as error:
        raise StepDefinitionError(step, f"{field}: {error}") from None
    if call.streams:
        raise StepDefinitionError(step, f"{field}: {agent_name(target)} yields several values; return one")
    name = agent_name(target) if target is function else type(target).__name__
    return Helper(name, target, call, priority)


def _is_pair(given: Any) -> bool:
    return isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], int)
