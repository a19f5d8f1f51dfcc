"""What a run spends: money and tokens, charged as they are spent and summed to the cent.

Every running step has a `UsageMeter` under the meter of the step above it. A charge is counted at once in all
meters up to the run's, so no failure, retry or cancellation that comes after it can lose it.

Costs are summed as decimals: a hundred charges of 0.01 are exactly 1, not 1.0000000000000007, and a limit of
exactly 1 is not breached by them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Context, Decimal
from typing import Final

from flujo_actors.frozen import frozen

_EXACT: Final = Context(prec=60)
_ZERO: Final = Decimal(0)
_MOST: Final = Decimal(10**15)
"""US dollars that one charge may be. Sums of such amounts, to a millionth of a cent and beyond, stay exact."""


@frozen
class Usage:
    """An amount spent."""

    cost_usd: Decimal = _ZERO
    """In US dollars."""
    prompt_tokens: int = 0
    """Tokens that went into models."""
    completion_tokens: int = 0
    """Tokens that came out of models."""
    other_tokens: int = 0
    """Tokens of which only the total was told."""

    @property
    def total_tokens(self) -> int:
        """All tokens together."""
        return self.prompt_tokens + self.completion_tokens + self.other_tokens

    def __sub__(self, earlier: Usage) -> Usage:
        """What was spent since `earlier`, a former reading of the same meter."""
        return Usage(
            _EXACT.subtract(self.cost_usd, earlier.cost_usd),
            self.prompt_tokens - earlier.prompt_tokens,
            self.completion_tokens - earlier.completion_tokens,
            self.other_tokens - earlier.other_tokens,
        )


class UsageMeter:
    """Counts what one running step, with all that it contains, spends. Injected as `usage`.

    Not a coroutine and never blocks: `charge` counts at once, so call it as soon as the money is spent, from whichever
    thread it is spent in.
    """

    __slots__ = (
        "_completion_tokens",
        "_parent",
        "_prompt_tokens",
        "_watch",
        "exact_cost_usd",
        "on_charge",
        "total_tokens",
    )

    def __init__(self, parent: UsageMeter | None = None, watch: Callable[[Usage], None] | None = None) -> None:
        """Make a meter.

        Args:
            parent: the meter of the step above, which counts everything too.
            watch: told the total after each charge. It does not raise.
        """
        self._parent = parent
        self._watch = watch
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self.on_charge: Callable[[Usage], None] | None = None
        """Told each charge that is made to this very meter, once it is counted. It does not raise."""
        self.exact_cost_usd = _ZERO
        """US dollars charged so far. To be read; `charge` counts."""
        self.total_tokens = 0
        """Tokens charged so far, all together. To be read; `charge` counts."""

    def charge(self, *, cost_usd: float | Decimal = 0, prompt_tokens: int = 0, completion_tokens: int = 0) -> None:
        """Count an amount here and in every step above.

        Args:
            cost_usd: US dollars, 0 or more. A float counts as the decimal it prints as.
            prompt_tokens: tokens that went into a model, 0 or more.
            completion_tokens: tokens that came out of a model, 0 or more.

        Raises:
            ValueError: an amount is negative, not finite, or not a number. Nothing was counted.
        """
        cost = as_cost(cost_usd)
        prompt = as_tokens("prompt_tokens", prompt_tokens)
        self._add(Usage(cost, prompt, as_tokens("completion_tokens", completion_tokens)))

    def charge_total(self, cost_usd: float | Decimal, tokens: int) -> None:
        """Count an amount of which only the sum of the tokens is known.

        Raises:
            ValueError: an amount is negative, not finite, or not a number. Nothing was counted.
        """
        self._add(Usage(as_cost(cost_usd), other_tokens=as_tokens("token_counts", tokens)))

    def total(self) -> Usage:
        """All that was charged so far."""
        other = self.total_tokens - self._prompt_tokens - self._completion_tokens
        return Usage(self.exact_cost_usd, self._prompt_tokens, self._completion_tokens, other)

    @property
    def cost_usd(self) -> float:
        """US dollars charged so far, as the nearest float."""
        return float(self.exact_cost_usd)

    def _add(self, amount: Usage) -> None:
        meters = self._chain()
        meters[-1]._take(meters, amount)

    def _chain(self) -> list[UsageMeter]:
        """This meter and all above it, up to the run's."""
        meters: list[UsageMeter] = [self]
        while (above := meters[-1]._parent) is not None:
            meters.append(above)
        return meters

    def _take(self, meters: list[UsageMeter], amount: Usage) -> None:
        """Count an amount in all meters of a chain that ends here, and tell who has to know."""
        for meter in meters:
            meter._count(amount)
        meters[0]._tell(amount)

    def _count(self, amount: Usage) -> None:
        self.exact_cost_usd = _EXACT.add(self.exact_cost_usd, amount.cost_usd)
        self.total_tokens += amount.total_tokens
        self._prompt_tokens += amount.prompt_tokens
        self._completion_tokens += amount.completion_tokens

    def _tell(self, amount: Usage) -> None:
        for meter in self._chain():
            if meter._watch is not None:
                meter._watch(meter.total())
        if self.on_charge is not None:
            self.on_charge(amount)


class RunMeter(UsageMeter):
    """The meter of a whole run. Its agents may charge in threads, where a blocking client is called for instance.

    An amount is counted in the thread that charges it, one at a time. Who has to know, limits and watchers, is told in
    the thread of the run, as trio wants it: right away where that is the same thread, else as soon as it gets to it.
    """

    __slots__ = ("_call_soon", "_lock", "_thread")

    def __init__(self, watch: Callable[[Usage], None] | None, call_soon: Callable[..., None]) -> None:
        """Make the meter, in the thread of the run.

        Args:
            watch: as for every meter.
            call_soon: calls a function with its arguments in the thread of the run; callable from any thread.
        """
        super().__init__(None, watch)
        self._call_soon = call_soon
        self._lock = threading.Lock()
        self._thread = threading.get_ident()

    def _take(self, meters: list[UsageMeter], amount: Usage) -> None:
        with self._lock:
            for meter in meters:
                meter._count(amount)
        if threading.get_ident() == self._thread:
            meters[0]._tell(amount)
        else:
            self._call_soon(meters[0]._tell, amount)


def as_cost(value: object, name: str = "cost_usd") -> Decimal:
    """A cost in US dollars as an exact decimal; `name` is what to call it when it is none.

    Raises:
        ValueError: it is not a number, or negative, or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(f"{name} must be a number of US dollars, got {value!r}")
    cost = Decimal(float.__repr__(value)) if isinstance(value, float) else Decimal(value)
    if not cost.is_finite() or cost < 0 or cost > _MOST:
        raise ValueError(f"{name} must be 0 or more, and no more than {_MOST:,}, got {value!r}")
    return cost


def as_tokens(name: str, value: object) -> int:
    """A number of tokens.

    Raises:
        ValueError: it is not a whole number, or negative.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{name} must be a whole number, 0 or more, got {value!r}")
    return value
