"""Checks of what a user gives a step to call."""

from __future__ import annotations

from typing import Any

import attrs

from flujo_actors.errors import StepDefinitionError


def check_callable(step: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    """An attrs validator: something that can be called, or `None` where that is the default.

    Raises:
        StepDefinitionError: it is neither.
    """
    if value is None and attribute.default is None:
        return
    if not callable(value):
        raise StepDefinitionError(step.name, f"{attribute.name} is a function, got {value!r}")


def check_count(step: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    """An attrs validator: a whole number, 1 or more.

    Raises:
        StepDefinitionError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise StepDefinitionError(step.name, f"{attribute.name} is a whole number, 1 or more, got {value!r}")


def check_optional_count(step: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    """An attrs validator: a whole number, 1 or more, or `None`."""
    if value is not None:
        check_count(step, attribute, value)
