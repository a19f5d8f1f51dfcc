"""What a scripted agent does when it is called: one turn of its script for each call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Generic

import attrs
import trio
from typing_extensions import TypeVar

from flujo_actors.usage import UsageMeter, as_cost, as_tokens

InputT = TypeVar("InputT", default=Any)
OutputT = TypeVar("OutputT", default=Any)


def _check_seconds(turn: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ValueError(f"{attribute.name} is a number of seconds, 0 or more, got {value!r}")


def _check_tokens(turn: object, attribute: attrs.Attribute[Any], value: object) -> None:
    as_tokens(attribute.name, value)


def _check_error(turn: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, BaseException):
        raise TypeError(f"{attribute.name} is an exception, got {value!r}")


@attrs.frozen(kw_only=True)
class Turn:
    """What every turn may say besides what it is: what the call spends, and how long it takes.

    What it spends is charged when the call begins, so that it is spent also where the call is cancelled in its wait.
    """

    cost_usd: Decimal = attrs.field(default=Decimal(0), converter=as_cost)
    """US dollars, 0 or more. A float counts as the decimal it prints as."""
    prompt_tokens: int = attrs.field(default=0, validator=_check_tokens)
    completion_tokens: int = attrs.field(default=0, validator=_check_tokens)
    after: float = attrs.field(default=0.0, validator=_check_seconds)
    """Seconds until it answers, on trio's clock; `math.inf` for never."""

    async def begin(self, usage: UsageMeter) -> None:
        """Spend, then wait. A checkpoint; cancelled in its wait, it has spent."""
        if self.cost_usd or self.prompt_tokens or self.completion_tokens:
            usage.charge(
                cost_usd=self.cost_usd, prompt_tokens=self.prompt_tokens, completion_tokens=self.completion_tokens
            )
        await trio.sleep(self.after)


@attrs.frozen
class Reply(Turn, Generic[OutputT]):
    """The call gives this output: `Reply("text", cost_usd=0.01, after=2.0)`."""

    output: OutputT


@attrs.frozen
class ReplyWith(Turn, Generic[InputT, OutputT]):
    """The call gives what a function makes of its input: `ReplyWith(str.upper)`."""

    function: Callable[[InputT], OutputT]


@attrs.frozen
class Raise(Turn):
    """The call raises: `Raise(ValueError("boom"))`. The same exception each time, where the turn is played again."""

    error: BaseException = attrs.field(validator=_check_error)


@attrs.frozen
class Chunks(Turn, Generic[OutputT]):
    """The call of a `ScriptedStream` yields these, then ends, or raises: `Chunks(["Hel", "lo"], every=0.5)`."""

    chunks: Sequence[OutputT]
    every: float = attrs.field(default=0.0, kw_only=True, validator=_check_seconds)
    """Seconds after each chunk but the last, and before what is raised; the first comes when `after` is over."""
    error: BaseException | None = attrs.field(default=None, kw_only=True, validator=_check_error)
    """What is raised after the last chunk."""
