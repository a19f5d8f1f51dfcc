"""`ParallelStep`: branches side by side, and `DynamicParallelRouterStep`, which lets an agent choose them."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any, ClassVar

import attrs

from flujo_actors.context import MergeStrategy
from flujo_actors.errors import StepDefinitionError
from flujo_actors.steps.branches import as_branches, branch_names, check_branches
from flujo_actors.steps.callables import check_optional_count
from flujo_actors.steps.leaf import Step
from flujo_actors.steps.pipeline import AnyStep, BaseStep, ContextT_contra, InputT_contra, OutputT_co, distinct_names

MergeFunction = Callable[[Any, Mapping[str, Any]], Any]


class BranchFailureStrategy(enum.StrEnum):
    """What it means for a parallel step that a branch failed."""

    PROPAGATE = "propagate"
    """The step fails. The other branches still finish, and what they wrote is merged."""
    IGNORE = "ignore"
    """The step succeeds when at least one branch did."""
    CANCEL = "cancel"
    """The step fails, and the branches that are still running are cancelled."""


def _as_strategy(value: Any) -> Any:
    return value if callable(value) else _as_member(MergeStrategy, value)


def _as_failure_strategy(value: Any) -> Any:
    return _as_member(BranchFailureStrategy, value)


def _as_member(kind: type[enum.Enum], value: Any) -> Any:
    """A member of an enumeration, which may be given by its value; the validator refuses the rest."""
    try:
        return kind(value)
    except ValueError:
        return value


def _check_member(step: AnyStep, attribute: attrs.Attribute[Any], value: object) -> None:
    kind = MergeStrategy if attribute.name == "merge_strategy" else BranchFailureStrategy
    if kind is MergeStrategy and inspect.iscoroutinefunction(value):
        raise StepDefinitionError(
            step.name, f"merge_strategy is called between two steps and cannot be async, got {value!r}"
        )
    if isinstance(value, kind) or (kind is MergeStrategy and callable(value)):
        return
    allowed = ", ".join(repr(member.value) for member in kind)
    function = ", or a function of (context, {branch: its context})" if kind is MergeStrategy else ""
    raise StepDefinitionError(step.name, f"{attribute.name} is one of {allowed}{function}, got {value!r}")


def _as_keys(keys: Any) -> Any:
    return keys if isinstance(keys, str) or not isinstance(keys, Iterable) else tuple(keys)


def _check_keys(step: AnyStep, attribute: attrs.Attribute[Any], keys: object) -> None:
    if keys is not None and not _is_keys(keys):
        raise StepDefinitionError(step.name, f"{attribute.name} is a list of field names, got {keys!r}")


def _is_keys(keys: Any) -> bool:
    return isinstance(keys, tuple) and all(isinstance(key, str) for key in keys)


def _as_mapping(mapping: Any) -> Any:
    if not isinstance(mapping, Mapping):
        return mapping
    return MappingProxyType({str(branch): _as_keys(fields) for branch, fields in mapping.items()})


def _check_mapping(step: Any, attribute: attrs.Attribute[Any], mapping: object) -> None:
    if not isinstance(mapping, Mapping):
        raise StepDefinitionError(step.name, f"{attribute.name} is a dict of branch and fields, got {mapping!r}")
    for branch, fields in mapping.items():
        if not _is_keys(fields):
            raise StepDefinitionError(
                step.name, f"{attribute.name}[{branch!r}] is a list of field names, got {fields!r}"
            )
    branches: Any = step.branches
    if not isinstance(branches, Mapping):
        return  # its own validator, which comes later, says so
    known = {str(key) for key in branches}
    unknown = [branch for branch in mapping if branch not in known]
    if unknown:
        raise StepDefinitionError(step.name, f"{attribute.name} names {', '.join(unknown)}, which are no branches")


@attrs.frozen(slots=False)
class _Branching(BaseStep[InputT_contra, OutputT_co, ContextT_contra]):
    """What parallel steps and routers have in common: how contexts and failures of branches come together."""

    merge_strategy: MergeStrategy | MergeFunction = attrs.field(
        default=MergeStrategy.CONTEXT_UPDATE, kw_only=True, converter=_as_strategy, validator=_check_member
    )
    """How what the branches wrote comes together in the context."""
    on_branch_failure: BranchFailureStrategy = attrs.field(
        default=BranchFailureStrategy.PROPAGATE, kw_only=True, converter=_as_failure_strategy, validator=_check_member
    )
    """What it means that a branch failed."""
    context_include_keys: Sequence[str] | None = attrs.field(
        default=None, kw_only=True, converter=_as_keys, validator=_check_keys
    )
    """The fields of the context that are merged; `None` for all."""
    # A dict has no hash; steps that differ in their dicts alone share theirs.
    field_mapping: Mapping[str, Sequence[str]] = attrs.field(
        factory=dict[str, Sequence[str]], kw_only=True, converter=_as_mapping, validator=_check_mapping, hash=False
    )
    """By branch, the fields that are taken from it as they are, before anything is compared."""
    max_concurrency: int | None = attrs.field(default=None, kw_only=True, validator=check_optional_count)
    """Branches that run at once; `None` for all."""

    @property
    def context_fields(self) -> tuple[str, ...]:
        """Those that are merged alone, or taken as they are."""
        return (*(self.context_include_keys or ()), *chain.from_iterable(self.field_mapping.values()))


@attrs.frozen(slots=False)
class ParallelStep(_Branching[InputT_contra, OutputT_co, ContextT_contra]):
    """Runs all branches on the same input at once, each on its own branch of the context, and merges them.

    Its output is a dict of branch name and output, in declared order; for a failed branch its `StepResult`.
    """

    branches: Mapping[str, AnyStep] = attrs.field(converter=as_branches, validator=check_branches, hash=False)

    runs_in_order: ClassVar[bool] = False

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        """The branches in declared order."""
        return branch_names(self.branches)


CHOSEN = "branches"
"""The name of the chosen branches' parallel step in paths: `route/branches/summary`."""


def _as_router(router: Any) -> Any:
    return router if isinstance(router, BaseStep) else Step[Any, Any, Any]("router", router)


@attrs.frozen(slots=False)
class DynamicParallelRouterStep(_Branching[InputT_contra, OutputT_co, ContextT_contra]):
    """Asks an agent which branches to run, and runs these as a `ParallelStep` does, in the order that it said."""

    router: AnyStep = attrs.field(converter=_as_router)
    """An agent, or a step: given the input, it gives a list of branch names, or one name."""
    branches: Mapping[str, AnyStep] = attrs.field(converter=as_branches, validator=check_branches, hash=False)

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        """The router, and all branches as one parallel step."""
        router, chosen = self.names
        return ((router, self.router), (chosen, self.parallel(tuple(self.branches))))

    @property
    def names(self) -> tuple[str, str]:
        """What the router and the chosen branches are called in paths."""
        router, chosen = distinct_names((self.router.name, CHOSEN))
        return router, chosen

    def parallel(self, names: Sequence[Any]) -> ParallelStep[Any, Any, Any]:
        """The parallel step of these branches, in this order."""
        texts = {str(name) for name in names}
        return ParallelStep(
            CHOSEN,
            {name: self.branches[name] for name in names},
            merge_strategy=self.merge_strategy,
            on_branch_failure=self.on_branch_failure,
            context_include_keys=self.context_include_keys,
            field_mapping={name: fields for name, fields in self.field_mapping.items() if name in texts},
            max_concurrency=self.max_concurrency,
        )
