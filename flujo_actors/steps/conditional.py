"""`ConditionalStep`: one branch of several, chosen by a condition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

import attrs

from flujo_actors.errors import StepDefinitionError
from flujo_actors.steps.branches import as_branches, branch_names, check_branches
from flujo_actors.steps.callables import check_callable
from flujo_actors.steps.pipeline import (
    AnyStep,
    BaseStep,
    ContextT_contra,
    InputT_contra,
    OutputT_co,
    optional_step,
)

DEFAULT_BRANCH: Final = "default"
"""The name of the default branch in paths."""


def _check_default_branch(step: ConditionalStep[Any, Any, Any], attribute: attrs.Attribute[Any], value: object) -> None:
    optional_step(step, attribute, value)
    if value is not None and any(str(key) == DEFAULT_BRANCH for key in step.branches):
        raise StepDefinitionError(
            step.name, f"a branch is called {DEFAULT_BRANCH!r}, which paths call default_branch; call it something else"
        )


@attrs.frozen(slots=False)
class ConditionalStep(BaseStep[InputT_contra, OutputT_co, ContextT_contra]):
    """Asks a condition for a key, and runs the branch of that key, or the default branch.

    The callables may be `async`, and may change the context they are given.
    """

    condition: Callable[[Any, Any], Any] = attrs.field(validator=check_callable)
    """Given the input and the context: the key of the branch to run."""
    # A dict has no hash; steps that differ in their branches alone share theirs.
    branches: Mapping[Any, AnyStep] = attrs.field(converter=as_branches, validator=check_branches, hash=False)
    default_branch: AnyStep | None = attrs.field(default=None, kw_only=True, validator=_check_default_branch)
    """What runs when no branch has the key."""
    branch_input_mapper: Callable[[Any, Any], Any] | None = attrs.field(
        default=None, kw_only=True, validator=check_callable
    )
    """Makes the branch's input of the step's, with the context."""
    branch_output_mapper: Callable[[Any, Any, Any], Any] | None = attrs.field(
        default=None, kw_only=True, validator=check_callable
    )
    """Makes the step's output of the branch's, with the key and the context."""

    runs_in_order: ClassVar[bool] = False

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        """The branches by the text of their key, then the default."""
        default = () if self.default_branch is None else ((DEFAULT_BRANCH, self.default_branch),)
        return (*branch_names(self.branches), *default)
