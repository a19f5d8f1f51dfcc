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
from hypothesis import assume, given
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
from flujo_actors.errors import MergeConflict, MergeConflictError

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
    count: Any = 0
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
    number: Any = 0  # not int: a merge validates, and plain Python does not
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


def holds_itself(context: Any) -> bool:
    """Whether a declared collection is among its own items: a limit that docs/explanation/contexts.md states."""
    collections = [getattr(context, name, ()) for name in ("big", "long")]
    return any(
        item is each
        for each in collections
        for item in (each.values() if isinstance(each, dict | ContextMap) else each)
    )


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
        assume(not holds_itself(reference))
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


# Three-way merges of generated contexts. The reference knows nothing of nodes: each branch is a deep copy that is
# changed alongside, and all of it is compared with the base.
#
# What one branch did to a list is told from before and after, by one rule: with equal lengths each index is on its
# own. With different lengths, items came or went between what both lists begin and end with; or the items up to the
# shorter's end were written over, and the rest appended or cut off, if that leaves no fewer items in place. "In place"
# is: the same object, changed or not, or an atom of equal type and value. A ContextList is left out: it knows more,
# because it remembers what was written and what was appended.

ABSENT = object()
Splice = tuple[int, int, list[Any]]
"""Items from an index to another, exclusive, gave way to these."""
Reading = tuple[dict[int, Any], Splice | None]
"""What was written in place, by index, and what came or went."""
tree_operations = st.tuples(st.lists(st.integers(0, 11), max_size=4), st.integers(0, 26), st.integers(0, 5), values)
tree_programs = st.lists(tree_operations, max_size=3)


def _tree_roots() -> st.SearchStrategy[Any]:
    large: dict[str, Any] = {
        "tags": st.sets(st.integers(0, 5), max_size=3),
        "big": st.dictionaries(keys, values, max_size=3),
    }
    return st.one_of(
        st.builds(Root, **plain_fields, **large),
        st.builds(OpenRoot, **plain_fields, **large),
        st.builds(DataRoot, **plain_fields),
        st.builds(ModelRoot, **plain_fields),
        st.dictionaries(keys, values, min_size=1, max_size=4),
    ).map(copy.deepcopy)  # hypothesis may use one generated object in two places


@attrs.frozen
class Branching:
    """What a branch does: a program, and then perhaps branches of its own that it merges."""

    program: list[Any]
    children: list[Any]
    order: list[int]
    seals: bool


def _branching(depth: int, programs: st.SearchStrategy[Any] = tree_programs) -> st.SearchStrategy[Branching]:
    children: st.SearchStrategy[list[Branching]] = st.just([])
    if depth:
        children = st.lists(_branching(depth - 1, programs), max_size=3)
    return children.flatmap(
        lambda made: st.builds(
            Branching,
            program=programs,
            children=st.just(made),
            order=st.permutations(range(len(made))),
            seals=st.booleans(),
        )
    )


class Lineages:
    """Which objects of the deep copies are one object to the user."""

    def __init__(self) -> None:
        self._tokens: dict[int, Any] = {}
        self._kept: list[Any] = []

    def copy(self, value: Any) -> Any:
        memo: dict[int, Any] = {}
        copied = copy.deepcopy(value, memo)
        for key, made in memo.items():
            if key != id(memo):
                self._tokens[id(made)] = self._tokens.setdefault(key, object())
        self._kept += [value, memo]
        return copied

    def are_one(self, one: Any, other: Any) -> bool:
        if is_atom(one) or is_atom(other):
            return not differs(one, other)
        self._kept += [one, other]
        return bool(self._tokens.setdefault(id(one), object()) is self._tokens.setdefault(id(other), object()))


def is_atom(value: Any) -> bool:
    if value is ABSENT or value is None or isinstance(value, bool | int | float | str):
        return True
    return isinstance(value, tuple | Fixed) and all(is_atom(part) for part in contents(value).values())


def contents(value: Any) -> dict[Any, Any]:
    if isinstance(value, MutableMapping):
        return dict(value.items())
    if isinstance(value, set):
        return dict.fromkeys(value)
    if isinstance(value, list | tuple | deque):
        return dict(enumerate(value))
    return {name: read() for name, read in parts_of(value)}


def differs(one: Any, other: Any) -> bool:
    if one is ABSENT or other is ABSENT or type(one) is not type(other):
        return one is not other
    if one is None or isinstance(one, bool | int | float | str):
        return bool(picture(one) != picture(other))
    if isinstance(one, pydantic.BaseModel) and one.model_fields_set != other.model_fields_set:
        return True  # a model remembers which fields were set, also to the value that they had
    mine, theirs = contents(one), contents(other)
    return mine.keys() != theirs.keys() or any(differs(mine[key], theirs[key]) for key in mine)


