"""The seven laws of contexts, each against a plain reference made of `copy.deepcopy` and full comparison.

Contexts, operations and branch trees are generated. An operation walks a path through whatever it finds there, so
the same operation does the same to a branch and to the reference, and touches nothing beside its path.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
import operator
from collections import OrderedDict, deque
from collections.abc import Callable, MutableMapping, MutableSequence
from functools import partial
from typing import Any

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.context import (
    ContextBranch,
    ContextList,
    ContextMap,
    MergeStrategy,
    Origin,
    apply_delta,
    merge,
    open_branch,
)
from flujo_actors.errors import MergeConflictError

EXAMPLES = itertools.count()
"""How many examples have been tried; `make fuzz` prints it."""


@attrs.define
class Slotted:
    number: int = 0
    anything: Any = None
    items: list[Any] = attrs.Factory(list)


@attrs.define(slots=False)
class Open:
    entries: dict[str, Any] = attrs.Factory(dict)
    inner: Any = None


@dataclasses.dataclass
class Plain:
    text: str = ""
    parts: list[Any] = dataclasses.field(default_factory=list)
    other: Any = 7


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    count: int = 0
    notes: Any = None


class Ordinary:
    def __init__(self, value: Any) -> None:
        self.value = value
        self.more: list[Any] = []


@attrs.frozen
class Fixed:
    mark: str
    held: Any = None


@attrs.define
class Root:
    number: int = 0
    numbers: list[Any] = attrs.Factory(list)
    entries: dict[Any, Any] = attrs.Factory(dict)
    tags: set[Any] = attrs.Factory(set)
    left: Any = None
    right: Any = None
    big: MutableMapping[Any, Any] = attrs.Factory(dict)
    long: MutableSequence[Any] = attrs.Factory(list)


@attrs.define(slots=False)
class OpenRoot(Root):
    pass


@dataclasses.dataclass
class DataRoot:
    number: int = 0
    numbers: list[Any] = dataclasses.field(default_factory=list)
    entries: dict[Any, Any] = dataclasses.field(default_factory=dict)
    left: Any = None
    right: Any = None


class ModelRoot(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True)
    number: int = 0
    numbers: list[Any] = []
    entries: dict[Any, Any] = {}
    left: Any = None
    right: Any = None


# Generated contexts.

atoms = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 1000), st.sampled_from(["a", "b", "long text"]), st.just(math.nan),
    st.just((1, "x")), st.just(Fixed("f")),
)  # fmt: skip
keys = st.sampled_from(["a", "b", "c", "d"])


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(keys, inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3).map(OrderedDict),
        st.sets(st.integers(0, 5), max_size=3),
        st.builds(Slotted, number=st.integers(0, 9), anything=inner, items=st.lists(inner, max_size=2)),
        st.builds(Open, entries=st.dictionaries(keys, inner, max_size=2), inner=inner),
        st.builds(Plain, parts=st.lists(inner, max_size=2)),
        st.builds(Model, notes=inner),
        st.builds(Ordinary, inner),
        st.builds(Fixed, st.just("m"), inner),
        st.tuples(inner, inner),
        st.lists(st.integers(), max_size=3).map(deque),
    )


values = st.recursive(atoms, _containers, max_leaves=8)
plain_fields = {
    "number": st.integers(0, 9),
    "numbers": st.lists(values, max_size=4),
    "entries": st.dictionaries(keys, values, max_size=3),
    "left": values,
    "right": values,
}


def _roots() -> st.SearchStrategy[Any]:
    large: dict[str, Any] = {
        "tags": st.sets(st.integers(0, 5), max_size=3),
        "big": st.dictionaries(keys, values, max_size=3),
        "long": st.lists(values, max_size=3),
    }
    return st.one_of(
        st.builds(Root, **plain_fields, **large),
        st.builds(OpenRoot, **plain_fields, **large),
        st.builds(DataRoot, **plain_fields),
        st.builds(ModelRoot, **plain_fields),
        st.dictionaries(keys, values, min_size=1, max_size=4),
    )


@st.composite
def contexts(draw: st.DrawFn) -> Any:
    """A context, often with an object reachable by two paths or a cycle."""
    root = draw(_roots())
    if not isinstance(root, dict) and draw(st.booleans()):
        shared = draw(_containers(atoms))
        root.left = shared
        root.right = draw(st.sampled_from([shared, [shared, shared], Slotted(anything=shared), {"a": shared}]))
        if draw(st.booleans()):
            root.entries["a"] = root if draw(st.booleans()) else root.entries
    return root


operations = st.tuples(st.lists(st.integers(0, 11), max_size=4), st.integers(0, 30), st.integers(0, 5), values)
programs = st.lists(operations, max_size=6)


# Walking and changing, the same for a branch and for plain objects.


def parts_of(value: Any) -> list[tuple[Any, Callable[[], Any]]]:
    """The places below a value: (name or key, how to read it)."""
    if isinstance(value, MutableMapping):
        # By name: a ContextMap has a key that was removed and set again in its old place, a dict at its end.
        return [(key, partial(operator.getitem, value, key)) for key in sorted(value)]
    if isinstance(value, MutableSequence | tuple) and not isinstance(value, deque | bytearray):
        return [(index, partial(operator.getitem, value, index)) for index in range(len(value))]
    if attrs.has(type(value)):
        names = [field.name for field in attrs.fields(type(value))]
    elif dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    elif isinstance(value, pydantic.BaseModel):
        names = list(type(value).model_fields)
    elif isinstance(value, Ordinary):
        names = ["value", "more"]
    else:
        names = []
    return [(name, partial(getattr, value, name)) for name in names]


def _walk(context: Any, steps: list[int]) -> Any:
    here = context
    for step in steps:
        places = parts_of(here)
        if not places:
            break
        below = places[step % len(places)][1]()
        if not parts_of(below) and not isinstance(below, MutableSequence | MutableMapping | set | deque):
            break
        here = below
    return here


def perform(context: Any, operation: tuple[list[int], int, int, Any]) -> None:
    """Change a context somewhere. What is impossible there does nothing, or raises, on both sides alike."""
    steps, kind, number, value = operation
    value = copy.deepcopy(value)
    here = _walk(context, steps)
    if kind >= 27 and not isinstance(here, Fixed):
        value = _walk(context, steps[1:])  # something that is in the context already: an alias, or a cycle
    if isinstance(here, deque):
        here.append(number)
    elif isinstance(here, set):
        (here.add, here.discard)[kind % 2](number)
    elif isinstance(here, MutableMapping):
        _change_mapping(here, kind, number, value)
    elif isinstance(here, MutableSequence):
        _change_sequence(here, kind, number, value)
    elif not isinstance(here, Fixed | tuple):
        _change_object(here, kind, number, value)


def _change_mapping(here: Any, kind: int, number: int, value: Any) -> None:
    key = "abcdef"[number]
    match kind % 6:
        case 0 | 1 | 2:
            here[key] = value
        case 3:
            here.pop(key, None)
        case 4 if kind == 4:
            here.clear()
        case _:
            if key in here:  # popped, changed, put back
                popped = here.pop(key)
                if isinstance(popped, MutableSequence):
                    popped.append(number)
                here[key] = popped


def _change_sequence(here: Any, kind: int, number: int, value: Any) -> None:
    size = len(here)
    match kind % 10:
        case 0 | 1:
            here.append(value)
        case 2 if size:
            here[number % size] = value
        case 3 if size:
            here.pop(number % size)
        case 4:
            here.insert(number, value)
        case 5 if size:
            here[: number % size] = [value, number]
        case 6:
            here.reverse()
        case 7:
            here.sort(key=repr_without_addresses)
        case 8 if size:
            item = here.pop()
            if isinstance(item, MutableSequence):
                item.append(number)
            here.insert(0, item)
        case _ if kind == 9:
            here.clear()
        case _:
            here.extend([number, number])


def repr_without_addresses(value: Any) -> str:
    return type(value).__name__ + (repr(value) if isinstance(value, int | str) else "")


def _change_object(here: Any, kind: int, number: int, value: Any) -> None:
    places = [name for name, _ in parts_of(here)]
    if not places:
        return
    name = places[number % len(places)]
    present = getattr(here, name)
    if kind % 3 == 0 and isinstance(present, int):
        setattr(here, name, present - number)
    elif not isinstance(present, MutableMapping | MutableSequence | set) or kind >= 25:
        setattr(
            here,
            name,
            value if name not in {"numbers", "entries", "items", "parts", "big", "long"} else present,
        )


# Comparison: as the same graph, aliases and cycles included.


def picture(value: Any) -> Any:
    """Plain data that is equal for two values exactly if they are equal, and share objects, alike."""
    return _Picture().of(value)


class _Picture:
    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.kept: list[Any] = []

    def of(self, value: Any) -> Any:  # noqa: PLR0911 - one clause for each kind
        if isinstance(value, float) and math.isnan(value):
            return "NaN"
        if value is None or isinstance(value, bool | int | float | str):
            return (type(value).__name__, value)
        if type(value) is Fixed and value.held is None:
            return ("atom", value.mark)
        if type(value) is tuple and value == (1, "x"):
            return "atom tuple"
        if id(value) in self.seen:
            return ("again", self.seen[id(value)])
        self.seen[id(value)] = len(self.seen)
        self.kept.append(value)
        if isinstance(value, set):
            return ("set", sorted(value))
        if isinstance(value, deque):
            return ("deque", list(value))
        if isinstance(value, dict | ContextMap):
            return ("mapping", sorted((key, self.of(value[key])) for key in sorted(value)))
        if isinstance(value, list | tuple | ContextList):
            return ("sequence", [self.of(item) for item in value])
        return (value.__class__.__name__, [(name, self.of(read())) for name, read in parts_of(value)])


def attempt(context: Any, program: list[Any]) -> None:
    """Run a program, keeping on after what a plain object refuses too."""
    for operation in program:
        try:
            perform(context, operation)
        except (TypeError, ValueError, IndexError, KeyError, AttributeError):
            continue


def start(context: Any) -> ContextBranch:
    next(EXAMPLES)
    return open_branch(context)


# The laws.


@given(contexts(), programs, programs, programs)
def test_law_1_neither_side_sees_what_the_other_does_after_the_fork(
    context: Any, before: list[Any], by_child: list[Any], by_parent: list[Any]
) -> None:
    parent = start(context)
    original = picture(context)
    reference = copy.deepcopy(context)
    attempt(parent.context, before)
    attempt(reference, before)
    child, sibling = parent.fork(), parent.fork()
    reference_child = copy.deepcopy(reference)
    untouched = picture(reference)
    attempt(child.context, by_child)
    attempt(reference_child, by_child)
    assert picture(parent.context) == untouched
    attempt(parent.context, by_parent)
    attempt(reference, by_parent)
    assert picture(child.context) == picture(reference_child)
    assert picture(parent.context) == picture(reference)
    assert picture(sibling.context) == untouched
    assert picture(context) == original


@given(contexts(), st.lists(st.tuples(programs, st.booleans()), max_size=4))
def test_law_2_a_failed_attempt_leaves_no_trace(context: Any, attempts: list[tuple[list[Any], bool]]) -> None:
    parent = start(context)
    reference = copy.deepcopy(context)
    for program, succeeds in attempts:
        child = parent.fork()
        assert picture(child.context) == picture(reference)
        attempt(child.context, program)
        if succeeds:
            attempt(reference, program)
            parent.adopt(child)
    assert picture(parent.context) == picture(reference)


@given(contexts(), st.lists(st.tuples(programs, programs), max_size=4))
def test_law_3_a_sequence_of_nested_children_leaves_what_plain_python_would_have_left(
    context: Any, children: list[tuple[list[Any], list[Any]]]
) -> None:
    parent = start(context)
    reference = copy.deepcopy(context)
    for outer, inner in children:
        child = parent.fork()
        attempt(child.context, outer)
        grandchild = child.fork()
        attempt(grandchild.context, inner)
        child.adopt(grandchild)
        parent.adopt(child)
        attempt(reference, outer)
        attempt(reference, inner)
        assert picture(parent.context) == picture(reference)
    assert picture(parent.publish()) == picture(reference)
    assert type(parent.publish()) is type(context)


@given(contexts(), programs, programs)
def test_law_6_aliases_and_cycles_are_one_object_in_a_branch_and_after_it(
    context: Any, first: list[Any], second: list[Any]
) -> None:
    parent = start(context)
    reference = copy.deepcopy(context)
    for program in (first, second):
        child = parent.fork()
        attempt(child.context, program)
        attempt(reference, program)
        parent.adopt(child)
    assert picture(parent.publish()) == picture(reference)


@given(contexts(), programs, st.lists(st.integers(0, 11), max_size=4), programs)
def test_law_7_references_kept_by_user_code_no_longer_reach_the_context(
    context: Any, program: list[Any], steps: list[int], later: list[Any]
) -> None:
    parent = start(context)
    child = parent.fork()
    attempt(child.context, program)
    kept_root, kept = child.context, _walk(child.context, steps)
    below = [read() for _, read in parts_of(kept)]
    parent.adopt(child)
    expected = picture(parent.publish())
    attempt(kept_root, later)
    for value in (kept, *below):
        attempt(value, later)
        if isinstance(value, MutableSequence):
            value.append("from outside")
    assert picture(parent.publish()) == expected
    assert picture(parent.context) == expected
    assert picture(parent.fork().context) == expected


@given(contexts(), programs, programs, programs)
def test_a_snapshot_stays_as_it_was_when_the_branch_has_moved_on(
    context: Any, first: list[Any], second: list[Any], to_snapshot: list[Any]
) -> None:
    parent = start(context)
    for program in (first, second):
        child = parent.fork()
        attempt(child.context, program)
        parent.adopt(child)
        snapshot, expected = parent.snapshot(), picture(parent.publish())
        following = parent.fork()
        attempt(following.context, to_snapshot)
        parent.adopt(following)
        assert picture(snapshot) == expected
        after = picture(parent.publish())
        attempt(snapshot, to_snapshot)
        assert picture(parent.publish()) == after


# Three-way merges, on contexts in which each operation has a path of its own to name.

leaf_writes = st.one_of(
    st.tuples(st.just("set"), keys, st.one_of(st.integers(0, 3), st.sampled_from(["x", "y"]), st.none())),
    st.tuples(st.just("delete"), keys, st.none()),
    # Values of their own, or nobody could tell [2, 1, 2] with an item written over from one with an item put before.
    st.tuples(st.just("append"), keys, st.integers(10, 19)),
    st.tuples(st.just("item"), keys, st.integers(20, 29)),
    st.tuples(st.just("add"), keys, st.integers(0, 9)),
    st.tuples(st.just("discard"), keys, st.integers(0, 9)),
    st.tuples(st.just("nested"), keys, st.integers(0, 9)),
)


@attrs.define
class Board:
    cells: dict[str, Any] = attrs.Factory(lambda: {"a": 0, "b": "x", "c": None})
    lists: dict[str, list[int]] = attrs.Factory(lambda: {key: [1, 2] for key in "abcd"})
    sets: dict[str, set[int]] = attrs.Factory(lambda: {key: {1, 2, 3} for key in "abcd"})
    nested: dict[str, Slotted] = attrs.Factory(lambda: {key: Slotted() for key in "abcd"})
    big: MutableMapping[str, Any] = attrs.Factory(lambda: {"a": 0, "b": "x", "c": None})


def write(board: Board, operation: tuple[str, str, Any]) -> None:
    kind, key, value = operation
    match kind:
        case "set":
            board.cells[key] = value
            board.big[key] = value
        case "delete":
            board.cells.pop(key, None)
            board.big.pop(key, None)
        case "append":
            board.lists[key].append(value)
        case "item":
            board.lists[key][0] = value
        case "add":
            board.sets[key].add(value)
        case "discard":
            board.sets[key].discard(value)
        case _:
            board.nested[key].number = value
            board.nested[key].items.append(value)


class ReferenceConflictError(Exception):
    pass


def reference_merge(base: Board, branches: list[Board]) -> Board:
    """By full comparison, path by path."""
    return Board(
        *(
            {
                key: value
                for key in dict.fromkeys([*getattr(base, name), *(k for b in branches for k in getattr(b, name))])
                if (
                    value := merge_one(
                        getattr(base, name).get(key, "absent"),
                        [getattr(b, name).get(key, "absent") for b in branches],
                    )
                )
                != "absent"
            }
            for name in ("cells", "lists", "sets", "nested", "big")
        )
    )


def merge_one(base: Any, theirs: list[Any]) -> Any:
    if isinstance(base, set):
        return (base | set().union(*theirs)) - {x for x in base for branch in theirs if x not in branch}
    if isinstance(base, list):
        begun = [merge_one(base[i], [branch[i] for branch in theirs]) for i in range(len(base))]
        return begun + [item for branch in theirs for item in branch[len(base) :]]
    if isinstance(base, Slotted):
        return Slotted(
            merge_one(base.number, [b.number for b in theirs]),
            None,
            merge_one(base.items, [b.items for b in theirs]),
        )
    changed = [value for value in theirs if (type(value), value) != (type(base), base)]
    if len(changed) > 1 and (any(type(v) is int for v in changed) or len({repr(v) for v in changed}) > 1):
        raise ReferenceConflictError
    return changed[0] if changed else base


@given(st.lists(st.lists(leaf_writes, max_size=4), min_size=1, max_size=4), st.randoms())
def test_laws_4_and_5_branches_merge_by_path_as_the_reference_does_or_conflict_where_it_does(
    programs: list[list[tuple[str, str, Any]]], random: Any
) -> None:
    base = Board()
    parent = start(base)
    references = [copy.deepcopy(base) for _ in programs]
    branches = [(str(number), parent.fork(), Origin(branch=str(number))) for number in range(len(programs))]
    order = list(range(len(programs)))
    random.shuffle(order)
    for number in order:
        for operation in programs[number]:
            write(branches[number][1].context, operation)
            write(references[number], operation)
    before = picture(parent.publish())
    try:
        expected = reference_merge(base, references)
    except ReferenceConflictError:
        with pytest.raises(MergeConflictError) as caught:
            merge(parent, branches)
        assert str(caught.value).startswith("Merge conflict for key '")
        assert picture(parent.publish()) == before
        return
    merge(parent, branches)
    assert picture(parent.publish()) == picture(expected)
    assert picture(parent.context) == picture(expected)


@given(st.lists(leaf_writes, max_size=4), st.lists(leaf_writes, max_size=4), st.permutations([0, 1, 2]))
def test_law_4_the_outcome_does_not_depend_on_who_finishes_first_at_any_depth(
    one: list[Any], other: list[Any], order: list[int]
) -> None:
    outcomes: list[Any] = []
    for sequence in ([0, 1, 2], order):
        parent = start(Board())
        branches = [parent.fork() for _ in range(3)]
        for number in sequence:
            for program in (one, other)[: number + 1]:
                child = branches[number].fork()
                for kind, key, value in program:
                    write(child.context, (kind, f"{key}" if kind != "set" else "abcd"[number], value))
                branches[number].adopt(child)
        try:
            merge(parent, [(str(n), branch, None) for n, branch in enumerate(branches)])
        except MergeConflictError as error:
            outcomes.append(str(error))
        outcomes.append(picture(parent.publish()))
    assert outcomes[: len(outcomes) // 2] == outcomes[len(outcomes) // 2 :]


@given(contexts(), programs)
def test_law_5_a_branch_that_changes_nothing_never_conflicts_with_one_that_does(
    context: Any, program: list[Any]
) -> None:
    parent = start(context)
    reference = copy.deepcopy(context)
    reader, writer = parent.fork(), parent.fork()
    picture(reader.context)  # reads everything there is
    attempt(writer.context, program)
    attempt(reference, program)
    merge(parent, [("reader", reader, None), ("writer", writer, None)])
    assert picture(parent.publish()) == picture(reference)
    both = [parent.fork(), parent.fork()]
    for branch in both:
        picture(branch.context)
    merge(
        parent,
        [(str(n), branch, None) for n, branch in enumerate(both)],
        strategy=MergeStrategy.ERROR_ON_CONFLICT,
    )
    assert picture(parent.publish()) == picture(reference)


@given(st.lists(leaf_writes, max_size=6))
def test_a_delta_applied_to_the_state_it_was_taken_from_gives_the_state_it_was_taken_of(
    program: list[Any],
) -> None:
    parent = start(Board())
    child, other = parent.fork(), parent.fork()
    for operation in program:
        write(child.context, operation)
    apply_delta(other, child.delta())
    assert picture(other.publish()) == picture(child.publish())
