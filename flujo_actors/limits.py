"""Limits on what a run, or a step with everything inside, may spend."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import attrs

from flujo_actors.usage import Usage, as_cost, as_tokens


def _as_optional_cost(value: object) -> Decimal | None:
    return None if value is None else as_cost(value, "total_cost_usd_limit")


def _check_tokens(limits: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        as_tokens(attribute.name, value)


@attrs.frozen
class UsageLimits:
    """How much may be spent. A limit is breached by a total *above* it."""

    total_cost_usd_limit: Decimal | None = attrs.field(default=None, converter=_as_optional_cost)
    """In US dollars; given as a number, kept as the decimal it prints as. `None` for no limit."""
    total_tokens_limit: int | None = attrs.field(default=None, validator=_check_tokens)
    """Prompt and completion tokens together; `None` for no limit."""

    def breach(self, usage: Usage) -> str | None:
        """Which limit a total is above, as a sentence; `None` when it is above none."""
        if self.total_cost_usd_limit is not None and usage.cost_usd > self.total_cost_usd_limit:
            return f"Cost limit of ${_without_zeros(self.total_cost_usd_limit)} exceeded"
        if self.total_tokens_limit is not None and usage.total_tokens > self.total_tokens_limit:
            return f"Token limit of {self.total_tokens_limit} exceeded"
        return None


def _without_zeros(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