def holds_number(value: Any) -> bool:
    if isinstance(value, deque):
        return True  # nobody looks into it
    if isinstance(value, int | float) and not isinstance(value, bool):
        return True
    if is_atom(value) and not isinstance(value, tuple | Fixed):
        return False
    parts = value if isinstance(value, set) else contents(value).values()
    return any(holds_number(part) for part in parts)


def is_edit(base: Any, new: Any) -> bool:
    """Whether a value can have come from another one by changes inside it."""
    return type(base) is type(new) and not is_atom(base) and not is_atom(new) and not isinstance(base, tuple | deque)


class Reference:
    """One merge. What several branches changed is put together in the base's own objects."""

    def __init__(self, lineages: Lineages) -> None:
        self.conflicts: list[str] = []
        self._lineages = lineages

    def at(self, path: str, base: Any, branches: list[Any]) -> Any:
        changed = [value for value in branches if differs(base, value)]
        if len(changed) < 2:
            return changed[0] if changed else base
        ours, others = changed[0], [changed[0]]
        for theirs in changed[1:]:
            if is_edit(base, ours) and is_edit(base, theirs):
                others.append(theirs)
            elif base is ABSENT and type(ours) is type(theirs) and isinstance(ours, dict | list | set):
                ours = self._inside(path, type(ours)(), [ours, theirs])
            elif not self._agree(ours, theirs):
                self.conflicts.append(path)
        if not is_edit(base, ours):
            return ours
        return others[0] if len(others) == 1 else self._inside(path, base, others)

    def _agree(self, ours: Any, theirs: Any) -> bool:
        if ours is ABSENT or theirs is ABSENT:
            return ours is theirs
        return not holds_number(ours) and not differs(ours, theirs)

    def _inside(self, path: str, base: Any, branches: list[Any]) -> Any:
        if isinstance(base, set):
            removed = {element for element in base if any(element not in branch for branch in branches)}
            added = set().union(*branches)
            return type(base)((base | added) - removed)
        if isinstance(base, list):
            return self._list(path, base, branches)
        for key in dict.fromkeys([*contents(base), *(key for branch in branches for key in contents(branch))]):
            is_key = isinstance(base, MutableMapping)
            below = f"{path}[{key!r}]" if is_key else f"{path}.{key}"
            value = self.at(
                below, contents(base).get(key, ABSENT), [contents(branch).get(key, ABSENT) for branch in branches]
            )
            if not is_key:
                object.__setattr__(base, key, value)
            elif value is ABSENT:
                base.pop(key, None)
            else:
                base[key] = value
        return base

    # Lists.

    def _list(self, path: str, base: list[Any], branches: list[Any]) -> list[Any]:
        writes: dict[int, list[Any]] = {}
        splices: list[Splice] = []
        for branch in branches:
            self._take(path, base, (writes, splices), self._read(base, branch))
        merged = [self.at(f"{path}[{index}]", item, writes.get(index, [])) for index, item in enumerate(base)]
        for start, stop, items in sorted(splices, key=operator.itemgetter(0, 1))[::-1]:
            merged[start:stop] = items
        base[:] = merged
        return base

    def _take(
        self, path: str, base: list[Any], so_far: tuple[dict[int, list[Any]], list[Splice]], read: Reading
    ) -> None:
        """Put what one more branch did to a list with what the others did."""
        (writes, splices), (written, splice) = so_far, read
        taken = {index for start, stop, _ in splices for index in range(start, stop)}
        self.conflicts += [f"{path}[{index}]" for index in written if index in taken]
        untouched = dict(writes)
        for index in written.keys() - taken:
            writes[index] = [*writes.get(index, []), written[index]]
        if splice is None:
            return
        start, stop, _ = splice
        for other_start, other_stop, _ in splices:
            if start == other_start == len(base):
                continue
            if start == other_start or (start < other_stop and other_start < stop):
                self.conflicts.append(f"{path}[{start}]")
                return
        crossed = [index for index in untouched if start <= index < stop]
        self.conflicts += [f"{path}[{index}]" for index in crossed]
        if not crossed:
            splices.append(splice)

    def _read(self, base: list[Any], new: list[Any]) -> Reading:
        """What was written in place, by index, and which items gave way to which."""
        shorter = min(len(base), len(new))
        places = {index: index for index in range(shorter)}
        splice: Splice | None = (shorter, len(base), new[shorter:])
        if len(base) == len(new):
            splice = None
        else:
            same = self._lineages.are_one
            start = next((n for n in range(shorter) if not same(base[n], new[n])), shorter)
            end = next((n for n in range(shorter - start) if not same(base[-1 - n], new[-1 - n])), shorter - start)
            kept_in_place = sum(same(base[n], new[n]) for n in range(shorter))
            if start + end == len(base) or start + end > kept_in_place:
                shift = len(new) - len(base)
                places = {n: n if n < start else n + shift for n in (*range(start), *range(len(base) - end, len(base)))}
                splice = (start, len(base) - end, new[start : len(new) - end])
        return {n: new[m] for n, m in places.items() if differs(base[n], new[m])}, splice


