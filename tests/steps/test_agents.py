"""What may be an agent, what it is called with, and what is refused when the step is built."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import attrs
import pytest

from flujo_actors import Step, StepDefinitionError, UsageMeter, open_system, step


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(list[str])


@attrs.frozen
class Resources:
    factor: int


async def async_double(data: int) -> int:
    return data * 2


def sync_double(data: int) -> int:
    return data * 2


def gives_an_awaitable(data: int) -> Awaitable[int]:
    return async_double(data)


async def multiply(factor: int, data: int) -> int:
    return factor * data


async def scale(data: int, *, resources: Resources) -> int:
    return data * resources.factor


async def takes_context_as_its_input(context: int) -> int:
    return context * 2


class Doubler:
    async def run(self, data: int) -> int:
        return data * 2

    async def double(self, data: int) -> int:
        return data * 2

    @staticmethod
    def double_statically(data: int) -> int:
        return data * 2

    @classmethod
    def double_as_class(cls, data: int) -> int:
        return data * 2


class SyncDoubler:
    def run(self, data: int) -> int:
        return data * 2


class CallableDoubler:
    async def __call__(self, data: int) -> int:
        return data * 2


class RunAttribute:
    """Its `run` is a function that it was given."""

    def __init__(self) -> None:
        self.run = async_double


def logged(agent: Callable[[int], Awaitable[int]]) -> Callable[[int], Awaitable[int]]:
    @functools.wraps(agent)
    async def wrapper(data: int) -> int:
        return await agent(data)

    return wrapper


async def stream(data: int) -> AsyncIterator[int]:
    yield data
    yield data


def last_of(agent: Callable[[int], AsyncIterator[int]]) -> Callable[[int], Awaitable[int]]:
    """A decorator that makes an agent of an async generator."""

    @functools.wraps(agent)
    async def wrapper(data: int) -> int:
        return sum([each async for each in agent(data)])

    return wrapper


DOUBLERS: dict[str, Any] = {
    "an async function": async_double,
    "a plain function": sync_double,
    "a lambda": lambda data: data * 2,  # pyright: ignore[reportUnknownLambdaType]
    "a plain function that gives an awaitable": gives_an_awaitable,
    "an object with run": Doubler(),
    "an object with a plain run": SyncDoubler(),
    "an object with a function as run": RunAttribute(),
    "a bound method": Doubler().double,
    "a static method": Doubler.double_statically,
    "a class method": Doubler.double_as_class,
    "a partial": functools.partial(multiply, 2),
    "a partial with resources of its own": functools.partial(scale, resources=Resources(2)),
    "a callable object": CallableDoubler(),
    "a decorated function": logged(async_double),
    "a decorated async generator": last_of(stream),
    "a function whose input is called context": takes_context_as_its_input,
    "a builtin method": (2).__mul__,
}


@pytest.mark.parametrize("agent", DOUBLERS.values(), ids=DOUBLERS.keys())
async def test_an_agent_may_be(agent: Any) -> None:
    async with open_system() as system:
        result = await system.run(Step[int, int, object]("double", agent), 21)
    assert result.unwrap() == 42


async def test_a_builtin_without_a_signature_takes_the_input() -> None:
    async with open_system() as system:
        largest: Any = max
        result = await system.run(Step[Any, Any, object]("largest", largest), [3, 7, 5])
    assert result.output == 7


async def stream_method(self: object, data: int) -> AsyncIterator[int]:
    yield data


class Streamer:
    run = stream_method


class CallableStreamer:
    __call__ = stream_method


def yielding(data: int) -> Iterator[int]:
    yield data


async def without_input() -> int:
    return 0


async def with_two_inputs(first: int, second: int) -> int:
    return first + second


async def with_keyword_only(*, data: int) -> int:
    return data


async def with_an_unknown_keyword(data: int, *, flavour: str) -> str:
    return flavour * data


REFUSED: dict[str, tuple[Any, str]] = {
    "a class": (Doubler, "the class Doubler is no agent; pass an instance of it, or a function"),
    "a number": (3, "3 is no agent; pass a function, or an object with an `async def run(self, data)`"),
    "None": (None, "None is no agent"),
    "a generator": (yielding, "yielding is a generator; make it an async generator, or return one value"),
    "no parameter": (without_input, "without_input() -> 'int' cannot be called with the step's input"),
    "two inputs": (with_two_inputs, "missing a required argument: 'second'"),
    "no positional parameter": (with_keyword_only, "cannot be called with the step's input as its one positional"),
    "an unknown keyword": (with_an_unknown_keyword, "an agent may declare context, resources, usage, feedback"),
}


@pytest.mark.parametrize(("agent", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_an_agent_may_not_be(agent: Any, problem: str) -> None:
    with pytest.raises(StepDefinitionError) as caught:
        Step[Any, Any, Any]("mine", agent)
    assert str(caught.value).startswith("Step 'mine': ")
    assert problem in str(caught.value)


class TestInjection:
    async def test_an_agent_gets_what_it_declares_and_nothing_else(self) -> None:
        got: dict[str, Any] = {}

        async def everything(data: int, *, context: Notes, resources: Resources, usage: UsageMeter) -> int:
            got.update(data=data, context=context, resources=resources, usage=usage)
            usage.charge(cost_usd=1.5)
            return data

        resources = Resources(2)
        async with open_system() as system:
            result = await system.run(Step("all", everything), 1, context=Notes(["x"]), resources=resources)
        assert result.success
        assert got["data"] == 1
        assert got["context"] == Notes(["x"])
        assert got["resources"] is resources
        assert result.total_cost_usd == 1.5

    async def test_what_is_declared_may_be_positional_or_have_a_default(self) -> None:
        async def agent(data: int, context: Notes | None = None, usage: UsageMeter | None = None) -> bool:
            return context is not None and usage is not None

        async with open_system() as system:
            result = await system.run(Step[int, bool, Any]("agent", agent), 1, context=Notes())
        assert result.output is True

    async def test_the_first_parameter_takes_the_input_whatever_its_name(self) -> None:
        async def agent(usage: str, *, resources: str) -> str:
            return usage + resources

        async with open_system() as system:
            result = await system.run(Step("agent", agent), "input ", resources="resources")
        assert result.output == "input resources"

    async def test_a_run_without_resources_injects_none(self) -> None:
        async def agent(data: int, *, resources: object) -> bool:
            return resources is None

        async with open_system() as system:
            result = await system.run(Step("agent", agent), 1)
        assert result.output is True

    async def test_what_a_partial_has_bound_is_not_replaced(self) -> None:
        async with open_system() as system:
            result = await system.run(
                Step("scale", functools.partial(scale, resources=Resources(3))), 2, resources=Resources(10)
            )
        assert result.output == 6


class TestDecorator:
    def test_a_step_is_named_after_its_function(self) -> None:
        assert step(async_double) == Step("async_double", async_double)

    def test_options_come_by_keyword(self) -> None:
        assert step(name="double", timeout=2.0)(async_double) == Step("double", async_double, timeout=2.0)

    def test_options_may_come_one_after_the_other(self) -> None:
        assert step(name="double")(timeout=2.0)(async_double) == Step("double", async_double, timeout=2.0)

    def test_the_function_is_the_agent_of_the_step(self) -> None:
        assert step(async_double).agent is async_double

    def test_a_step_of_an_object_is_named_after_its_class(self) -> None:
        assert step(CallableDoubler()).name == "CallableDoubler"

    def test_what_cannot_be_an_agent_is_refused(self) -> None:
        with pytest.raises(StepDefinitionError, match="Step 'yielding': yielding is a generator"):
            step(yielding)

    @pytest.mark.parametrize(
        "agent", [stream, Streamer(), CallableStreamer(), functools.partial(stream_method, None)], ids=repr
    )
    def test_an_async_generator_streams(self, agent: Any) -> None:
        assert Step[Any, Any, Any]("a", agent).call.streams
        assert not Step[Any, Any, Any]("a", async_double).call.streams
