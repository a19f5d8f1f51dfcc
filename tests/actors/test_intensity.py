"""The window of restarts: how often is too often. Pure functions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.actors.intensity import too_many, with_restart


def counted(times: list[float], period: float) -> tuple[float, ...]:
    counting: tuple[float, ...] = ()
    for time in times:
        counting = with_restart(counting, time, period)
    return counting


def test_a_restart_counts_for_the_period_and_no_longer() -> None:
    assert counted([0.0, 5.0], period=5.0) == (0.0, 5.0)
    assert counted([0.0, 5.1], period=5.0) == (5.1,)


def test_one_restart_more_than_the_intensity_is_too_many() -> None:
    assert not too_many(counted([0.0], period=5.0), intensity=1)
    assert too_many(counted([0.0, 1.0], period=5.0), intensity=1)


def test_an_intensity_of_none_puts_up_with_none() -> None:
    assert too_many(counted([0.0], period=5.0), intensity=0)


def test_restarts_that_are_far_enough_apart_may_go_on_for_ever() -> None:
    counting: tuple[float, ...] = ()
    for number in range(1000):
        counting = with_restart(counting, number * 6.0, 5.0)
        assert not too_many(counting, intensity=1)


@given(
    gaps=st.lists(st.floats(0, 10), min_size=1, max_size=30),
    period=st.floats(0.1, 20),
)
def test_what_counts_is_the_restarts_of_the_last_period(gaps: list[float], period: float) -> None:
    times = [sum(gaps[: number + 1]) for number in range(len(gaps))]
    assert counted(times, period) == tuple(time for time in times if time >= times[-1] - period)


@given(
    gaps=st.lists(st.floats(0, 10), min_size=1, max_size=30),
    period=st.floats(0.1, 20),
    intensity=st.integers(0, 5),
)
def test_a_supervisor_gives_up_with_the_first_restart_that_is_one_too_many(
    gaps: list[float], period: float, intensity: int
) -> None:
    counting: tuple[float, ...] = ()
    now = 0.0
    for gap in gaps:
        now += gap
        counting = with_restart(counting, now, period)
        assert counting[-1] == now
        if too_many(counting, intensity):
            # The restart before was none too many, so exactly one more than allowed counts now.
            assert len(counting) == intensity + 1
            break
        assert len(counting) <= intensity