def live_through(branch: ContextBranch, reference: Any, story: Branching, lineages: Lineages) -> Any:
    """Do the same to a branch and to plain objects. Returns the plain context."""
    attempt(branch.context, story.program)
    attempt(reference, story.program)
    if not story.children:
        return reference
    names = [f"branch {number}" for number in range(len(story.children))]
    children = [branch.fork() for _ in names]
    references = [lineages.copy(reference) for _ in names]
    for number in story.order:
        references[number] = live_through(children[number], references[number], story.children[number], lineages)
        if story.children[number].seals:
            children[number].snapshot()
    before = picture(branch.publish())
    if story.seals:
        picture(branch.context)  # the parent reads everything after the fork
    merged = Reference(lineages)
    trial = lineages.copy(reference)
    result = merged.at("", trial, references)
    named = [(name, child, Origin(branch=name)) for name, child in zip(names, children, strict=True)]
    if len(children) == 1:
        result, merged.conflicts = references[0], []
    conflicts = conflicts_of(branch, named)
    assert {conflict.path for conflict in conflicts} == {path.removeprefix(".") for path in merged.conflicts}
    for conflict in conflicts:
        assert conflict.branches[0] != conflict.branches[1]
        assert set(conflict.branches) <= set(names)
    if conflicts:
        assert picture(branch.publish()) == before
        return reference
    assert picture(branch.publish()) == picture(result)
    assert picture(branch.context) == picture(result)
    return result


def conflicts_of(branch: ContextBranch, named: list[Any]) -> tuple[MergeConflict, ...]:
    try:
        merge(branch, named)
    except MergeConflictError as error:
        return error.conflicts
    return ()


@given(_tree_roots(), _branching(2))
def test_laws_4_and_5_any_tree_of_branches_merges_as_the_reference_does_or_conflicts_at_the_same_paths(
    context: Any, story: Branching
) -> None:
    live_through(start(context), copy.deepcopy(context), story, Lineages())


def _outcome(context: Any, story: Branching, *, shuffled: bool) -> list[Any]:
    parent = start(context)
    told: list[Any] = []
    _tell(parent, story, told, shuffled=shuffled)
    return [*told, picture(parent.publish()), picture(parent.context)]


def _tell(branch: ContextBranch, story: Branching, told: list[Any], *, shuffled: bool) -> None:
    attempt(branch.context, story.program)
    children = [branch.fork() for _ in story.children]
    below: list[list[Any]] = [[] for _ in children]
    for number in story.order if shuffled else range(len(children)):
        _tell(children[number], story.children[number], below[number], shuffled=shuffled)
        if shuffled and story.children[number].seals:
            children[number].snapshot()
    told += itertools.chain.from_iterable(below)
    before = picture(branch.publish())
    conflicts = conflicts_of(branch, [(str(number), child, None) for number, child in enumerate(children)])
    if conflicts:
        told.append([(conflict.path, conflict.branches) for conflict in conflicts])
        assert picture(branch.publish()) == before


def _branching_with_aliases(depth: int) -> st.SearchStrategy[Branching]:
    return _branching(depth, st.lists(operations, max_size=3))


@given(contexts(), _branching_with_aliases(2))
def test_law_4_with_aliases_and_cycles_too_the_outcome_does_not_depend_on_who_finishes_first(
    context: Any, story: Branching
) -> None:
    assert _outcome(context, story, shuffled=True) == _outcome(context, story, shuffled=False)


@given(st.lists(st.permutations("abcdefgh"), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_new_keys_come_in_declared_order_after_those_there_were(orders: list[list[str]], random: Any) -> None:
    parent = start({"entries": {"z": 0, "y": 1}, "z": 0})
    branches = [parent.fork() for _ in orders]
    expected = ["z", "y"]
    for number, order in random.sample(list(enumerate(orders)), len(orders)):
        for name in order[:3]:
            branches[number].context["entries"][f"{name}{number}"] = branches[number].context[f"{name}{number}"] = 1
    merge(parent, [(str(number), branch, None) for number, branch in enumerate(branches)])
    for number, order in enumerate(orders):
        expected += [f"{name}{number}" for name in order[:3]]
    assert list(parent.publish()["entries"]) == expected
    assert list(parent.context) == ["entries", "z", *expected[2:]]
