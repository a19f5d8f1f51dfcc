"""`BaseStep`, what all steps have in common, and `Pipeline`, steps in sequence.

They stand in one file because each needs the other: a pipeline is a step, and `a >> b` of any two steps is a
pipeline.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, Final, Generic, Self, TypeAlias, cast, overload

import attrs
from typing_extensions import TypeVar

from flujo_actors.errors import Problem, StepDefinitionError
from flujo_actors.limits import UsageLimits
from flujo_actors.steps.annotations import contradiction
from flujo_actors.steps.mermaid import draw
from flujo_actors.steps.retry import RetryPolicy, as_seconds

InputT_contra = TypeVar("InputT_contra", contravariant=True, default=Any)
OutputT_co = TypeVar("OutputT_co", covariant=True, default=Any)
ContextT_contra = TypeVar("ContextT_contra", contravariant=True, default=Any)
InputT = TypeVar("InputT")
OutputT = TypeVar("OutputT")
NextT = TypeVar("NextT")
ContextT = TypeVar("ContextT")

UNNAMED: Final = "pipeline"
"""The name of a pipeline that `>>` made. Such a pipeline dissolves in a longer chain; a named one stays a unit."""

RESERVED_IN_NAMES: Final = "/[]#"
"""What separates names in a path, so that no name may hold it."""


def _check_name(step: AnyStep, attribute: attrs.Attribute[Any], name: object) -> None:
    if not isinstance(name, str):
        raise StepDefinitionError(str(name), f"a name is a text, not a {type(name).__name__}")
    if not name.strip() or not name.isprintable() or any(mark in name for mark in RESERVED_IN_NAMES):
        raise StepDefinitionError(
            name, f"a name is a printable text without any of {' '.join(RESERVED_IN_NAMES)}, which paths use"
        )


def _check_timeout(step: AnyStep, attribute: attrs.Attribute[Any], seconds: object) -> None:
    if seconds is None:
        return
    if not isinstance(seconds, float) or not 0 < seconds < math.inf:
        raise StepDefinitionError(step.name, f"timeout is a number of seconds above 0, or None, got {seconds!r}")


def a_step(step: AnyStep, attribute: attrs.Attribute[Any], value: object) -> None:
    """An attrs validator: the value is a step.

    Raises:
        StepDefinitionError: it is none.
    """
    if not isinstance(value, BaseStep):
        raise StepDefinitionError(
            step.name,
            f"{attribute.name}: {value!r} is no step; wrap a function with @step, an agent with Step(name, agent)",
        )


def optional_step(step: AnyStep, attribute: attrs.Attribute[Any], value: object) -> None:
    """An attrs validator: the value is a step or `None`."""
    if value is not None:
        a_step(step, attribute, value)


def _check_usage_limits(step: AnyStep, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, UsageLimits):
        raise StepDefinitionError(step.name, f"usage_limits is a UsageLimits, got {value!r}")


def _default_retry(step: AnyStep) -> RetryPolicy:
    return step.default_retry


def _check_retry(step: AnyStep, attribute: attrs.Attribute[Any], retry: object) -> None:
    if not isinstance(retry, RetryPolicy):
        raise StepDefinitionError(step.name, f"retry is a RetryPolicy, got {retry!r}")


@attrs.frozen(slots=False)
class BaseStep(Generic[InputT_contra, OutputT_co, ContextT_contra]):
    """A step: frozen data that says what to do, and how its failures are met. Any step can stand anywhere.

    To make a composite step of your own, subclass it, list the children in `children`, and register a supervising
    actor for it (`open_system(actors=...)`).
    """

    name: str = attrs.field(validator=_check_name)
    """The step's name, unique or not; paths tell siblings of one name apart."""
    retry: RetryPolicy = attrs.field(
        default=attrs.Factory(_default_retry, takes_self=True), kw_only=True, validator=_check_retry
    )
    """When a failure is tried again. A leaf is tried twice by default, a composite once."""
    timeout: float | None = attrs.field(default=None, kw_only=True, converter=as_seconds, validator=_check_timeout)
    """Seconds that one attempt may take, everything inside included."""
    fallback: AnyStep | None = attrs.field(default=None, kw_only=True, validator=optional_step)
    """What runs on the same input when the step has failed for good."""
    usage_limits: UsageLimits | None = attrs.field(default=None, kw_only=True, validator=_check_usage_limits)
    """What the step may spend, everything inside included, its fallback too."""

    default_retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=1)
    """The `retry` of a step of this class that was given none."""
    runs_in_order: ClassVar[bool] = True
    """Whether the children run one after another, for drawings; otherwise side by side, or one of them."""

    @overload
    def __rshift__(
        self: BaseStep[InputT, OutputT, object], following: BaseStep[OutputT, NextT, ContextT]
    ) -> Pipeline[InputT, NextT, ContextT]: ...
    @overload
    def __rshift__(
        self: BaseStep[InputT, OutputT, ContextT], following: BaseStep[OutputT, NextT, ContextT]
    ) -> Pipeline[InputT, NextT, ContextT]: ...
    def __rshift__(self, following: AnyStep) -> AnyStep:
        """This step, then `following` on its output."""
        if not isinstance(following, BaseStep):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers
            return NotImplemented
        return Pipeline(UNNAMED, (*_links(self), *_links(following)))

    def with_fallback(self, fallback: AnyStep) -> Self:
        """The same step, with `fallback` to run on the same input when it has failed for good."""
        return attrs.evolve(self, fallback=fallback)

    @property
    def kind(self) -> str:
        """The class of the step, as traces and drawings name it."""
        return type(self).__name__

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        """The steps inside, each with the name that tells it from its siblings. A leaf has none."""
        return ()

    @property
    def fallback_name(self) -> str:
        """What tells the fallback from the steps inside; empty without a fallback."""
        if self.fallback is None:
            return ""
        inside = (name.partition("#")[0] for name, _ in self.children)
        *_, name = distinct_names((*inside, self.fallback.name))
        return name

    @property
    def input_type(self) -> Any:
        """The annotated type of the input, `Any` where nothing says."""
        return Any

    @property
    def output_type(self) -> Any:
        """The annotated type of the output, `Any` where nothing says."""
        return Any

    @property
    def context_type(self) -> Any:
        """The annotated type of the context this very step takes; `None` when it takes none."""
        return None

    def problems(self) -> Iterator[str]:
        """What is wrong with this very step that could not be seen when it was built."""
        return iter(())

    def walk(self) -> Iterator[tuple[str, AnyStep]]:
        """This step and all below it with their paths, parents before children, this one with an empty path."""
        waiting: list[tuple[str, AnyStep]] = [("", self)]
        while waiting:
            path, step = waiting.pop()
            yield path, step
            if step.fallback is not None:
                waiting.append((join_path(path, step.fallback_name), step.fallback))
            waiting.extend((join_path(path, name), child) for name, child in reversed(step.children))

    def check(self) -> tuple[Problem, ...]:
        """Everything that is wrong in this step and below it, in order; empty when it can run."""
        return self._problems

    @cached_property
    def _problems(self) -> tuple[Problem, ...]:
        return tuple(Problem(path, message) for path, step in self.walk() for message in step.problems())

    @cached_property
    def classes(self) -> frozenset[type[AnyStep]]:
        """The classes of this step and of all below it."""
        return frozenset(type(step) for _, step in self.walk())

    @property
    def context_fields(self) -> tuple[str, ...]:
        """The fields of the context that the step itself names in its options."""
        return ()

    @cached_property
    def named_fields(self) -> tuple[tuple[str, str], ...]:
        """The fields of the context that are named here and below, each after the path of the step that does."""
        return tuple((path, name) for path, step in self.walk() for name in step.context_fields)

    @cached_property
    def context_types(self) -> tuple[Any, ...]:
        """The annotated types of the contexts that are asked for here and below, each once."""
        types = {id(step.context_type): step.context_type for _, step in self.walk() if step.context_type is not None}
        return tuple(types.values())

    def to_mermaid(self) -> str:
        """The step as a Mermaid flowchart (https://mermaid.js.org/syntax/flowchart.html)."""
        return draw(self)


