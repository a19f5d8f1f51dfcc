"""ContextMap, ContextList and Log side by side with dict and list, through any sequence of forks and hand-ups."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import attrs
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from flujo_actors.context import ContextBranch, ContextList, ContextMap, Log, open_branch, plain

keys = st.one_of(st.integers(0, 6), st.sampled_from(["a", "b"]))
values = st.one_of(st.integers(0, 9), st.none(), st.lists(st.integers(), max_size=2))
indexes = st.integers(-5, 8)
bounds = st.one_of(st.none(), st.integers(-5, 8))
slices = st.builds(slice, bounds, bounds, st.one_of(st.none(), st.sampled_from([1, 2, -1, -2])))


@attrs.define
class Live:
    mapping: ContextMap[Any, Any]
    items: ContextList[Any]
    log: Log[Any]


@attrs.define
class Plain:
    mapping: dict[Any, Any]
    items: list[Any]
    log: list[Any]


def _delete(target: Any, key: Any) -> None:
    del target[key]


map_calls: dict[str, Callable[..., Any]] = {
    "get": lambda m, k, v: m.get(k, v),
    "read": lambda m, k, _: m[k],
    "set": lambda m, k, v: m.__setitem__(k, v),
    "delete": lambda m, k, _: _delete(m, k),
    "pop": lambda m, k, _: m.pop(k),
    "pop default": lambda m, k, v: m.pop(k, v),
    "setdefault": lambda m, k, v: m.setdefault(k, v),
    "update": lambda m, k, v: m.update({k: v, "u": 1}),
    "in": lambda m, k, _: k in m,
    "len": lambda m, _k, _v: len(m),
    "keys": lambda m, _k, _v: set(m.keys()),
    "values": lambda m, _k, _v: sorted(map(repr, m.values())),
    "clear": lambda m, k, _: m.clear() if k == 0 else None,
    "popitem": lambda m, _k, _v: type(m.popitem()) if not m else None,
    "copy": lambda m, _k, _v: m.copy() == m,
    "nested": lambda m, k, _: m[k].append(5),
}
list_calls: dict[str, Callable[..., Any]] = {
    "read": lambda s, i, _: s[i],
    "set": lambda s, i, v: s.__setitem__(i, v),
    "delete": lambda s, i, _: _delete(s, i),
    "pop": lambda s, i, _: s.pop(i),
    "insert": lambda s, i, v: s.insert(i, v),
    "append": lambda s, _, v: s.append(v),
    "extend": lambda s, i, v: s.extend([i, v]),
    "extend itself": lambda s, _i, _v: s.extend(s) if len(s) < 8 else None,
    "remove": lambda s, _, v: s.remove(v),
    "index": lambda s, i, v: s.index(v, i),
    "count": lambda s, _, v: s.count(v),
    "in": lambda s, _, v: v in s,
    "reverse": lambda s, _i, _v: s.reverse(),
    "sort": lambda s, i, _: s.sort(key=repr, reverse=i > 2),
    "clear": lambda s, i, _: s.clear() if i == 0 else None,
    "reversed": lambda s, _i, _v: list(reversed(s)),
    "nested": lambda s, i, _: s[i].append(5),
    "len": lambda s, _i, _v: len(s),
    "iadd": lambda s, i, v: s.__iadd__([v, i]) and None,
}
log_calls = {name: list_calls[name] for name in ("read", "append", "extend", "index", "count", "in", "reversed", "len")}


def result_of(call: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return copy.deepcopy(plain(call(*copy.deepcopy(arguments[1:-1]), copy.deepcopy(arguments[-1]))))
    except (KeyError, IndexError, ValueError, AttributeError) as error:
        return type(error)


class Collections(RuleBasedStateMachine):
    """A stack of branches, the deepest one at work, and plain objects beside each."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[tuple[ContextBranch, Plain]] = []
        self.snapshots: list[tuple[Any, Plain]] = []

    @initialize(
        mapping=st.dictionaries(keys, values, max_size=5), items=st.lists(values, max_size=5), log=st.lists(values)
    )
    def begin(self, mapping: dict[Any, Any], items: list[Any], log: list[Any]) -> None:
        start = Live(ContextMap(mapping), ContextList(items), Log(log))
        self.stack = [(open_branch(start), copy.deepcopy(Plain(mapping, items, log)))]

    def both(self, name: str, call: Callable[..., Any], *arguments: Any) -> None:
        branch, reference = self.stack[-1]
        outcomes: list[Any] = []
        for owner in (branch.context, reference):
            target = getattr(owner, name)
            outcomes.append(result_of(lambda *given, at=target: call(at, *given), None, *arguments))
        assert outcomes[0] == outcomes[1]

    @rule(call=st.sampled_from(sorted(map_calls)), key=keys, value=values)
    def use_mapping(self, call: str, key: Any, value: Any) -> None:
        self.both("mapping", map_calls[call], key, value)

    @rule(call=st.sampled_from(sorted(list_calls)), index=indexes, value=values)
    def use_list(self, call: str, index: int, value: Any) -> None:
        self.both("items", list_calls[call], index, value)

    @rule(call=st.sampled_from(sorted(log_calls)), index=indexes, value=values)
    def use_log(self, call: str, index: int, value: Any) -> None:
        self.both("log", log_calls[call], index, value)

    @rule(where=slices, new=st.lists(values, max_size=3))
    def use_slices(self, where: slice, new: list[Any]) -> None:
        self.both("items", lambda s, w, _: s[w], where, new)
        self.both("log", lambda s, w, _: s[w], where, new)
        self.both("items", lambda s, w, n: s.__setitem__(w, n), where, new)

    @rule(where=slices)
    def delete_slice(self, where: slice) -> None:
        self.both("items", lambda s, w, _: _delete(s, w), where, None)

    @rule()
    def fork(self) -> None:
        if len(self.stack) < 4:
            branch, reference = self.stack[-1]
            self.stack.append((branch.fork(), copy.deepcopy(reference)))

    @rule()
    def hand_up(self) -> None:
        if len(self.stack) > 1:
            branch, reference = self.stack.pop()
            self.stack[-1][0].adopt(branch)
            self.stack[-1] = (self.stack[-1][0], reference)

    @rule()
    def give_up(self) -> None:
        if len(self.stack) > 1:
            self.stack.pop()

    @rule()
    def keep_a_snapshot(self) -> None:
        branch, reference = self.stack[-1]
        self.snapshots.append((branch.snapshot(), copy.deepcopy(reference)))

    @invariant()
    def all_are_equal(self) -> None:
        for branch, reference in self.stack:
            self.compare(branch.publish(), reference)
        if self.stack:
            self.compare(self.stack[-1][0].context, self.stack[-1][1])

    def teardown(self) -> None:
        for snapshot, reference in self.snapshots:
            self.compare(snapshot, reference)

    def compare(self, found: Any, reference: Plain) -> None:
        assert len(found.mapping) == len(reference.mapping)
        assert plain(found.mapping) == reference.mapping
        assert plain(found.items) == reference.items
        assert plain(found.log) == reference.log


TestCollections = Collections.TestCase
# A run of the machine is dozens of examples.
TestCollections.settings = settings(max_examples=max(settings().max_examples // 5, 10), stateful_step_count=40)
