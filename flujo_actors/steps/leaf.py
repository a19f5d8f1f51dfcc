"""`Step`, the leaf that calls an agent, and the `@step` decorator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Concatenate, Final, Literal, ParamSpec, TypedDict, overload

import attrs
from typing_extensions import Unpack

from flujo_actors.errors import StepDefinitionError
from flujo_actors.limits import UsageLimits
from flujo_actors.steps.agents import (
    AgentCall,
    Promise,
    Runs,
    TakesContext,
    TakesContextAndResources,
    TakesContextAndUsage,
    TakesEverything,
    agent_name,
    inspect_agent,
)
from flujo_actors.steps.helpers import Helper, convert_helpers
from flujo_actors.steps.pipeline import (
    AnyStep,
    BaseStep,
    ContextT,
    ContextT_contra,
    InputT,
    InputT_contra,
    OutputT,
    OutputT_co,
)
from flujo_actors.steps.retry import RetryPolicy

P = ParamSpec("P")


class StepOptions(TypedDict, total=False):
    """What every step takes by keyword."""

    retry: RetryPolicy
    timeout: float | None
    fallback: AnyStep | None
    usage_limits: UsageLimits | None
    prompt_processors: Sequence[Any]
    output_processors: Sequence[Any]
    plugins: Sequence[Any]
    validators: Sequence[Any]
    updates_context: bool
    stream_output: StreamOutput


StreamOutput = Literal["join", "last"]


def _check_stream_output(step: AnyStep, attribute: attrs.Attribute[Any], value: object) -> None:
    if value not in ("join", "last"):
        raise StepDefinitionError(step.name, f"stream_output is 'join' or 'last', got {value!r}")


@attrs.frozen(slots=False, init=False)
class Step(BaseStep[InputT_contra, OutputT_co, ContextT_contra]):
    """A leaf: one call of an agent. Tried twice by default when the agent raises or its time runs out."""

    agent: Any
    """What is called: a function, or an object with an async `run`."""
    prompt_processors: tuple[Helper, ...] = attrs.field(default=(), kw_only=True)
    """Called one after another on the input: what they make of it is what the agent gets."""
    output_processors: tuple[Helper, ...] = attrs.field(default=(), kw_only=True)
    """Called one after another on the agent's output."""
    plugins: tuple[Helper, ...] = attrs.field(default=(), kw_only=True)
    """Asked by descending priority whether the output will do; they may replace it, or redirect to another agent."""
    validators: tuple[Helper, ...] = attrs.field(default=(), kw_only=True)
    """Asked at last, all of them, whether the output is valid. A step that fails here is never tried again."""
    updates_context: bool = attrs.field(default=False, kw_only=True)
    """Whether an output that is a dict or an object is also written to the context's fields of the same names."""
    stream_output: StreamOutput = attrs.field(default="join", kw_only=True, validator=_check_stream_output)
    """Of an agent that is an async generator: whether the output is all that it yields, joined, or the last of it."""
    call: AgentCall = attrs.field(init=False, eq=False, repr=False)
    """How it is called, found out when the step was built."""

    default_retry: ClassVar[RetryPolicy] = RetryPolicy(max_attempts=2)

    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: TakesContext[InputT, ContextT, Promise[OutputT]],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: TakesContextAndUsage[InputT, ContextT, Promise[OutputT]],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: TakesContextAndResources[InputT, ContextT, Promise[OutputT]],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: TakesEverything[InputT, ContextT, Promise[OutputT]],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, object],
        name: str,
        agent: Callable[Concatenate[InputT, P], Promise[OutputT]],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: Runs[TakesContext[InputT, ContextT, Promise[OutputT]]],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: Runs[TakesContextAndUsage[InputT, ContextT, Promise[OutputT]]],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: Runs[TakesContextAndResources[InputT, ContextT, Promise[OutputT]]],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: Runs[TakesEverything[InputT, ContextT, Promise[OutputT]]],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, object],
        name: str,
        agent: Runs[Callable[Concatenate[InputT, P], Promise[OutputT]]],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: TakesContext[InputT, ContextT, OutputT],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: TakesContextAndUsage[InputT, ContextT, OutputT],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: TakesContextAndResources[InputT, ContextT, OutputT],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, ContextT],
        name: str,
        agent: TakesEverything[InputT, ContextT, OutputT],
        **options: Unpack[StepOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: Step[InputT, OutputT, object],
        name: str,
        agent: Callable[Concatenate[InputT, P], OutputT],
        **options: Unpack[StepOptions],
    ) -> None: ...
    def __init__(self, name: str, agent: Any, **options: Unpack[StepOptions]) -> None:
        """Make a step.

        Args:
            name: the step's name, part of its path.
            agent: a function, async or not, or an object with an `async def run`. It takes the step's input as
                its one positional argument, and by name what it declares of `context`, `resources`, `usage`.
            **options: `retry` (a `RetryPolicy`), `timeout` (seconds for one attempt), `fallback`, `usage_limits`;
                `prompt_processors`, `output_processors`, `plugins`, `validators`, `updates_context`, `stream_output`.

        Raises:
            StepDefinitionError: the name, the agent, the timeout or a helper is none.
        """
        arguments: dict[str, Any] = {**options}
        convert_helpers(name, arguments)
        self.__attrs_init__(name, agent, **arguments)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue] - made by attrs

    def __attrs_post_init__(self) -> None:
        try:
            call = inspect_agent(self.agent)
        except TypeError as error:
            raise StepDefinitionError(self.name, str(error)) from None
        object.__setattr__(self, "call", call)

    @cached_property
    def is_plain(self) -> bool:
        """Whether one call of the agent is all there is to it."""
        helpers = (self.prompt_processors, self.output_processors, self.plugins, self.validators)
        return not any(helpers) and not self.updates_context and not self.call.streams

    @property
    def input_type(self) -> Any:
        """As the agent is annotated."""
        return self.call.input_type

    @property
    def output_type(self) -> Any:
        """As the agent is annotated."""
        return self.call.output_type

    @property
    def context_type(self) -> Any:
        """As the agent is annotated; `None` when it declares no context."""
        return self.call.context_type


