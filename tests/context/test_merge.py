"""Merging parallel branches: strategies, rules, conflicts, validators."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import attrs
import pydantic
import pytest

from flujo_actors.context import (
    Concatenate,
    ContextBranch,
    ContextMap,
    Last,
    Max,
    MergeBy,
    MergeStrategy,
    Min,
    Origin,
    Sum,
    Union,
    merge,
    merged_by,
    open_branch,
)
from flujo_actors.errors import ContextError, MergeConflictError


@attrs.define
class Part:
    n: int = 0
    m: int = 0


@attrs.define
class State:
    a: Any = 0
    b: Any = 0
    flag: bool = False
    items: list[Any] = attrs.Factory(lambda: [1, 2, 3])
    entries: dict[str, Any] = attrs.Factory(lambda: {"k": 1, "l": 2})
    tags: set[int] = attrs.Factory(lambda: {1, 2})
    part: Part = attrs.Factory(Part)


Change = Callable[[Any], object]


def merged(context: Any, changes: dict[str, Change], **options: Any) -> Any:
    parent = open_branch(context)
    merge(parent, forked(parent, changes), **options)
    return parent.publish()


def forked(parent: ContextBranch, changes: dict[str, Change]) -> list[tuple[str, ContextBranch, Origin | None]]:
    branches = [(name, parent.fork(), Origin(step=f"p/{name}")) for name in changes]
    for name, branch, _ in branches:
        changes[name](branch.context)
    return list(branches)


def setter(**fields: Any) -> Change:
    def change(context: Any) -> None:
        for name, value in fields.items():
            setattr(context, name, value)

    return change


def conflicts(context: Any, changes: dict[str, Change], **options: Any) -> list[str]:
    parent = open_branch(context)
    before = parent.publish()
    with pytest.raises(MergeConflictError) as caught:
        merge(parent, forked(parent, changes), **options)
    assert parent.publish() == before
    return [conflict.path for conflict in caught.value.conflicts]


def test_disjoint_paths_combine() -> None:
    result = merged(
        State(),
        {
            "x": lambda c: (setter(a=1)(c), c.entries.update(x=1), setter(n=1)(c.part), c.items.append("x")),
            "y": lambda c: (setter(b=1)(c), c.entries.pop("k"), setter(m=1)(c.part), c.items.append("y")),
        },
    )
    assert result == State(1, 1, items=[1, 2, 3, "x", "y"], entries={"l": 2, "x": 1}, part=Part(1, 1))


def test_appends_concatenate_in_declared_order_whoever_finishes_first() -> None:
    parent = open_branch(State())
    x, y = parent.fork(), parent.fork()
    y.context.items.append("y")
    x.context.items.append("x")
    merge(parent, [("x", x, None), ("y", y, None)])
    assert parent.publish().items == [1, 2, 3, "x", "y"]


def test_sets_combine() -> None:
    changes: dict[str, Change] = {"x": lambda c: c.tags.add(3), "y": lambda c: c.tags.discard(1)}
    assert merged(State(), changes).tags == {2, 3}


def test_equal_numbers_conflict_and_equal_flags_and_texts_do_not() -> None:
    assert conflicts(State(), {"x": setter(a=1), "y": setter(a=1)}) == ["a"]
    assert merged(State(), {"x": setter(flag=True), "y": setter(flag=True)}).flag is True
    assert merged(State(), {"x": setter(a="t"), "y": setter(a="t")}).a == "t"


def test_deleting_conflicts_with_editing_and_not_with_deleting() -> None:
    nested = State(entries={"k": {"deep": [1]}})
    delete: Change = lambda c: c.entries.pop("k")  # noqa: E731
    assert conflicts(nested, {"x": delete, "y": lambda c: c.entries["k"]["deep"].append(2)}) == ["entries['k']"]
    assert conflicts(State(), {"x": delete, "y": lambda c: c.entries.update(k=5)}) == ["entries['k']"]
    assert merged(State(), {"x": delete, "y": delete}).entries == {"l": 2}


def test_index_writes_combine_or_conflict_by_index_and_go_with_appends() -> None:
    first: Change = lambda c: c.items.__setitem__(0, "x")  # noqa: E731
    second: Change = lambda c: c.items.__setitem__(1, "y")  # noqa: E731
    assert merged(State(), {"x": first, "y": second}).items == ["x", "y", 3]
    assert conflicts(State(), {"x": first, "y": lambda c: c.items.__setitem__(0, "z")}) == ["items[0]"]
    assert merged(State(), {"x": first, "y": lambda c: c.items.append(4)}).items == ["x", 2, 3, 4]
    assert conflicts(State(), {"x": first, "y": lambda c: c.items.pop(0)}) == ["items[0]"]
    assert conflicts(State(), {"x": lambda c: c.items.pop(0), "y": first}) == ["items[0]"]


def test_removals_of_different_items_combine_and_insertions_at_one_place_conflict() -> None:
    pop_first: Change = lambda c: c.items.pop(0)  # noqa: E731
    assert merged(State(), {"x": pop_first, "y": lambda c: c.items.pop()}).items == [2]
    assert merged(State(), {"x": pop_first, "y": lambda c: c.items.append(4)}).items == [2, 3, 4]
    insert: Change = lambda c: c.items.insert(0, "i")  # noqa: E731
    assert conflicts(State(), {"x": insert, "y": insert}) == ["items[0]"]


def test_an_item_changed_in_place_goes_with_an_append_by_another_branch() -> None:
    context = State(items=[Part(1), Part(2)])
    changes: dict[str, Change] = {
        "x": lambda c: (setter(n=9)(c.items[1]), c.items.append("x")),
        "y": lambda c: (setter(m=8)(c.items[1]), c.items.append("y")),
    }
    assert merged(context, changes).items == [Part(1), Part(9, 8), "x", "y"]


def test_containers_that_two_branches_made_where_none_was_combine() -> None:
    changes: dict[str, Change] = {
        "x": lambda c: c.entries.setdefault("new", {}).update(x="x"),
        "y": lambda c: c.entries.setdefault("new", {}).update(y="y"),
        "z": lambda c: c.entries.setdefault("list", []).append("z"),
        "w": lambda c: c.entries.setdefault("list", []).append("w"),
    }
    result = merged(State(), changes).entries
    assert result == {"k": 1, "l": 2, "new": {"x": "x", "y": "y"}, "list": ["z", "w"]}


def test_a_conflict_names_path_branches_steps_values_and_remedy() -> None:
    parent = open_branch(State())
    changes: dict[str, Change] = {
        "x": lambda c: setter(n=1)(c.part),
        "y": lambda c: setter(n=22)(c.part),
        "z": setter(a=1),
        "w": setter(a="v" * 99),
    }
    with pytest.raises(MergeConflictError) as caught:
        merge(parent, forked(parent, changes))
    first, second = caught.value.conflicts
    assert str(caught.value).startswith("Merge conflict for key 'part.n': branches 'x' and 'y' ")
    assert (first.path, first.branches, first.values, first.base) == (
        "part.n",
        ("x", "y"),
        ("wrote 1", "wrote 22"),
        "0",
    )
    assert "p/x" in str(first.origins[0])
    assert "Sum()" in first.remedy
    assert (second.path, second.branches) == ("a", ("z", "w"))
    assert len(second.values[1]) < 80


def test_overwrite_takes_the_last_branchs_fields_and_drops_the_others() -> None:
    changes: dict[str, Change] = {"x": setter(a=1, b=1), "y": lambda c: (setter(a=2)(c), c.items.append(4))}
    assert merged(State(), changes, strategy=MergeStrategy.OVERWRITE) == State(2, 0, items=[1, 2, 3, 4])


def test_keep_first_takes_for_each_path_the_first_branch_that_changed_it() -> None:
    changes: dict[str, Change] = {
        "x": lambda c: (setter(a=1)(c), c.entries.update(k=10), c.items.append("x")),
        "y": lambda c: (setter(a=2, b=2)(c), c.entries.update(k=20, l=20), c.items.append("y")),
    }
    result = merged(State(), changes, strategy=MergeStrategy.KEEP_FIRST)
    assert result == State(1, 2, entries={"k": 10, "l": 20}, items=[1, 2, 3, "x"])


def test_error_on_conflict_refuses_any_path_touched_twice() -> None:
    options = {"strategy": MergeStrategy.ERROR_ON_CONFLICT}
    assert conflicts(State(), {"x": setter(flag=True), "y": setter(flag=True)}, **options) == ["flag"]
    append: Change = lambda c: c.items.append(4)  # noqa: E731
    assert conflicts(State(), {"x": append, "y": append}, **options) == ["items[3]"]
    add: Change = lambda c: c.tags.add(9)  # noqa: E731
    assert conflicts(State(), {"x": add, "y": add}, **options) == ["tags"]
    assert merged(State(), {"x": setter(a=1), "y": setter(b=1)}, **options) == State(1, 1)


def test_no_merge_merges_nothing() -> None:
    assert merged(State(), {"x": setter(a=1)}, strategy=MergeStrategy.NO_MERGE) == State()


def test_a_function_merges_as_it_sees_fit_and_leaves_nothing_when_it_raises() -> None:
    def add_up(context: Any, branches: Mapping[str, Any]) -> None:
        context.a = sum(branch.a for branch in branches.values())
        if context.a > 10:
            raise ValueError("too much")

    changes = {"x": setter(a=1), "y": setter(a=2)}
    assert merged(State(), changes, strategy=add_up).a == 3
    parent = open_branch(State())
    with pytest.raises(ValueError, match="too much"):
        merge(parent, forked(parent, {"x": setter(a=11)}), strategy=add_up)
    assert parent.publish() == State()


def test_mapped_fields_are_taken_as_they_are_before_any_conflict_check() -> None:
    changes: dict[str, Change] = {
        "x": lambda c: (setter(a=1)(c), c.items.append("x")),
        "y": lambda c: (setter(a=2, b=2)(c), c.items.clear()),
    }
    result = merged(State(), changes, field_mapping={"x": ["a", "items"]})
    assert result == State(1, 2, items=[1, 2, 3, "x"])
    changes = {"x": setter(), "y": setter(a=2)}
    assert merged(State(), changes, field_mapping={"x": ["a"]}) == State()


def test_fields_left_out_are_never_reset_and_never_conflict() -> None:
    changes = {"x": setter(a=1, b=1), "y": setter(a=2)}
    assert merged(State(b=7), changes, include_keys=["b"]) == State(0, 1)
    assert merged(State(b=7), changes, include_keys=["flag"]) == State(0, 7)


def test_what_the_parent_wrote_after_the_fork_is_one_more_side_of_the_merge() -> None:
    parent = open_branch(State())
    branches = forked(parent, {"x": setter(a=1), "y": setter(b=1)})
    parent.context.items.append(4)
    merge(parent, branches)
    assert parent.publish() == State(1, 1, items=[1, 2, 3, 4])
    branches = forked(parent, {"x": setter(a=5)})
    parent.context.a = 6
    with pytest.raises(MergeConflictError, match="'the parent' and 'x'"):
        merge(parent, branches)


def test_a_dict_context_merges_by_key() -> None:
    changes: dict[str, Change] = {"x": lambda c: c.update(x=1), "y": lambda c: c["n"].append(2)}
    assert merged({"n": [1]}, changes) == {"n": [1, 2], "x": 1}


# Rules declared on fields.


@attrs.define
class Ruled:
    total: Annotated[int, Sum()] = 0
    cost: float = attrs.field(default=1.0, metadata=merged_by(Sum()))
    text: Annotated[str, Concatenate()] = "a"
    best: Annotated[int, Max()] = 0
    least: Annotated[int, Min] = 100
    last: Annotated[Any, Last()] = None
    names: Annotated[dict[str, int], Union()] = attrs.Factory(dict)
    odd: Annotated[int, MergeBy(lambda base, ours, theirs: (base, ours, theirs))] = 0


def every(number: int) -> Change:
    def change(context: Any) -> None:
        context.total += number
        context.cost -= number
        context.text += str(number)
        context.best = context.least = context.odd = number
        context.last = number
        context.names["n"] = number

    return change


def test_each_rule_combines_what_three_branches_wrote() -> None:
    result = merged(Ruled(), {"x": every(2), "y": every(3), "z": every(1)})
    assert result == Ruled(6, -5.0, "a231", 3, 1, 1, {"n": 1}, (0, (0, 2, 3), 1))  # type: ignore[arg-type]


def test_rules_are_read_from_dataclasses_and_models() -> None:
    @dataclasses.dataclass
    class Data:
        total: Annotated[int, Sum()] = 0
        other: int = dataclasses.field(default=0, metadata=merged_by(Max()))

    class Model(pydantic.BaseModel):
        total: Annotated[int, Sum()] = 0
        other: Annotated[int, Max()] = 0

    for kind in (Data, Model):
        result = merged(kind(), {"x": setter(total=1, other=4), "y": setter(total=2, other=3)})
        assert result == kind(total=3, other=4)


def test_a_rule_that_raises_is_an_error_with_the_path() -> None:
    parent = open_branch(Ruled())
    branches = forked(parent, {"x": setter(total="text"), "y": setter(total=1)})
    with pytest.raises(ContextError, match=r"'total' cannot be merged by its rule Sum\(\)"):
        merge(parent, branches)
    assert parent.publish() == Ruled()


# Validators and converters of merged values.


def _unchanged(value: Any) -> Any:
    return value


def _above_low(checked: Any, attribute: Any, value: int) -> None:
    if value <= checked.low:
        raise ValueError(f"{attribute.name} must be above low")


def _in_order(value: list[int]) -> list[int]:
    return sorted(value)


@attrs.define
class Checked:
    low: int = 0
    high: int = attrs.field(default=10, validator=_above_low)
    items: tuple[Any, ...] | list[Any] = attrs.field(default=(), converter=_unchanged)


def test_a_merged_value_that_a_validator_refuses_is_an_error_and_the_parent_is_unchanged() -> None:
    parent = open_branch(Checked())
    branches = forked(parent, {"x": setter(low=8), "y": setter(high=5)})
    with pytest.raises(ContextError, match="'high' has a merged value that its class refuses: high must be above low"):
        merge(parent, branches)
    assert parent.publish() == Checked()


def test_a_model_checks_a_merged_value() -> None:
    class Small(pydantic.BaseModel):
        items: Annotated[list[int], pydantic.Field(max_length=2)] = []

    parent = open_branch(Small(items=[1]))
    branches = forked(parent, {"x": lambda c: c.items.append(2), "y": lambda c: c.items.append(3)})
    with pytest.raises(ContextError, match="'items' has a merged value that its class refuses"):
        merge(parent, branches)
    assert parent.publish().items == [1]


def test_a_converter_sees_a_merged_value() -> None:
    @attrs.define
    class Sorted:
        items: list[int] = attrs.field(factory=list[int], converter=_in_order)

    changes: dict[str, Change] = {"x": lambda c: c.items.append(3), "y": lambda c: c.items.append(2)}
    assert merged(Sorted([9, 1]), changes).items == [1, 2, 3, 9]


def test_a_thousand_branches_with_a_key_each_leave_all_keys_in_declared_order() -> None:
    @attrs.define
    class Large:
        entries: ContextMap[str, int] = attrs.Factory(ContextMap)

    parent = open_branch(Large(ContextMap({"a": 0})))
    branches = [(str(number), parent.fork(), None) for number in range(1000)]
    for name, branch, _ in reversed(branches):
        branch.context.entries[name] = int(name)
    merge(parent, branches)
    assert list(parent.publish().entries) == ["a", *(str(number) for number in range(1000))]


# The short way: branches that set nothing but atoms, and keys of large maps to atoms.


@attrs.define
class Wide:
    count: int = 0
    label: Any = "old"
    total: Annotated[int, Sum()] = 0
    entries: ContextMap[Any, Any] = attrs.Factory(lambda: ContextMap({"a": 1, "b": 2}))
    more: ContextMap[Any, Any] = attrs.Factory(ContextMap)


def put(**entries: Any) -> Change:
    return lambda context: context.entries.update(entries)


def put_more(context: Any) -> None:
    context.more["x"] = context.count


def test_many_branches_that_set_different_keys_and_fields_merge_in_declared_order_and_are_blamed_each() -> None:
    parent = open_branch(Wide())
    merge(parent, forked(parent, {"c": put(c=3), "b": put(b=1, a=9), "m": put_more, "f": setter(count=5), "n": put()}))
    result = parent.publish()
    assert list(result.entries.items()) == [("a", 9), ("b", 1), ("c", 3)]
    assert (result.count, dict(result.more)) == (5, {"x": 0})
    writers = {path: parent.blame(path) for path in ("entries['c']", "entries['a']", "more['x']", "count", "label")}
    assert {path: origin and origin.step for path, origin in writers.items()} == {
        "entries['c']": "p/c",
        "entries['a']": "p/b",
        "more['x']": "p/m",
        "count": "p/f",
        "label": None,
    }


def test_an_entry_that_a_branch_sets_to_what_it_was_is_no_write() -> None:
    parent = open_branch(Wide())
    merge(parent, forked(parent, {"same": put(a=1, c=3), "other": put(b=5)}))
    assert dict(parent.publish().entries) == {"a": 1, "b": 5, "c": 3}
    assert parent.blame("entries['a']") is None
    assert dict(merged(Wide(), {"same": put(a=1), "other": put(a=5)}).entries) == {"a": 5, "b": 2}


def test_branches_that_only_set_what_was_there_change_nothing() -> None:
    assert merged(Wide(), {"x": put(a=1), "y": setter(count=0), "z": put(b=2)}) == merged(Wide(), {"x": put()})


@pytest.mark.parametrize("strategy", [MergeStrategy.CONTEXT_UPDATE, MergeStrategy.ERROR_ON_CONFLICT])
@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("entries['k']", {"x": put(k=1), "y": put(l=1), "z": put(k=2)}),
        ("count", {"x": setter(count=1), "y": put(k=2), "z": setter(count=2)}),
        ("entries", {"x": put(k=1), "y": setter(count=1), "z": setter(entries=None)}),
        ("entries", {"x": setter(entries=None), "y": setter(count=1), "z": put(k=1)}),
    ],
)
def test_two_writes_in_one_place_still_conflict(path: str, changes: dict[str, Change], strategy: MergeStrategy) -> None:
    with pytest.raises(MergeConflictError) as caught:
        merged(Wide(), changes, strategy=strategy)
    assert [(conflict.path, conflict.branches) for conflict in caught.value.conflicts] == [(path, ("x", "z"))]


def test_of_two_writes_of_one_key_a_strategy_still_takes_its_own() -> None:
    changes = {"x": put(a=3, c=1), "y": put(a=4, d=1)}
    first = merged(Wide(), changes, strategy=MergeStrategy.KEEP_FIRST)
    assert dict(first.entries) == {"a": 3, "b": 2, "c": 1, "d": 1}
    last = merged(Wide(), {"x": put(c=1), "y": put(d=1)}, strategy=MergeStrategy.OVERWRITE)
    assert dict(last.entries) == {"a": 1, "b": 2, "d": 1}


def test_rules_are_asked_and_what_is_not_included_stays_beside_writes_of_keys() -> None:
    changes = {"x": setter(total=2), "y": put(k=1), "z": setter(total=3, count=7)}
    assert merged(Wide(), changes).total == 5
    only = merged(Wide(), {"x": put(k=1), "y": setter(count=7)}, include_keys=iter(["count"]))
    assert (only.count, dict(only.entries)) == (7, {"a": 1, "b": 2})


def test_a_branch_that_put_a_map_of_its_own_in_a_field_without_one_goes_the_general_way() -> None:
    result = merged(
        Wide(label=None), {"x": lambda context: setattr(context, "label", ContextMap({"k": 1})), "y": put(k=1)}
    )
    assert dict(result.label) == {"k": 1}
    assert dict(result.entries) == {"a": 1, "b": 2, "k": 1}
