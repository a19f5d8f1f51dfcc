"""Blame: who wrote the value that a path has now."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from typing import Any

import attrs

from flujo_actors.context import ContextBranch, MergeStrategy, Origin, merge, open_branch
from flujo_actors.context.blame import Memory, Writing


@attrs.define
class Part:
    n: int = 0


@attrs.define
class State:
    a: int = 0
    items: list[Any] = attrs.Factory(lambda: ["i", "j"])
    entries: dict[str, Any] = attrs.Factory(dict)
    part: Part = attrs.Factory(Part)
    big: MutableMapping[str, int] = attrs.Factory(dict)


def step(parent: ContextBranch, name: str, change: Callable[[Any], object]) -> None:
    child = parent.fork()
    change(child.context)
    parent.adopt(child, Origin(run_id="r", step=name))


def write_several(context: Any) -> None:
    context.a = context.part.n = 1
    context.entries["k"] = [1]


def author(branch: ContextBranch, path: str) -> str | None:
    origin = branch.blame(path)
    return None if origin is None else origin.step


def test_each_path_is_blamed_on_the_step_that_wrote_its_present_value() -> None:
    parent = open_branch(State())
    step(parent, "one", write_several)
    step(parent, "two", lambda c: (c.entries["k"].append(2), c.big.update(b=1)))
    step(parent, "three", lambda c: c.entries.update(l=1))
    assert author(parent, "a") == "one"
    assert author(parent, "part.n") == "one"
    assert author(parent, "entries['k'][0]") == "one"
    assert author(parent, "entries['k'][1]") == "two"
    assert author(parent, "entries['k']") == "two"
    assert author(parent, "entries['l']") == "three"
    assert author(parent, "big['b']") == "two"
    assert author(parent, "items") is None


def test_an_item_keeps_its_author_when_others_move_it() -> None:
    parent = open_branch(State())
    step(parent, "one", lambda c: c.items.append("k"))
    step(parent, "two", lambda c: c.items.pop(0))
    step(parent, "three", lambda c: c.items.insert(0, "new"))
    assert [author(parent, f"items[{index}]") for index in range(3)] == ["three", None, "one"]


def test_writing_a_value_again_as_it_was_is_no_writing() -> None:
    parent = open_branch(State())
    step(parent, "one", lambda c: setattr(c, "a", 1000))
    step(parent, "two", lambda c: setattr(c, "a", int("1000")))
    assert author(parent, "a") == "one"


def test_inner_steps_are_blamed_before_the_step_around_them() -> None:
    parent = open_branch(State())
    outer = parent.fork()
    step(outer, "outer/inner", lambda c: setattr(c, "a", 1))
    outer.context.part.n = 5
    parent.adopt(outer, Origin(step="outer"))
    assert author(parent, "a") == "outer/inner"
    assert author(parent, "part.n") == "outer"


def test_after_a_merge_each_path_is_blamed_on_the_branch_it_came_from() -> None:
    parent = open_branch(State())
    step(parent, "before", lambda c: c.entries.update(b=0))
    x, y = parent.fork(), parent.fork()
    step(x, "p/x/inner", lambda c: c.entries.update(x=1))
    x.context.items.append("x")
    y.context.items.append("y")
    y.context.entries["y"] = 1
    merge(parent, [("x", x, Origin(step="p/x", branch="x")), ("y", y, Origin(step="p/y", branch="y"))])
    assert author(parent, "entries['x']") == "p/x/inner"
    assert author(parent, "entries['y']") == "p/y"
    assert author(parent, "entries['b']") == "before"
    assert author(parent, "items[2]") == "p/x"
    assert author(parent, "items[3]") == "p/y"
    assert author(parent, "items[0]") is None
    step(parent, "after", lambda c: setattr(c, "a", 1))
    assert author(parent, "items[3]") == "p/y"


def test_whoever_lost_a_merge_is_not_blamed() -> None:
    parent = open_branch(State())
    x, y = parent.fork(), parent.fork()
    x.context.a, y.context.a = 1, 2
    merge(parent, [("x", x, Origin(step="x")), ("y", y, Origin(step="y"))], strategy=MergeStrategy.KEEP_FIRST)
    assert author(parent, "a") == "x"


def test_an_origin_says_in_words_what_it_knows() -> None:
    assert (
        str(Origin(step="p/a", branch="x", iteration=2, attempt=1)) == "step 'p/a', branch 'x', iteration 2, attempt 1"
    )
    assert str(Origin()) == "a step without a name"


def test_what_blame_keeps_alive_is_bounded_and_condensed_writings_still_tell() -> None:
    parent = open_branch(State(entries={str(number): 0 for number in range(50_000)}))
    step(parent, "first", lambda c: c.entries.update({"0": 1, "new": 1}))
    step(parent, "second", lambda c: c.items.insert(0, "k"))
    writing = parent._state.writings  # pyright: ignore[reportPrivateUsage]
    while writing is not None:
        if isinstance(writing, Writing):
            writing.condense()
        writing = writing.previous
    assert author(parent, "entries['0']") == "first"
    assert author(parent, "entries['new']") == "first"
    assert author(parent, "entries['1']") is None
    assert author(parent, "items[0]") == "second"
    assert author(parent, "items[1]") is None


def test_a_run_condenses_its_oldest_writings_when_large_states_pile_up() -> None:
    memory = Memory()
    writings = [Writing(None, None, None, None, None, 3_000_000) for _ in range(3)]
    for writing in writings:
        memory.keep(writing)
    assert [writing.change is not None for writing in writings] == [True, True, False]