@attrs.frozen
class StepDecorator:
    """Makes a step of a function: `@step`, or `@step(name=..., retry=..., timeout=...)`.

    The step takes the function's place and is named after it; the function itself is `the_step.agent`.
    """

    name: str | None = None
    """The name to give instead of the function's."""
    options: StepOptions = attrs.Factory(StepOptions)
    """What was given by keyword so far."""

    @overload
    def __call__(
        self, agent: TakesContext[InputT, ContextT, Promise[OutputT]], /
    ) -> Step[InputT, OutputT, ContextT]: ...
    @overload
    def __call__(
        self, agent: TakesContextAndUsage[InputT, ContextT, Promise[OutputT]], /
    ) -> Step[InputT, OutputT, ContextT]: ...
    @overload
    def __call__(
        self, agent: TakesContextAndResources[InputT, ContextT, Promise[OutputT]], /
    ) -> Step[InputT, OutputT, ContextT]: ...
    @overload
    def __call__(
        self, agent: TakesEverything[InputT, ContextT, Promise[OutputT]], /
    ) -> Step[InputT, OutputT, ContextT]: ...
    @overload
    def __call__(
        self, agent: Callable[Concatenate[InputT, P], Promise[OutputT]], /
    ) -> Step[InputT, OutputT, object]: ...
    @overload
    def __call__(self, agent: TakesContext[InputT, ContextT, OutputT], /) -> Step[InputT, OutputT, ContextT]: ...
    @overload
    def __call__(
        self, agent: TakesContextAndUsage[InputT, ContextT, OutputT], /
    ) -> Step[InputT, OutputT, ContextT]: ...
    @overload
    def __call__(
        self, agent: TakesContextAndResources[InputT, ContextT, OutputT], /
    ) -> Step[InputT, OutputT, ContextT]: ...
    @overload
    def __call__(self, agent: TakesEverything[InputT, ContextT, OutputT], /) -> Step[InputT, OutputT, ContextT]: ...
    @overload
    def __call__(self, agent: Callable[Concatenate[InputT, P], OutputT], /) -> Step[InputT, OutputT, object]: ...
    @overload
    def __call__(self, /, *, name: str | None = None, **options: Unpack[StepOptions]) -> StepDecorator: ...
    def __call__(self, agent: Any = None, /, *, name: str | None = None, **options: Unpack[StepOptions]) -> Any:
        """Take the function, or options for the function that comes next.

        Raises:
            StepDefinitionError: the function cannot be an agent, or an option is wrong.
        """
        if agent is None:
            return StepDecorator(name or self.name, {**self.options, **options})
        return Step[Any, Any, Any](self.name or agent_name(agent), agent, **self.options)


step: Final = StepDecorator()
"""The decorator: `@step async def double(data: int) -> int`."""