AnyStep: TypeAlias = BaseStep[Any, Any, Any]
"""A step whose types do not matter here."""


def _check_steps(pipeline: AnyStep, attribute: attrs.Attribute[Any], steps: Any) -> None:
    if type(steps) is not tuple:
        raise StepDefinitionError(pipeline.name, f"steps is a list of steps, got {steps!r}")
    for step in cast("tuple[object, ...]", steps):
        a_step(pipeline, attribute, step)


def _as_tuple(steps: Iterable[AnyStep]) -> tuple[AnyStep, ...]:
    """Any collection as a tuple; the validator refuses the rest."""
    given: Any = steps
    return tuple(steps) if isinstance(given, Iterable) else given


@attrs.frozen(slots=False)
class Pipeline(BaseStep[InputT_contra, OutputT_co, ContextT_contra]):
    """Steps in sequence: each one's output is the next one's input. The first that fails ends it."""

    steps: tuple[AnyStep, ...] = attrs.field(converter=_as_tuple, validator=_check_steps)

    _children: tuple[tuple[str, AnyStep], ...] = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        names = distinct_names(step.name for step in self.steps)
        object.__setattr__(self, "_children", tuple(zip(names, self.steps, strict=True)))

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        """The steps in order, each with the name that tells it from its siblings."""
        return self._children

    def named(self, name: str) -> Pipeline[InputT_contra, OutputT_co, ContextT_contra]:
        """The same pipeline under a name of its own. In a longer chain it stays a unit, with its own span."""
        return attrs.evolve(self, name=name)

    @property
    def input_type(self) -> Any:
        """The first step's."""
        return self.steps[0].input_type if self.steps else Any

    @property
    def output_type(self) -> Any:
        """The last step's."""
        return self.steps[-1].output_type if self.steps else Any

    def problems(self) -> Iterator[str]:
        """It has no steps, or two neighbours' annotations contradict each other."""
        if not self.steps:
            yield "a pipeline needs at least one step"
        for (giver_name, giver), (taker_name, taker) in pairwise(self.children):
            if names := contradiction(giver.output_type, taker.input_type):
                yield f"{giver_name!r} gives {names[0]}, and {taker_name!r} after it takes {names[1]}"


def join_path(parent: str, name: str) -> str:
    """The path of a child: names joined by `/` from below the root."""
    return f"{parent}/{name}" if parent else name


def distinct_names(names: Iterable[str]) -> Iterator[str]:
    """Siblings of one name are numbered from the second on: `double`, `double#2`."""
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = count = seen.get(name, 0) + 1
        yield name if count == 1 else f"{name}#{count}"


def _links(step: AnyStep) -> tuple[AnyStep, ...]:
    """What a step adds to a chain: itself, or its parts when `>>` made it and nobody named or tuned it."""
    if type(step) is Pipeline and attrs.evolve(step, steps=()) == Pipeline(UNNAMED, ()):
        return step.steps
    return (step,)
