"""ContextMap, ContextList and Log: the interfaces of what they stand for, and no more than they can keep."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownLambdaType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import MutableMapping, MutableSequence
from typing import Any

import attrs
import cattrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.context import (
    ContextBranch,
    ContextList,
    ContextMap,
    Log,
    configure_converter,
    context,
    merge,
    open_branch,
    plain,
)
from flujo_actors.errors import ContextError, MergeConflictError


@context
class Large:
    entries: dict[str, Any] = attrs.Factory(dict)
    items: list[Any] = attrs.Factory(list)
    log: Log[Any] = attrs.Factory(Log)
    mapping: MutableMapping[str, Any] = attrs.Factory(dict)


@attrs.define
class Annotated:
    mapping: MutableMapping[str, Any] = attrs.Factory(dict)
    sequence: MutableSequence[Any] = attrs.Factory(list)


@attrs.define
class Item:
    n: int


@attrs.define
class Stored:
    entries: ContextMap[str, Item]
    items: ContextList[Item]
    log: Log[int]


def adopted(parent: ContextBranch, change: Any) -> None:
    child = parent.fork()
    change(child.context)
    parent.adopt(child)


def test_the_decorator_makes_collections_of_dict_and_list_fields_and_results_are_plain() -> None:
    made: Any = Large({"a": 1}, [1])
    assert isinstance(made.entries, ContextMap)
    assert isinstance(made.items, ContextList)
    branch = open_branch(made)
    assert type(branch.context.entries) is ContextMap
    branch.context.items = [5]
    branch.context.log.append("entry")
    result = branch.publish()
    assert type(plain(result.entries)) is dict
    assert plain(result.items) == [5]
    assert plain(result.log) == ["entry"]


def test_fields_annotated_mutable_mapping_and_sequence_opt_in() -> None:
    branch = open_branch(Annotated({"a": 1}, [1]))
    assert type(branch.context.mapping) is ContextMap
    assert type(branch.context.sequence) is ContextList
    result = branch.publish()
    assert type(result.mapping) is dict
    assert type(result.sequence) is list


map_operations = st.lists(
    st.tuples(st.sampled_from(["set", "pop", "get", "clear", "setdefault", "update", "popitem"]), st.integers(0, 8))
)


def change_map(target: Any, operation: tuple[str, int]) -> Any:
    kind, number = operation
    match kind:
        case "set":
            target[number] = number
        case "pop":
            return target.pop(number, None)
        case "get":
            return target.get(number), number in target, len(target)
        case "clear" if number == 0:
            target.clear()
        case "setdefault":
            return list(target.setdefault(number + 100, [1]))
        case "update":
            target.update({number: "u", number + 1: "v"})
        case _:
            found = target.get(number + 100)
            if found is not None:
                found.append(number)
    return None


@given(st.dictionaries(st.integers(0, 8), st.integers()), st.lists(map_operations, max_size=4))
def test_a_map_does_what_a_dict_does_through_any_number_of_hand_ups(start: dict[int, Any], rounds: list[Any]) -> None:
    parent, reference = open_branch(Annotated(dict(start))), dict(start)  # type: ignore[arg-type]
    snapshots: list[tuple[Any, Any]] = []
    for operations in rounds:
        child, sibling = parent.fork(), parent.fork()
        for operation in operations:
            assert change_map(child.context.mapping, operation) == change_map(reference, operation)
        snapshots.append((sibling.context.mapping, None))
        parent.adopt(child)
        assert parent.context.mapping == reference
        assert len(parent.context.mapping) == len(reference)
        assert sorted(parent.context.mapping, key=str) == sorted(reference, key=str)
        snapshots.append((parent.snapshot().mapping, copy.deepcopy(reference)))
    assert parent.publish().mapping == reference
    assert all(snapshot == expected for snapshot, expected in snapshots if expected is not None)


list_operations = st.lists(
    st.tuples(
        st.sampled_from(
            ["append", "set", "pop", "insert", "slice", "sort", "extend", "del", "reverse", "remove", "iadd"]
        ),
        st.integers(-4, 8),
    )
)


def change_list(target: Any, operation: tuple[str, int]) -> Any:
    kind, number = operation
    size = len(target)
    try:
        match kind:
            case "append":
                target.append(number)
            case "set":
                target[number] = number * 2
            case "pop":
                return target.pop() if number % 2 else target.pop(number)
            case "insert":
                target.insert(number, number)
            case "slice":
                target[number : number + 2] = [7, 8, 9]
            case "sort":
                target.sort()
            case "extend":
                target.extend([number, size])
            case "del":
                del target[number]
            case "reverse":
                target.reverse()
            case "remove":
                target.remove(number)
            case _:
                target += [number]
    except (IndexError, ValueError) as error:
        return type(error)
    return target[number:], size


@given(st.lists(st.integers(0, 9)), st.lists(list_operations, max_size=4))
def test_a_list_does_what_a_list_does_through_any_number_of_hand_ups(start: list[int], rounds: list[Any]) -> None:
    parent, reference = open_branch(Annotated(sequence=list(start))), list(start)
    snapshots: list[tuple[Any, Any]] = []
    for operations in rounds:
        child = parent.fork()
        for operation in operations:
            assert change_list(child.context.sequence, operation) == change_list(reference, operation)
        parent.adopt(child)
        assert list(parent.context.sequence) == reference
        snapshots.append((parent.snapshot().sequence, list(reference)))
    assert parent.publish().sequence == reference
    assert all(snapshot == expected for snapshot, expected in snapshots)


def test_mutable_values_in_collections_are_isolated_and_handed_up() -> None:
    parent = open_branch(Large({"a": [1]}, [{"k": 1}]))
    child = parent.fork()
    child.context.entries["a"].append(2)
    child.context.items[0]["k"] = 2
    assert parent.context.entries["a"] == [1]
    parent.adopt(child)
    assert parent.context.entries["a"] == [1, 2]
    assert parent.context.items[0] == {"k": 2}


def test_branches_of_collections_merge_by_key_and_by_append() -> None:
    parent = open_branch(Large({"a": 1}, [1], Log(["begun"])))
    x, y = parent.fork(), parent.fork()
    x.context.entries["x"] = 1
    x.context.items.append("x")
    x.context.log.append("x")
    y.context.entries["y"] = 1
    y.context.items.append("y")
    y.context.log.append("y")
    merge(parent, [("x", x, None), ("y", y, None)])
    result = parent.publish()
    assert plain(result.entries) == {"a": 1, "x": 1, "y": 1}
    assert plain(result.items) == [1, "x", "y"]
    assert plain(result.log) == ["begun", "x", "y"]
    x, y = parent.fork(), parent.fork()
    x.context.entries["a"] = 2
    del y.context.entries["a"]
    with pytest.raises(MergeConflictError, match=r"entries\['a'\]"):
        merge(parent, [("x", x, None), ("y", y, None)])


def test_a_log_refuses_to_have_an_entry_changed() -> None:
    parent = open_branch(Large(log=Log([{"k": 1}])))
    log = parent.context.log
    assert not hasattr(log, "__setitem__")
    assert not hasattr(log, "__delitem__")
    child = parent.fork()
    child.context.log[0]["k"] = 2
    with pytest.raises(ContextError, match=r"'log\[0\]' is an entry of a Log"):
        parent.adopt(child)
    assert plain(parent.publish().log) == [{"k": 1}]


def test_what_collections_cannot_do_fails_loudly() -> None:
    entries: ContextMap[str, int] = ContextMap({"a": 1})
    with pytest.raises(TypeError):
        json.dumps(entries)
    with pytest.raises(TypeError):
        _ = entries | {}  # type: ignore[operator]
    with pytest.raises(TypeError):
        hash(entries)
    with pytest.raises(KeyError):
        entries["b"]
    with pytest.raises(KeyError):
        del entries["b"]
    with pytest.raises(IndexError):
        ContextList([1])[1]


def test_collections_are_copied_pickled_compared_and_shown_as_their_items() -> None:
    for made, builtin in (
        (ContextMap({"a": [1]}), {"a": [1]}),
        (ContextList([[1]]), [[1]]),
        (Log([[1]]), [[1]]),
    ):
        assert made == builtin
        assert copy.deepcopy(made) == builtin
        assert type(copy.deepcopy(made)) is type(made)
        assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301 - our own bytes
        assert repr(builtin) in repr(made)
        assert plain([made]) == [builtin]


def test_json_goes_through_cattrs() -> None:
    converter = cattrs.Converter()
    configure_converter(converter)
    stored = Stored(ContextMap({"a": Item(1)}), ContextList([Item(2)]), Log([3]))
    data = converter.unstructure(stored)
    assert json.loads(json.dumps(data)) == {"entries": {"a": {"n": 1}}, "items": [{"n": 2}], "log": [3]}
    assert converter.structure(data, Stored) == stored


def test_a_deleted_key_that_is_set_again_comes_back_in_its_old_place() -> None:
    parent = open_branch(Annotated({"a": 1, "b": 2}))
    adopted(parent, lambda c: c.mapping.pop("a"))
    adopted(parent, lambda c: c.mapping.update(a=3))
    assert list(parent.context.mapping) == ["a", "b"]


def test_two_lines_of_sequential_children_in_one_fork_each_keep_their_own_state() -> None:
    parent = open_branch(Annotated({str(n): n for n in range(10)}, list(range(10))))
    lines = [parent.fork(), parent.fork()]
    for number in range(40):
        for name, line in zip("xy", lines, strict=True):
            adopted(line, lambda c, key=f"{name}{number}": (c.mapping.update({key: 1}), c.sequence.append(key)))
    for name, line in zip("xy", lines, strict=True):
        assert len(line.context.mapping) == 50
        assert [key for key in line.context.mapping if key[0] in "xy"] == [f"{name}{n}" for n in range(40)]
        assert list(line.context.sequence)[10:] == [f"{name}{n}" for n in range(40)]
    assert len(parent.context.mapping) == 10
    merge(parent, [("x", lines[0], None), ("y", lines[1], None)])
    assert len(parent.context.mapping) == 90
    assert len(parent.context.sequence) == 90
