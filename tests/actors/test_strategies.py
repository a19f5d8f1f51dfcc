"""Restart types and strategies: who is stopped and started again. Pure functions, as in OTP's `supervisor.erl`."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.actors.endings import Crashed, Ending, Finished, Killed, ShutDown
from flujo_actors.actors.specifications import Restart, RestartStrategy
from flujo_actors.actors.strategies import Plan, plan, restarts

CRASHED, FINISHED = Crashed(ValueError("boom")), Finished("done")


@attrs.frozen(eq=False)
class Child:
    name: str
    restart: Restart = Restart.PERMANENT


def names(decided: Plan[Child]) -> tuple[str, str]:
    return "".join(child.name for child in decided.stop), "".join(child.name for child in decided.start)


def children(text: str) -> list[Child]:
    """One for each letter; a small one is temporary."""
    return [Child(letter, Restart.TEMPORARY if letter.islower() else Restart.PERMANENT) for letter in text]


class TestRestartType:
    @pytest.mark.parametrize("ending", [CRASHED, FINISHED])
    def test_a_permanent_child_is_started_again_however_it_ended(self, ending: Ending) -> None:
        assert restarts(Restart.PERMANENT, ending)

    def test_a_transient_child_is_started_again_when_it_crashed_and_not_when_it_stopped_itself(self) -> None:
        assert restarts(Restart.TRANSIENT, CRASHED)
        assert not restarts(Restart.TRANSIENT, FINISHED)

    @pytest.mark.parametrize("ending", [ShutDown("because of a sibling"), Killed("because of a sibling")])
    def test_a_transient_child_that_was_stopped_because_of_a_sibling_is_started_again(self, ending: Ending) -> None:
        assert restarts(Restart.TRANSIENT, ending)

    @pytest.mark.parametrize("ending", [CRASHED, FINISHED, ShutDown("because of a sibling")])
    def test_a_temporary_child_is_never_started_again(self, ending: Ending) -> None:
        assert not restarts(Restart.TEMPORARY, ending)


class TestStrategy:
    def test_one_for_one_leaves_the_siblings_alone(self) -> None:
        family = children("ABC")
        assert names(plan(RestartStrategy.ONE_FOR_ONE, family, family[1])) == ("", "B")

    def test_one_for_all_stops_the_siblings_last_first_and_starts_all_in_order(self) -> None:
        family = children("ABCD")
        assert names(plan(RestartStrategy.ONE_FOR_ALL, family, family[1])) == ("DCA", "ABCD")

    def test_rest_for_one_does_so_with_those_that_were_started_later(self) -> None:
        family = children("ABCD")
        assert names(plan(RestartStrategy.REST_FOR_ONE, family, family[1])) == ("DC", "BCD")

    def test_a_temporary_sibling_is_stopped_and_not_started_again(self) -> None:
        family = children("aBcD")
        assert names(plan(RestartStrategy.ONE_FOR_ALL, family, family[3])) == ("cBa", "BD")
        assert names(plan(RestartStrategy.REST_FOR_ONE, family, family[1])) == ("Dc", "BD")


families = st.lists(st.sampled_from([Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY]), min_size=1, max_size=8)


@given(types=families, strategy=st.sampled_from(RestartStrategy), data=st.data())
def test_a_plan_keeps_the_order_and_touches_whom_the_strategy_says(
    types: list[Restart], strategy: RestartStrategy, data: st.DataObject
) -> None:
    family = [Child(str(number), restart) for number, restart in enumerate(types)]
    lasting = [child for child in family if child.restart is not Restart.TEMPORARY]
    if not lasting:
        return
    failed = data.draw(st.sampled_from(lasting))
    decided = plan(strategy, family, failed)

    place = {child: number for number, child in enumerate(family)}
    assert [place[child] for child in decided.start] == sorted(place[child] for child in decided.start)
    assert [place[child] for child in decided.stop] == sorted((place[child] for child in decided.stop), reverse=True)
    assert failed in decided.start
    assert failed not in decided.stop
    # Whoever is started was stopped or is the failed one, and whoever is stopped comes back unless it is temporary.
    assert {*decided.start} == ({*decided.stop} | {failed}) & {*lasting}
    touched = {*decided.stop, failed}
    match strategy:
        case RestartStrategy.ONE_FOR_ONE:
            assert touched == {failed}
        case RestartStrategy.ONE_FOR_ALL:
            assert touched == {*family}
        case RestartStrategy.REST_FOR_ONE:
            assert touched == {child for child in family if place[child] >= place[failed]}
