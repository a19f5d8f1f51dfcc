"""Named branches, as parallel steps, conditionals and routers have them."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

import attrs

from flujo_actors.errors import StepDefinitionError
from flujo_actors.steps.pipeline import RESERVED_IN_NAMES, AnyStep, BaseStep


def as_branches(branches: Any) -> Any:
    """A mapping as one that nobody can change; the validator refuses the rest."""
    given: Any = branches
    return MappingProxyType[Any, Any](dict(given)) if isinstance(branches, Mapping) else given


def check_branches(step: AnyStep, attribute: attrs.Attribute[Any], branches: Any) -> None:
    """An attrs validator: at least one branch, each with a name of its own that a path can hold.

    Raises:
        StepDefinitionError: that is not so.
    """
    if not isinstance(branches, Mapping):
        raise StepDefinitionError(step.name, f"{attribute.name} is a dict of name and step, got {branches!r}")
    if not branches:
        raise StepDefinitionError(step.name, f"{attribute.name} is empty; it needs at least one step")
    given = cast("Mapping[Any, object]", branches)
    for key, branch in given.items():
        if not isinstance(branch, BaseStep):
            raise StepDefinitionError(
                step.name, f"branch {key!r} is no step but {branch!r}; wrap a function with @step"
            )
    _check_names(step, [str(key) for key in given])


def branch_names(branches: Mapping[Any, AnyStep]) -> tuple[tuple[str, AnyStep], ...]:
    """The branches in declared order by the text of their key, which is their name in paths."""
    return tuple((str(key), branch) for key, branch in branches.items())


def _check_names(step: AnyStep, names: list[str]) -> None:
    seen = set[str]()
    for name in names:
        if name in seen:
            raise StepDefinitionError(step.name, f"two branches are called {name!r}; give each a name of its own")
        if not name.strip() or not name.isprintable() or any(mark in name for mark in RESERVED_IN_NAMES):
            raise StepDefinitionError(
                step.name,
                f"the branch name {name!r} is not printable or holds one of {' '.join(RESERVED_IN_NAMES)}, "
                "which paths use",
            )
        seen.add(name)
