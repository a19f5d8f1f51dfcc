"""Failures as data, and how they read."""

from __future__ import annotations

import pytest

from flujo_actors import Failure, FailureDomain
from flujo_actors.failures import (
    agent_failure,
    cancelled_failure,
    context_failure,
    phase_failure,
    timeout_failure,
    user_function_failure,
)

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


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not to be told")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("boom"), "boom"),
        (AssertionError(), "AssertionError"),
        (UnprintableError(), "(no text: its __str__ raised RuntimeError)"),
        (ExceptionGroup("several", [ValueError("boom"), AssertionError()]), "ValueError: boom; AssertionError"),
    ],
)
def test_a_failure_always_says_something(error: Exception, text: str) -> None:
    failures = (
        agent_failure(error, step="a", attempt=1),
        phase_failure(FailureDomain.VALIDATOR, "Refused", error, phase="validator 'v'", step="a", attempt=1),
        user_function_failure(FailureDomain.MAPPER, "Refused", error, step="a", attempt=1),
    )
    assert {failure.message for failure in failures} == {text}
    assert {failure.feedback for failure in failures[1:]} == {f"Refused: {text}"}
    assert context_failure(error, step="a", attempt=1).feedback == f"Context validation failed: {text}"


def test_an_agent_s_exception_without_a_text_is_named_once() -> None:
    feedback = agent_failure(AssertionError(), step="a", attempt=1).feedback
    assert feedback == "Agent execution failed with AssertionError"


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
