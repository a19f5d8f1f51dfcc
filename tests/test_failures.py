"""Failures as data, and how they read."""

from __future__ import annotations

import pytest

from flujo_actors import Failure, FailureDomain
from flujo_actors.failures import agent_failure, cancelled_failure, context_failure, timeout_failure

BOOM = agent_failure(ValueError("boom"), step="p/a", attempt=1)


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (BOOM, "p/a: Agent execution failed with ValueError: boom"),
        (
            agent_failure(ValueError("boom"), step="a", attempt=3),
            "a: Agent execution failed with ValueError: boom (attempt 3)",
        ),
        (timeout_failure(2.0, step="a", attempt=1, running=("a",)), "a: Timed out after 2.0 s"),
        (
            timeout_failure(0.25, step="", attempt=2, running=("p/a", "p/b")),
            "the pipeline: Timed out after 0.25 s (while running p/a, p/b) (attempt 2)",
        ),
        (
            cancelled_failure("enough", step="p", attempt=1, running=("p/a",), cause=BOOM),
            "p: Cancelled: enough (while running p/a), caused by p/a: Agent execution failed with ValueError: boom",
        ),
        (context_failure(ValueError("not a list"), step="a", attempt=1), "a: Context validation failed: not a list"),
    ],
)
def test_a_failure_reads_as_where_what_and_why(failure: Failure, text: str) -> None:
    assert str(failure) == text


def test_the_exception_is_not_part_of_what_a_failure_is() -> None:
    other = agent_failure(ValueError("boom"), step="p/a", attempt=1)
    assert other == BOOM
    assert other.exception is not BOOM.exception
    assert "exception=" not in repr(BOOM)


def test_a_failure_without_an_exception_has_no_traceback() -> None:
    failure = timeout_failure(1.0, step="a", attempt=1, running=())
    assert failure.domain is FailureDomain.TIMEOUT
    assert failure.exception_type is None
    assert failure.traceback is None
