"""The meters of a run: exact sums, all the way up, and amounts that are refused whole."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors import Usage, UsageMeter

costs = st.floats(0, 1e9) | st.integers(0, 10**6) | st.decimals(0, 10**6, places=4)
tokens = st.integers(0, 10**9)


@given(st.lists(st.tuples(st.booleans(), costs, tokens, tokens)))
def test_a_meter_counts_its_own_and_its_children_s_charges_exactly(charges: list[tuple[bool, Any, int, int]]) -> None:
    parent = UsageMeter()
    child = UsageMeter(parent)
    for of_child, cost, prompt, completion in charges:
        (child if of_child else parent).charge(cost_usd=cost, prompt_tokens=prompt, completion_tokens=completion)
    for meter, counted in ((parent, charges), (child, [each for each in charges if each[0]])):
        total = sum((Decimal(repr(c)) if isinstance(c, float) else Decimal(c) for _, c, _, _ in counted), Decimal(0))
        assert meter.exact_cost_usd == pytest.approx(total, rel=Decimal("1e-40"))
        assert meter.total() == Usage(
            meter.exact_cost_usd, sum(each[2] for each in counted), sum(each[3] for each in counted)
        )
        assert meter.total_tokens == meter.total().total_tokens


@given(tokens, tokens, tokens)
def test_what_was_spent_since_a_former_reading_is_the_difference(first: int, second: int, other: int) -> None:
    meter = UsageMeter()
    meter.charge(cost_usd=0.1, prompt_tokens=first)
    before = meter.total()
    meter.charge(cost_usd=0.2, prompt_tokens=second, completion_tokens=first)
    meter.charge_total(0.7, other)
    assert meter.total() - before == Usage(Decimal("0.9"), second, first, other)


def test_a_hundred_cents_are_exactly_a_dollar() -> None:
    meter = UsageMeter()
    for _ in range(100):
        meter.charge(cost_usd=0.01)
    assert meter.exact_cost_usd == 1
    assert meter.cost_usd == 1.0


@pytest.mark.parametrize(
    ("amounts", "problem"),
    [
        ({"cost_usd": -0.01}, "cost_usd must be 0 or more, and no more than 1,000,000,000,000,000, got -0.01"),
        ({"cost_usd": math.inf}, "cost_usd must be 0 or more, and no more than 1,000,000,000,000,000, got inf"),
        ({"cost_usd": math.nan}, "cost_usd must be 0 or more, and no more than 1,000,000,000,000,000, got nan"),
        ({"cost_usd": Decimal("sNaN")}, "cost_usd must be 0 or more, and no more than"),
        ({"cost_usd": "1"}, "cost_usd must be a number of US dollars, got '1'"),
        ({"cost_usd": None}, "cost_usd must be a number of US dollars, got None"),
        ({"cost_usd": True}, "cost_usd must be a number of US dollars, got True"),
        ({"prompt_tokens": -1}, "prompt_tokens must be a whole number, 0 or more, got -1"),
        ({"prompt_tokens": 1.0}, "prompt_tokens must be a whole number, 0 or more, got 1.0"),
        ({"completion_tokens": True}, "completion_tokens must be a whole number, 0 or more, got True"),
    ],
)
def test_a_charge_with_an_amount_that_is_none_counts_nothing(amounts: dict[str, Any], problem: str) -> None:
    parent = UsageMeter()
    meter = UsageMeter(parent)
    with pytest.raises(ValueError, match=problem):
        meter.charge(**{"cost_usd": 5, "prompt_tokens": 5, **amounts})
    assert meter.total() == parent.total() == Usage()
