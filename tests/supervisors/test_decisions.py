"""What a supervisor does about a failed child: tables and laws of pure functions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from flujo_actors import Failure, FailureDomain, RetryPolicy
from flujo_actors.messages import TimeLimit
from flujo_actors.supervisors.decisions import attempt_limit, backoff, retry_delay

samples = st.floats(0, 1, exclude_max=True)
seconds = st.floats(0, 1e6)
time_limits = st.floats(0, 1e6, exclude_min=True)


def failure(domain: FailureDomain = FailureDomain.AGENT) -> Failure:
    return Failure(domain, "boom", "Agent execution failed with ValueError: boom", "a")


def decide(policy: RetryPolicy, **changes: Any) -> float | None:
    arguments: dict[str, Any] = {"failure": failure(), "attempts": 1, "elapsed": 0.0, "sample": 0.0, **changes}
    return retry_delay(policy, **arguments)


class TestRetryDelay:
    @pytest.mark.parametrize(
        ("domain", "tried_again"),
        [
            (FailureDomain.AGENT, True),
            (FailureDomain.TIMEOUT, True),
            (FailureDomain.CONTEXT, False),
            (FailureDomain.CANCELLED, False),
        ],
    )
    def test_the_default_policy_tries_again_what_may_go_better(
        self, domain: FailureDomain, *, tried_again: bool
    ) -> None:
        assert (decide(RetryPolicy(), failure=failure(domain)) is not None) is tried_again

    @pytest.mark.parametrize("domain", list(FailureDomain))
    def test_only_the_domains_of_the_policy_are_tried_again(self, domain: FailureDomain) -> None:
        policy = RetryPolicy(on=frozenset({FailureDomain.TIMEOUT}))
        assert (decide(policy, failure=failure(domain)) is not None) is (domain is FailureDomain.TIMEOUT)

    @given(st.integers(1, 100), st.integers(1, 100))
    def test_there_are_never_more_attempts_than_the_policy_allows(self, allowed: int, made: int) -> None:
        assert (decide(RetryPolicy(max_attempts=allowed), attempts=made) is not None) is (made < allowed)

    @pytest.mark.parametrize(("elapsed", "delay"), [(0.0, 3.0), (6.9, 3.0), (7.0, None), (8.0, None), (10.0, None)])
    def test_no_attempt_that_could_only_begin_after_the_total_timeout(
        self, elapsed: float, delay: float | None
    ) -> None:
        assert decide(RetryPolicy(backoff=3.0, total_timeout=10.0), elapsed=elapsed) == delay

    def test_a_rounding_error_of_the_clock_is_no_time_to_try_in(self) -> None:
        assert decide(RetryPolicy(total_timeout=2.0), elapsed=2.3 - 0.3) is None

    def test_retry_if_is_asked_last_and_with_the_failure(self) -> None:
        asked: list[Failure] = []

        def no(of: Failure) -> bool:
            asked.append(of)
            return False

        policy = RetryPolicy(max_attempts=2, retry_if=no)
        assert decide(policy, attempts=2) is None
        assert decide(policy, failure=failure(FailureDomain.CONTEXT)) is None
        assert asked == []
        assert decide(policy) is None
        assert asked == [failure()]

    def test_retry_if_may_say_yes(self) -> None:
        assert decide(RetryPolicy(backoff=1.5, retry_if=lambda _: True)) == 1.5


class TestBackoff:
    @pytest.mark.parametrize(("attempts", "delay"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 5.0), (6, 5.0)])
    def test_the_delay_doubles_up_to_the_maximum(self, attempts: int, delay: float) -> None:
        assert backoff(RetryPolicy(backoff=0.5, max_backoff=5.0), attempts, 0.0) == delay

    @given(st.integers(1, 100_000), samples)
    def test_without_a_backoff_there_is_never_a_delay(self, attempts: int, sample: float) -> None:
        assert backoff(RetryPolicy(jitter=1.0), attempts, sample) == 0.0

    @given(seconds, seconds, st.floats(0, 1), st.integers(1, 5000), samples)
    def test_no_delay_is_negative_or_above_the_maximum(
        self, base: float, maximum: float, jitter: float, attempts: int, sample: float
    ) -> None:
        policy = RetryPolicy(backoff=base, max_backoff=maximum, jitter=jitter)
        assert 0 <= backoff(policy, attempts, sample) <= maximum

    @given(seconds, st.floats(0, 1), st.integers(1, 30), samples)
    def test_jitter_shortens_by_no_more_than_its_fraction(
        self, base: float, jitter: float, attempts: int, sample: float
    ) -> None:
        full = backoff(RetryPolicy(backoff=base), attempts, sample)
        shortened = backoff(RetryPolicy(backoff=base, jitter=jitter), attempts, sample)
        assert full * (1 - jitter) <= shortened <= full

    def test_the_sample_decides_how_much_of_the_jitter(self) -> None:
        assert backoff(RetryPolicy(backoff=8.0, jitter=0.5), 1, 0.25) == 7.0

    @given(seconds, st.integers(1, 2000), samples)
    def test_a_later_delay_is_never_shorter(self, base: float, attempts: int, sample: float) -> None:
        policy = RetryPolicy(backoff=base)
        assert backoff(policy, attempts, sample) <= backoff(policy, attempts + 1, sample)


class TestAttemptLimit:
    @pytest.mark.parametrize(
        ("total", "timeout", "elapsed", "limit"),
        [
            (None, None, 0.0, None),
            (None, 3.0, 100.0, TimeLimit(3.0, 3.0)),
            (10.0, None, 0.0, TimeLimit(10.0, 10.0)),
            (10.0, None, 4.0, TimeLimit(6.0, 10.0)),
            (10.0, 3.0, 4.0, TimeLimit(3.0, 3.0)),
            (10.0, 3.0, 8.0, TimeLimit(2.0, 10.0)),
            (10.0, 3.0, 7.0, TimeLimit(3.0, 3.0)),
            (10.0, None, 11.0, TimeLimit(0.0, 10.0)),
        ],
    )
    def test_the_nearer_limit_counts_and_is_the_one_that_is_stated(
        self, total: float | None, timeout: float | None, elapsed: float, limit: TimeLimit | None
    ) -> None:
        assert attempt_limit(RetryPolicy(total_timeout=total), timeout, elapsed=elapsed) == limit

    @given(time_limits, st.none() | st.floats(0.001, 1e6), seconds)
    def test_no_attempt_may_last_beyond_the_total_timeout(
        self, total: float, timeout: float | None, elapsed: float
    ) -> None:
        assume(elapsed <= total)
        limit = attempt_limit(RetryPolicy(total_timeout=total), timeout, elapsed=elapsed)
        assert limit is not None
        assert 0 <= limit.seconds <= total - elapsed
        assert timeout is None or limit.seconds <= timeout
