"""When a `RetryPolicy` is refused, and what it says then."""

from __future__ import annotations

import math
from typing import Any

import pytest

from flujo_actors import FailureDomain, Pipeline, RetryPolicy, Step


def test_a_leaf_is_tried_twice_and_a_composite_once_by_default() -> None:
    leaf = Step[str, str, object]("leaf", str.upper)
    assert leaf.retry == RetryPolicy(max_attempts=2)
    assert Pipeline("p", [leaf]).retry.max_attempts == 1


@pytest.mark.parametrize("number", [0, -1, 1.5, math.nan, True, "3", None])
def test_the_number_of_attempts_is_a_whole_number_above_zero(number: Any) -> None:
    with pytest.raises(ValueError, match="RetryPolicy: max_attempts counts the first attempt too, so it is 1 or more"):
        RetryPolicy(max_attempts=number)


@pytest.mark.parametrize("field", ["backoff", "max_backoff"])
@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan, 10**400, "1", True])
def test_times_are_seconds_from_zero(field: str, seconds: Any) -> None:
    with pytest.raises(ValueError, match=f"RetryPolicy: {field} must be 0 seconds or more"):
        RetryPolicy(**{field: seconds})


@pytest.mark.parametrize("seconds", [0, 10**400])
def test_all_attempts_together_have_some_time_and_an_end(seconds: float) -> None:
    with pytest.raises(ValueError, match="RetryPolicy: total_timeout must be more than 0 seconds, and finite"):
        RetryPolicy(total_timeout=seconds)


async def ask_first(failure: Any) -> bool:
    return True


@pytest.mark.parametrize("function", [3, "always", True, ask_first])
def test_whether_to_try_again_is_asked_of_a_function_that_is_not_async(function: Any) -> None:
    with pytest.raises(ValueError, match="RetryPolicy: retry_if is a function of the failure, not `async`, got"):
        RetryPolicy(retry_if=function)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan, "0.5", True])
def test_jitter_is_a_fraction(fraction: Any) -> None:
    with pytest.raises(ValueError, match="RetryPolicy: jitter is a fraction of the delay from 0 to 1"):
        RetryPolicy(jitter=fraction)


def test_domains_that_fail_again_the_same_way_are_refused() -> None:
    with pytest.raises(
        ValueError, match="does not help a CANCELLED, CONTEXT failure; `on` takes AGENT, PLUGIN, PROCESSOR, TIMEOUT"
    ):
        RetryPolicy(on=frozenset({FailureDomain.CONTEXT, FailureDomain.CANCELLED}))


@pytest.mark.parametrize("domains", ["agent", {"bogus"}, [3], FailureDomain.AGENT, 3])
def test_what_are_no_domains_is_refused_by_name(domains: Any) -> None:
    with pytest.raises(ValueError, match="RetryPolicy: `on` is a set of FailureDomain"):
        RetryPolicy(on=domains)


def test_domains_may_come_in_any_collection() -> None:
    assert RetryPolicy(on=[FailureDomain.AGENT]).on == {FailureDomain.AGENT}
