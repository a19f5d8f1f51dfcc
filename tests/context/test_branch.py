"""Branches: fork, hand up, and the traps that were met on the way."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import gc
import math
import pickle
import socket
import threading
import tracemalloc
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import attrs
import pydantic
import pytest

from flujo_actors.context import ContextBranch, Origin, Shared, apply_delta, merge, open_branch
from flujo_actors.context.lazy import instance_dict
from flujo_actors.errors import ContextError, MergeConflictError


@attrs.define
class Item:
    name: str = ""
    tags: list[str] = attrs.Factory(list)


@attrs.define
class Notes:
    count: int = 0
    lines: list[Any] = attrs.Factory(list)
    by_name: dict[str, Any] = attrs.Factory(dict)
    item: Item = attrs.Factory(Item)
    value: Any = None


@attrs.define(slots=False)
class Open:
    count: int = attrs.field(default=0, validator=attrs.validators.instance_of(int))
    lines: list[Any] = attrs.Factory(list)

    @functools.cached_property
    def total(self) -> int:
        return len(self.lines)


@attrs.define
class Cached:
    count: int = 1

    @functools.cached_property
    def double(self) -> int:
        return 2 * self.count


@attrs.frozen
class Frozen:
    name: str = "f"
    lines: list[Any] = attrs.Factory(list)


@dataclasses.dataclass
class Data:
    count: int = 0
    lines: list[Any] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(slots=True, frozen=True)
class FrozenData:
    count: int = 0
    lines: list[Any] = dataclasses.field(default_factory=list)


class Model(pydantic.BaseModel):
    count: int = 0
    lines: list[Any] = []
    _private: dict[str, int] = pydantic.PrivateAttr(default_factory=dict)


class Assigned(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(validate_assignment=True, extra="allow")
    count: int = 0
    lines: list[int] = []


ALL = [Notes, Open, Data, Model, Assigned, Frozen, FrozenData]
MUTABLE = [Notes, Open, Data, Model, Assigned]


class Colour(enum.Enum):
    RED = "red"


def handed_up(context: Any, change: Callable[[Any], object]) -> Any:
    parent = open_branch(context)
    child = parent.fork()
    change(child.context)
    parent.adopt(child)
    return parent.publish()


def two_branches(
    context: Any, one: Callable[[Any], object], other: Callable[[Any], object], **options: Any
) -> ContextBranch:
    parent = open_branch(context)
    branches = [parent.fork(), parent.fork()]
    one(branches[0].context)
    other(branches[1].context)
    merge(parent, [("x", branches[0], None), ("y", branches[1], None)], **options)
    return parent


@pytest.mark.parametrize("kind", MUTABLE)
def test_every_kind_of_context_hands_up_scalar_and_list_writes(kind: Any) -> None:
    context = kind(count=1, lines=[1])

    def change(branch: Any) -> None:
        branch.count += 1
        branch.lines.append(2)

    result = handed_up(context, change)
    assert result == kind(count=2, lines=[1, 2])
    assert type(result) is kind
    assert type(result.lines) is list
    assert context == kind(count=1, lines=[1])


@pytest.mark.parametrize("kind", ALL)
def test_a_branch_looks_like_an_object_of_the_users_class(kind: Any) -> None:
    context = kind(lines=[1])
    live = open_branch(context).context
    assert isinstance(live, kind)
    assert live.__class__ is kind
    assert live == context
    assert context == live
    assert repr(live) == repr(context)
    assert type(copy.deepcopy(live)) is kind
    assert copy.deepcopy(live) == context
    assert copy.copy(live) == context
    assert pickle.loads(pickle.dumps(live)) == context  # noqa: S301 - our own bytes
    assert type(pickle.loads(pickle.dumps(live))) is kind  # noqa: S301


def test_the_tools_of_attrs_dataclasses_and_pydantic_work_on_a_branch() -> None:
    live = open_branch(Notes(1, [1])).context
    assert attrs.evolve(live, count=2) == Notes(2, [1])
    assert type(attrs.evolve(live, count=2)) is Notes
    assert attrs.asdict(live) == attrs.asdict(Notes(1, [1]))
    data = open_branch(Data(1, [1])).context
    assert dataclasses.replace(data, count=2) == Data(2, [1])
    assert dataclasses.asdict(data) == {"count": 1, "lines": [1]}
    model = open_branch(Model(count=1, lines=[1])).context
    assert model.model_dump() == {"count": 1, "lines": [1]}
    assert model.model_dump_json() == '{"count":1,"lines":[1]}'
    assert model.model_copy(update={"count": 3}) == Model(count=3, lines=[1])
    assert vars(open_branch(Data(1, [1])).context) == {"count": 1, "lines": [1]}


def test_unknown_attributes_are_refused_or_taken_as_the_class_does() -> None:
    slotted = open_branch(Notes()).context
    with pytest.raises(AttributeError, match="'Notes' object has no attribute 'other'"):
        slotted.other = 1
    with pytest.raises(AttributeError, match="'Notes' object has no attribute 'other'"):
        _ = slotted.other
    result = handed_up(Open(), lambda context: setattr(context, "other", [1]))
    assert result.other == [1]
    parent = open_branch(result)
    assert parent.context.other == [1]


def test_frozen_classes_refuse_writes_and_their_containers_take_them() -> None:
    for kind in (Frozen, FrozenData):
        branch = open_branch(kind(lines=[1])).fork()
        with pytest.raises(AttributeError):
            branch.context.lines = []
        with pytest.raises(AttributeError):
            del branch.context.lines
        assert handed_up(kind(lines=[1]), lambda context: context.lines.append(2)).lines == [1, 2]


def test_a_deleted_attribute_stays_deleted() -> None:
    def delete(context: Any) -> None:
        del context.lines
        with pytest.raises(AttributeError):
            _ = context.lines
        with pytest.raises(AttributeError):
            del context.lines

    for kind in (Notes, Open):
        assert not hasattr(handed_up(kind(), delete), "lines")
    parent = open_branch(Open(lines=[1]))
    child = parent.fork()
    del child.context.lines
    assert parent.context.lines == [1]
    parent.adopt(child)
    assert not hasattr(parent.context, "lines")


def test_validators_and_converters_run_in_a_branch_as_in_the_class() -> None:
    branch = open_branch(Open())
    with pytest.raises(TypeError):
        branch.context.count = "text"
    model = open_branch(Assigned())
    with pytest.raises(pydantic.ValidationError):
        model.context.count = "text"
    model.context.count = "5"
    assert model.context.count == 5
    model.context.more = [1]
    assert model.publish().more == [1]


def test_private_attributes_of_models_are_isolated_and_handed_up() -> None:
    parent = open_branch(Model())
    child = parent.fork()
    child.context._private["k"] = 1
    assert parent.context._private == {}
    parent.adopt(child)
    assert parent.context._private == {"k": 1}
    assert parent.publish()._private == {"k": 1}


def test_which_fields_of_a_model_were_set_is_handed_up_too() -> None:
    result = handed_up(Model(), lambda context: setattr(context, "count", 3))
    assert result.model_dump(exclude_unset=True) == {"count": 3}


def test_cached_properties_are_computed_anew_and_never_conflict() -> None:
    parent = two_branches(Open(lines=[1]), lambda c: (c.lines.append(2), c.total), lambda c: c.total)
    assert parent.context.total == 2
    assert "total" not in vars(parent.publish())


def test_cached_properties_of_slotted_classes_are_forgotten_when_a_child_is_handed_up() -> None:
    parent = open_branch(Cached())
    assert parent.context.double == 2
    child = parent.fork()
    child.context.count = 5
    parent.adopt(child)
    assert parent.context.double == 10
    assert parent.publish().double == 10


def test_a_parent_that_reads_a_field_after_the_fork_sees_the_fork_state_and_then_the_hand_up() -> None:
    parent = open_branch(Notes(lines=[1]))
    child = parent.fork()
    child.context.lines.append(2)
    assert parent.context.lines == [1]
    parent.adopt(child)
    assert parent.context.lines == [1, 2]


def test_a_lazily_read_branch_does_not_see_what_its_parent_became_meanwhile() -> None:
    parent = open_branch(Notes(1, [1], {"a": 1}))
    late = parent.fork()
    for _ in range(2):
        child = parent.fork()
        child.context.count += 1
        child.context.lines.append(2)
        child.context.by_name["b"] = 2
        child.context.item.name = "new"
        parent.adopt(child)
    assert late.context == Notes(1, [1], {"a": 1})


def test_the_parents_own_references_go_on_to_work_after_a_fork() -> None:
    parent = open_branch(Notes(lines=[1]))
    lines, item = parent.context.lines, parent.context.item
    lines.append(2)
    child = parent.fork()
    lines.append(3)
    item.name = "later"
    assert child.context.lines == [1, 2]
    assert parent.context.lines == [1, 2, 3]
    assert parent.publish().item.name == "later"


def test_forks_of_a_parent_that_touched_a_large_list_share_one_sealed_copy() -> None:
    parent = open_branch(Notes(lines=list(range(100_000))))
    parent.context.lines.append(1)
    parent.fork()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    kept = [parent.fork() for _ in range(100)]
    used = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert used < 100 * 256
    assert len(kept[0].context.lines) == 100_001


def test_a_fork_weighs_the_same_whatever_the_context_holds() -> None:
    for size in (100, 100_000):
        parent = open_branch(Notes(by_name={str(number): number for number in range(size)}))
        gc.collect()
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        kept = [parent.fork() for _ in range(1000)]
        used = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert used / len(kept) <= 256


def test_no_context_costs_nothing_and_does_nothing() -> None:
    branch = open_branch(None)
    child = branch.fork()
    assert child is branch
    assert child.context is None
    branch.adopt(child)
    merge(branch, [("a", child, None)])
    assert branch.publish() is None
    assert branch.snapshot() is None
    assert branch.blame("a") is None
    assert not branch.delta()


def test_adopting_the_same_child_twice_changes_nothing() -> None:
    parent = open_branch(Notes())
    child = parent.fork()
    child.context.count += 1
    parent.adopt(child)
    parent.adopt(child)
    assert parent.publish().count == 1


def test_siblings_handed_up_one_after_the_other_merge_or_conflict() -> None:
    parent = open_branch(Notes())
    one, other, third = parent.fork(), parent.fork(), parent.fork()
    one.context.count = 1
    other.context.lines.append(1)
    third.context.count = 2
    parent.adopt(one)
    parent.adopt(other)
    assert parent.publish() == Notes(1, [1])
    with pytest.raises(MergeConflictError):
        parent.adopt(third)
    assert parent.publish() == Notes(1, [1])


# Values.


@pytest.mark.parametrize(
    "value",
    [
        Colour.RED, dt.datetime(2020, 1, 1, tzinfo=dt.UTC), decimal.Decimal("1.0"), (1, ("a", 2)),
        frozenset({1}), Path("a"), math.hypot, int, math.nan, attrs.make_class("Point", ["x"], frozen=True)(1), b"x",
    ],
)  # fmt: skip
def test_immutable_values_are_shared_and_not_copied(value: Any) -> None:
    parent = open_branch(Notes(value=value, lines=[value]))
    assert parent.fork().context.value is value
    assert parent.fork().context.lines[0] is value
    assert parent.publish().value is value


@pytest.mark.parametrize(
    "value",
    [
        deque([1]), bytearray(b"a"), array("i", [1]), OrderedDict(a=[1]), defaultdict(list, a=[1]), Counter("aab"),
        {"a": [{"b": Item("x")}]}, ([1], {"k": {1}}), Frozen("a", [1]), ValueError("x"),
    ],
)  # fmt: skip
def test_mutable_values_are_isolated_with_their_class(value: Any) -> None:
    parent = open_branch(Notes(value=value))
    child = parent.fork()
    copied = child.context.value
    assert copied is not value
    assert copied.__class__ is value.__class__
    assert repr(copied) == repr(value)
    result = parent.publish().value
    assert type(result) is type(value)
    assert repr(result) == repr(value)


class Vague:  # noqa: PLW1641
    """Like a numpy array: comparing gives something without a truth value."""

    def __init__(self, *numbers: int) -> None:
        self.numbers = list(numbers)

    def __eq__(self, other: object) -> Any:
        return Vague()

    def __bool__(self) -> bool:
        raise ValueError("the truth value of an array is ambiguous")


class Buffer(bytearray):  # noqa: PLW1641
    __eq__ = Vague.__eq__  # pyright: ignore[reportAssignmentType]


@pytest.mark.parametrize("value", [math.nan, float("nan"), Vague(1), Buffer(b"ab"), object(), Item("a"), deque([1])])
def test_a_value_read_in_two_branches_and_changed_in_none_is_no_conflict(value: Any) -> None:
    if type(value) is object:
        value = type("Lonely", (), {})()

    def read(context: Any) -> object:
        return context.value, context.lines[0], context.by_name["a"]

    def read_and_write(context: Any) -> None:
        read(context)
        context.count = 1

    parent = two_branches(Notes(value=value, lines=[value], by_name={"a": value}), read, read_and_write)
    assert parent.publish().count == 1


def test_a_change_inside_a_vague_value_is_seen() -> None:
    result = handed_up(Notes(value=Vague(1)), lambda context: context.value.numbers.append(2))
    assert result.value.numbers == [1, 2]
    result = handed_up(Notes(value=Buffer(b"a")), lambda context: context.value.append(98))
    assert bytes(result.value) == b"ab"


def test_a_popped_mutated_and_reinserted_child_is_handed_up() -> None:
    def change(context: Any) -> None:
        item = context.lines.pop(0)
        item.tags.append("t")
        context.lines.append(item)
        row = context.by_name.pop("row")
        row.append(2)
        context.by_name["row"] = row

    result = handed_up(Notes(lines=[Item("a"), Item("b")], by_name={"row": [1]}), change)
    assert result.lines == [Item("b"), Item("a", ["t"])]
    assert result.by_name == {"row": [1, 2]}


def test_an_alias_pair_in_one_list_handed_up_twice_stays_one_object() -> None:
    row = [1]
    parent = open_branch(Notes(lines=[row, row]))
    for _ in range(2):
        child = parent.fork()
        child.context.lines[0].append(2)
        parent.adopt(child)
    result = parent.publish()
    assert result.lines == [[1, 2, 2], [1, 2, 2]]
    assert result.lines[0] is result.lines[1]


def test_an_alias_across_fields_and_a_cycle_survive_a_merge_of_branches() -> None:
    shared = [1]
    context = Notes(value=shared, by_name={"again": shared})
    context.by_name["self"] = context

    def count(branch: Any) -> None:
        branch.count += 1

    parent = two_branches(context, lambda branch: branch.value.append(2), count)
    result = parent.publish()
    assert result.value == [1, 2]
    assert result.by_name["again"] is result.value
    assert result.by_name["self"] is result
    assert parent.context.by_name["self"].count == 1


def test_values_of_a_delta_are_not_those_of_the_context() -> None:
    parent = open_branch(Notes())
    child = parent.fork()
    child.context.lines.append([1])
    delta = child.delta()
    merge(parent, [("a", child, None)])
    delta.steps[0].value[0].append("from outside")
    assert parent.publish().lines == [[1]]


def test_a_worker_that_was_given_up_and_keeps_writing_reaches_nobody() -> None:
    parent = open_branch(Notes(lines=[1], by_name={"a": [1]}))
    abandoned = parent.fork()
    writing, stop = threading.Event(), threading.Event()

    def work(context: Any) -> None:
        kept = context.lines
        while not stop.is_set():
            kept.append(0)
            context.lines.append(0)
            context.by_name["a"].append(0)
            context.count += 1
            writing.set()

    worker = threading.Thread(target=work, args=(abandoned.context,))
    worker.start()
    writing.wait()
    for _ in range(20):
        child = parent.fork()
        child.context.lines.append(2)
        parent.adopt(child)
    assert parent.publish() == Notes(0, [1] + [2] * 20, {"a": [1]})
    stop.set()
    worker.join()


def test_a_worker_that_outlives_its_step_no_longer_reaches_the_context() -> None:
    parent = open_branch(Notes(lines=[1], by_name={"a": [1]}))
    child = parent.fork()
    child.context.by_name["a"].append(2)
    kept = [
        child.context,
        child.context.lines,
        child.context.by_name,
        child.context.by_name["a"],
        child.context.item,
    ]
    parent.adopt(child)
    kept[1].append("no")
    kept[2]["no"] = 1
    kept[3].append("no")
    kept[4].tags.append("no")
    kept[0].count = 99
    kept[0].lines.append("no")
    assert parent.publish() == Notes(0, [1], {"a": [1, 2]})


# Bad input.


@pytest.mark.parametrize("context", [1, "text", [1], Notes, object(), {1, 2}, OrderedDict()])
def test_an_unsupported_context_is_refused(context: Any) -> None:
    with pytest.raises(ContextError, match="pass an attrs or dataclass instance, a pydantic model or a dict"):
        open_branch(context)


def test_a_lock_socket_or_open_file_is_refused_with_its_path(tmp_path: Path) -> None:
    with socket.socket() as connection, (tmp_path / "f").open("w") as file:
        for value in (
            threading.Lock(),
            threading.RLock(),
            threading.Event(),
            connection,
            file,
            (n for n in "ab"),
        ):
            with pytest.raises(ContextError, match=r"'by_name\['k'\]\[0\]\.tags"):
                open_branch(Notes(by_name={"k": [Item("a", value)]}))  # type: ignore[arg-type]


def test_a_lock_left_by_a_step_is_refused_and_the_parent_is_unchanged() -> None:
    parent = open_branch(Notes(1))
    child = parent.fork()
    child.context.count = 2
    child.context.lines.append(1)
    child.context.item.name = "new"
    child.context.by_name["lock"] = threading.Lock()
    with pytest.raises(ContextError, match=r"'by_name\['lock'\]' holds a lock"):
        parent.adopt(child)
    assert parent.publish() == Notes(1)
    assert child.context.count == 2


def test_a_shared_field_is_passed_on_as_it_is() -> None:
    @attrs.define
    class WithLock:
        lock: Annotated[Any, Shared()]
        count: int = 0

    lock = threading.Lock()
    parent = open_branch(WithLock(lock))
    child = parent.fork()
    assert child.context.lock is lock
    child.context.count = 1
    parent.adopt(child)
    assert parent.publish().lock is lock
    assert parent.publish().count == 1


def test_a_setter_of_the_users_class_that_raises_raises_in_the_step() -> None:
    @attrs.define(slots=False)
    class Refusing:
        count: int = 0

        def __setattr__(self, name: str, value: Any) -> None:
            if value == 13:
                raise ValueError("unlucky")
            object.__setattr__(self, name, value)

    parent = open_branch(Refusing())
    child = parent.fork()
    with pytest.raises(ValueError, match="unlucky"):
        child.context.count = 13
    child.context.count = 12
    parent.adopt(child)
    assert parent.publish().count == 12


def test_a_delta_whose_path_has_vanished_is_refused_and_changes_nothing() -> None:
    parent = open_branch(Notes(by_name={"a": {"b": 1}}))
    child = parent.fork()
    child.context.count = 1
    child.context.by_name["a"]["b"] = 2
    delta = child.delta()
    remover = parent.fork()
    del remover.context.by_name["a"]
    parent.adopt(remover)
    with pytest.raises(ContextError, match=r"by_name\['a'\]\['b'\]"):
        apply_delta(parent, delta)
    assert parent.publish() == Notes()


def test_advice_names_a_large_builtin_that_is_copied_again_and_again_once() -> None:
    told: list[Any] = []
    parent = open_branch(Notes(by_name={str(number): number for number in range(20_000)}), told.append)
    for number in range(10):
        child = parent.fork()
        child.context.by_name["k"] = number
        parent.adopt(child, Origin(step="s"))
    assert [advice.field for advice in told] == ["Notes.by_name"]
    assert parent.advice == told
    assert "ContextMap" in str(told[0])


def test_subclasses_and_generated_classes_do_not_run_init_subclass_hooks() -> None:
    registered: list[type] = []

    @attrs.define
    class Base:
        count: int = 0

        def __init_subclass__(cls) -> None:
            registered.append(cls)

    open_branch(Base()).fork().context.count = 1
    assert registered == []


def test_inherited_fields_and_dict_contexts_nested_in_each_other_are_isolated() -> None:
    @attrs.define
    class Child(Item):
        inner: Any = None

    context: Any = {"items": [Child("a", ["t"], Data(1, [1]))], "model": Model(lines=[{"deep": [1]}])}
    parent = open_branch(context)
    child = parent.fork()
    assert type(child.context) is dict
    child.context["items"][0].inner.lines.append(2)
    child.context["model"].lines[0]["deep"].append(2)
    assert parent.context["items"][0].inner.lines == [1]
    parent.adopt(child)
    result = parent.publish()
    assert result["items"][0] == Child("a", ["t"], Data(1, [1, 2]))
    assert result["model"].lines == [{"deep": [1, 2]}]
    assert context["items"][0].inner.lines == [1]


def test_forks_after_a_large_list_was_written_do_not_look_at_it_again() -> None:
    parent = open_branch(Notes(lines=list(range(10))))
    parent.context.lines.append(10)
    parent.fork()
    assert "lines" not in instance_dict(parent.context)
    kept = parent.context.lines
    parent.fork()
    kept.append(11)
    assert parent.publish().lines == list(range(12))


def test_the_only_branch_of_a_merge_is_handed_up_as_it_is() -> None:
    parent = open_branch(Notes(by_name={"a": 1, "b": 2}))
    child = parent.fork()
    child.context.by_name["a"] = child.context.by_name.pop("b")
    merge(parent, [("x", child, Origin(step="p/x"))])
    assert parent.publish().by_name == {"a": 2}
    assert str(parent.blame("by_name['a']")) == "step 'p/x'"


def test_a_change_of_the_order_of_keys_alone_is_handed_up_also_in_a_context_with_a_cycle() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    for value in (None, cycle):
        parent = open_branch(Notes(by_name={"a": 1, "b": 2}, value=value))
        child = parent.fork()
        child.context.by_name["a"] = child.context.by_name.pop("a")
        grandchild = child.fork()
        assert list(grandchild.context.by_name) == ["b", "a"]
        child.adopt(grandchild)
        parent.adopt(child)
        assert list(parent.publish().by_name) == ["b", "a"]
