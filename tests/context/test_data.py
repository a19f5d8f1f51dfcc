"""Deltas and paths: what a branch changed, as data that can be stored."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import json
from collections.abc import MutableMapping
from typing import Any

import attrs
import cattrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.context import Delta, Step, apply_delta, open_branch
from flujo_actors.context.paths import Field, Key, Part, format_path, parse_path


@attrs.define
class State:
    a: int = 0
    items: list[Any] = attrs.Factory(lambda: [1, 2, 3])
    entries: dict[str, Any] = attrs.Factory(dict)
    tags: set[int] = attrs.Factory(lambda: {1})
    big: MutableMapping[str, Any] = attrs.Factory(dict)


def everything(context: Any) -> None:
    context.a = 5
    context.items.pop(0)
    context.items.append([4])
    context.entries["k"] = {"deep": [1]}
    context.tags ^= {1, 2}
    context.big["b"] = 1


def test_a_delta_lists_what_changed_by_path() -> None:
    branch = open_branch(State())
    everything(branch.context)
    steps = {(step.operation, step.path) for step in branch.delta().steps}
    assert ("set", "a") in steps
    assert ("set", "entries['k']") in steps
    assert ("set", "big['b']") in steps
    assert {("add", "tags"), ("discard", "tags")} <= steps


def test_a_delta_survives_json_and_gives_the_same_context_elsewhere() -> None:
    branch, other = open_branch(State()), open_branch(State())
    everything(branch.context)
    stored = json.dumps(cattrs.unstructure(branch.delta()))
    delta = cattrs.structure(json.loads(stored), Delta)
    assert delta == branch.delta()
    apply_delta(other, delta)
    assert other.publish() == branch.publish()


def test_a_branch_that_changed_nothing_has_an_empty_delta() -> None:
    branch = open_branch(State())
    assert branch.context.items == [1, 2, 3]
    assert not branch.delta()


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(Exception, match="unknown operation 'explode'"):
        apply_delta(open_branch(State()), Delta((Step("explode", "items"),)))


parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Field, st.sampled_from(["a", "b_1", "_c"])),
    st.builds(Key, st.one_of(st.integers(), st.text(), st.tuples(st.integers(), st.text()), st.none())),
)


@given(st.lists(parts).map(tuple))
def test_a_path_reads_back_as_it_was_written(path: tuple[Part, ...]) -> None:
    assert parse_path(format_path(path)) == path


@pytest.mark.parametrize("text", ["a b", "a.", "a[b]", "f()", "1 + 1", "a['k'"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a path"):
        parse_path(text)
