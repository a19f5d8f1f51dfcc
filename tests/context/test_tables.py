"""Versions that share one table: every version stays right, and none costs more than it should."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.context.absent import ABSENT
from flujo_actors.context.tables import MapVersion, SequenceVersion

commits = st.lists(
    st.tuples(
        st.integers(0, 30), st.dictionaries(st.integers(0, 9), st.one_of(st.just(ABSENT), st.integers())), st.booleans()
    )
)


@given(st.dictionaries(st.integers(0, 9), st.integers()), commits)
def test_any_version_of_a_tree_of_commits_stays_what_it_was(
    start: dict[int, int], tree: list[tuple[int, dict[int, object], bool]]
) -> None:
    versions: list[tuple[MapVersion, dict[int, object]]] = [(MapVersion.of(dict(start)), dict(start))]
    for parent, changes, settles in tree:
        base, reference = versions[parent % len(versions)]
        following = {key: value for key, value in {**reference, **changes}.items() if value is not ABSENT}
        made = base.commit(dict(changes), len(following) - len(reference))
        if settles:
            made.settle()
        versions.append((made, following))
    for version, reference in versions:
        assert version.size == len(reference)
        assert all(version.get(key) == reference.get(key, ABSENT) for key in range(10))
        assert dict(version.items()) == reference


def test_an_old_version_is_read_after_a_thousand_commits_in_one_pass() -> None:
    first = newest = MapVersion.of({"a": 0})
    for number in range(1000):
        newest = newest.commit({number: number}, 1)
        newest.settle()
    assert first.get(5) is ABSENT
    assert first.get("a") == 0
    assert dict(first.items()) == {"a": 0}
    assert newest.size == 1001


def test_a_line_of_versions_that_lost_its_table_gets_one_when_that_is_cheaper() -> None:
    base = MapVersion.of({"a": 0})
    winner = base.commit({"w": 1}, 1)
    winner.settle()
    other = base
    for number in range(30):
        other = other.commit({number: number}, 1)
        other.settle()
    assert other.size == 31
    assert all(other.get(number) == number for number in range(30))
    assert dict(winner.items()) == {"a": 0, "w": 1}


sequence_commits = st.lists(
    st.tuples(
        st.integers(0, 30),
        st.dictionaries(st.integers(0, 5), st.integers()),
        st.lists(st.integers(), max_size=3),
        st.booleans(),
    )
)


@given(st.lists(st.integers(), min_size=1), sequence_commits)
def test_any_version_of_a_tree_of_lists_stays_what_it_was(
    start: list[int], tree: list[tuple[int, dict[int, int], list[int], bool]]
) -> None:
    versions: list[tuple[SequenceVersion, list[int]]] = [(SequenceVersion.of(list(start)), list(start))]
    for parent, wanted, tail, settles in tree:
        base, reference = versions[parent % len(versions)]
        edits = {index: value for index, value in wanted.items() if index < len(reference)}
        made = base.commit(edits, list(tail))
        if settles:
            made.settle()
        versions.append((made, [edits.get(index, value) for index, value in enumerate(reference)] + tail))
    for version, expected in versions:
        assert version.items() == expected
        assert [version.get(index) for index in range(len(version))] == expected
