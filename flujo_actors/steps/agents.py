"""Agents: what a leaf step calls, and what it hands to them.

An agent takes the step's input as its one positional argument. What else it declares by name is injected:
`context` (its branch of the run's context), `resources` (what was passed to the run), `usage` (the meter to charge)
and `feedback` (what a plugin said of the try before). All of it is found out once, when the step is built.
"""

from __future__ import annotations

import functools
import inspect
import reprlib
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import attrs

from flujo_actors.usage import UsageMeter

InputT_contra = TypeVar("InputT_contra", contravariant=True)
ContextT_contra = TypeVar("ContextT_contra", contravariant=True)
ReturnT_co = TypeVar("ReturnT_co", covariant=True)
FunctionT_co = TypeVar("FunctionT_co", covariant=True)
OutputT = TypeVar("OutputT")

Promise: TypeAlias = Awaitable[OutputT] | AsyncIterator[OutputT]
"""What an `async` agent returns: its output to be awaited, or the parts of it to be iterated over."""

INJECTED: Final = ("context", "resources", "usage", "feedback")
"""The names that an agent may declare to have something injected."""


class TakesContext(Protocol[InputT_contra, ContextT_contra, ReturnT_co]):
    """A callable that declares `context`."""

    def __call__(self, data: InputT_contra, /, *, context: ContextT_contra) -> ReturnT_co:
        """Do the step's work."""
        ...


class TakesContextAndUsage(Protocol[InputT_contra, ContextT_contra, ReturnT_co]):
    """A callable that declares `context` and `usage`."""

    def __call__(self, data: InputT_contra, /, *, context: ContextT_contra, usage: UsageMeter) -> ReturnT_co:
        """Do the step's work."""
        ...


class TakesContextAndResources(Protocol[InputT_contra, ContextT_contra, ReturnT_co]):
    """A callable that declares `context` and `resources`."""

    def __call__(self, data: InputT_contra, /, *, context: ContextT_contra, resources: Any) -> ReturnT_co:
        """Do the step's work."""
        ...


class TakesEverything(Protocol[InputT_contra, ContextT_contra, ReturnT_co]):
    """A callable that declares `context`, `resources` and `usage`."""

    def __call__(
        self, data: InputT_contra, /, *, context: ContextT_contra, resources: Any, usage: UsageMeter
    ) -> ReturnT_co:
        """Do the step's work."""
        ...


class Runs(Protocol[FunctionT_co]):
    """An object whose `run` is the callable."""

    @property
    def run(self) -> FunctionT_co:
        """Do the step's work."""
        ...


@attrs.frozen
class AgentCall:
    """How to call an agent, found out once."""

    function: Callable[..., Any]
    """The callable itself, or the agent's `run`."""
    always_async: bool
    """Whether it is an `async def`, so that what it returns need not be looked at."""
    streams: bool
    """Whether it is an async generator, which yields its output in parts."""
    injected: frozenset[str]
    """Which of `INJECTED` it declares."""
    input_type: Any
    """Its annotation for the input, `Any` where there is none."""
    output_type: Any
    """Its annotation for the output, `Any` where there is none."""
    context_type: Any
    """Its annotation for the context, `Any` where there is none; `None` when it declares no context.

    Where it allows `None`, as it does when the parameter has a default, the agent runs without a context too."""


def inspect_agent(agent: object) -> AgentCall:
    """Find out how an agent is called.

    Raises:
        TypeError: it cannot be an agent. The text says what it is and what to do.
    """
    function = _callable_of(agent)
    if inspect.isgeneratorfunction(function) or inspect.isgeneratorfunction(_call_of(function)):
        raise TypeError(f"{_name_of(agent)} is a generator; make it an async generator, or return one value")
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Some builtins have no signature to read. They take the input and nothing else.
        return AgentCall(
            function,
            always_async=False,
            streams=False,
            injected=frozenset(),
            input_type=Any,
            output_type=Any,
            context_type=None,
        )
    bound = _bound_by_name(function)
    injected = frozenset(name for name in INJECTED if name not in bound and _declares(signature, name))
    _check_arguments(agent, signature, injected)
    streams = inspect.isasyncgenfunction(function) or inspect.isasyncgenfunction(_call_of(function))
    hints = _hints_of(function)
    first = next(iter(signature.parameters), "")
    return AgentCall(
        function,
        always_async=inspect.iscoroutinefunction(function),
        streams=streams,
        injected=injected,
        input_type=hints.get(first, Any),
        output_type=Any if streams else hints.get("return", Any),
        context_type=_context_type(signature, hints) if "context" in injected else None,
    )


def _context_type(signature: inspect.Signature, hints: dict[str, Any]) -> Any:
    hint, parameter = hints.get("context", Any), signature.parameters["context"]
    return hint if parameter.default is parameter.empty else typing.Optional[hint]  # noqa: UP045 - made here


def agent_name(agent: object) -> str:
    """A name for a step, taken from its agent."""
    name = getattr(agent, "__name__", type(agent).__name__)
    return "lambda" if name == "<lambda>" else str(name)


def _callable_of(agent: object) -> Callable[..., Any]:
    if inspect.isclass(agent):
        raise TypeError(f"the class {agent.__name__} is no agent; pass an instance of it, or a function")
    run: object = getattr(agent, "run", None)
    if callable(run):
        return run
    if callable(agent):
        return agent
    shown = reprlib.repr(agent)
    raise TypeError(f"{shown} is no agent; pass a function, or an object with an `async def run(self, data)`")


def _call_of(function: Callable[..., Any]) -> Any:
    """What runs when an object that is no function is called."""
    return getattr(function, "__call__", function)  # noqa: B004


def _bound_by_name(function: object) -> Collection[str]:
    """The names to which a partial gives values: the user's choice, which nothing is injected over."""
    return function.keywords.keys() if isinstance(function, functools.partial) else ()


def _declares(signature: inspect.Signature, name: str) -> bool:
    parameter = signature.parameters.get(name)
    if parameter is None or parameter.kind is parameter.POSITIONAL_ONLY:
        return False
    # `def agent(context): ...` takes its input under that name.
    return parameter.kind is parameter.KEYWORD_ONLY or next(iter(signature.parameters)) != name


def _check_arguments(agent: object, signature: inspect.Signature, injected: frozenset[str]) -> None:
    try:
        signature.bind(None, **dict.fromkeys(injected))
    except TypeError as error:
        raise TypeError(
            f"{_name_of(agent)}{signature} cannot be called with the step's input as its one positional argument "
            f"({error}); besides it, an agent may declare {', '.join(INJECTED)}"
        ) from None


def _hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function if inspect.isroutine(function) else _call_of(function))
    except Exception:  # noqa: BLE001 - an annotation that cannot be evaluated is an annotation we do not have
        return {}


def _name_of(agent: object) -> str:
    return getattr(agent, "__qualname__", None) or type(agent).__qualname__
