"""The deadlines of questions: each passes when it should, unless it is dropped before."""

from __future__ import annotations

import attrs
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from flujo_actors.actors.deadlines import Deadlines


@attrs.define(eq=False)
class Thing:
    """Takes down when its deadline passed."""

    expired: list[float] = attrs.Factory(list[float])

    def expire(self) -> None:
        self.expired.append(trio.current_time())


async def test_a_deadline_passes_once_when_it_should(autojump_clock: MockClock) -> None:
    deadlines, thing = Deadlines(), Thing()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deadlines.watch)
        deadlines.set(thing, 5.0)
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    assert thing.expired == [5.0]


async def test_a_deadline_that_was_dropped_does_not_pass(autojump_clock: MockClock) -> None:
    deadlines, dropped, kept = Deadlines(), Thing(), Thing()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deadlines.watch)
        deadlines.set(dropped, 5.0)
        await trio.sleep(1)
        deadlines.set(kept, 5.0)
        deadlines.drop(dropped, 5.0)
        deadlines.drop(dropped, 5.0)
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    assert (dropped.expired, kept.expired) == ([], [6.0])


async def test_a_deadline_may_be_set_before_anybody_watches(autojump_clock: MockClock) -> None:
    deadlines, thing = Deadlines(), Thing()
    deadlines.set(thing, 2.0)
    with trio.move_on_after(3):
        await deadlines.watch()
    assert thing.expired == [2.0]


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0, 1.0, 2.5, 10.0]),  # seconds until the deadline
            st.none() | st.sampled_from([0.25, 0.75, 1.25, 4.75]),  # when it is dropped, from when it was set
            st.sampled_from([0.0, 0.0, 0.125, 1.5]),  # seconds until the next one is set
        ),
        max_size=20,
    )
)
def test_deadlines_pass_when_they_should_unless_they_are_dropped_before(
    plans: list[tuple[float, float | None, float]],
) -> None:
    expected: list[list[float]] = []
    things: list[Thing] = []

    async def drop_later(deadlines: Deadlines, thing: Thing, seconds: float, wait: float) -> None:
        await trio.sleep(wait)
        deadlines.drop(thing, seconds)

    async def main() -> None:
        deadlines = Deadlines()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(deadlines.watch)
            for seconds, dropped_after, gap in plans:
                thing = Thing()
                things.append(thing)
                deadlines.set(thing, seconds)
                passes = dropped_after is None or dropped_after > seconds
                expected.append([trio.current_time() + seconds] if passes else [])
                if dropped_after is not None:
                    nursery.start_soon(drop_later, deadlines, thing, seconds, dropped_after)
                await trio.sleep(gap)
            await trio.sleep(20)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert [thing.expired for thing in things] == expected
