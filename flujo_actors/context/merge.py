"""Merging parallel branches: a strategy's pure part, from the states of the branches to the next state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from flujo_actors.context.absent import ABSENT
from flujo_actors.context.application import Application, rewired
from flujo_actors.context.blame import Merging, Origin, signed
from flujo_actors.context.changes import Change, Delete, Difference, Edit, ListEdit, Replace, SetEdit
from flujo_actors.context.combine import Clash, Combination
from flujo_actors.context.nodes import Node, RecordNode
from flujo_actors.context.paths import format_path
from flujo_actors.context.state import State
from flujo_actors.context.strategies import MergeStrategy
from flujo_actors.context.thaw import publish
from flujo_actors.context.validation import validated
from flujo_actors.errors import MergeConflict, MergeConflictError

_LONGEST_VALUE = 60


@attrs.frozen(eq=False)
class Contribution:
    """What one branch brings to a merge."""

    branch: str
    state: State
    origin: Origin | None = None
    whole_fields: tuple[str, ...] = ()
    """Fields that are taken from it as they are, before anything is compared."""
    changes: dict[Any, Change] | None = None
    """What it changed of the context's fields, where that is known without a comparison of states."""


def merge_states(
    base: State, contributions: Sequence[Contribution], strategy: MergeStrategy, include: Iterable[str] | None
) -> State:
    """The state after a merge.

    Args:
        base: the state that all branches forked from.
        contributions: the branches in declared order.
        strategy: anything but `NO_MERGE`.
        include: the fields that are merged; `None` for all.

    Raises:
        MergeConflictError: with every conflict.
        ContextError: a validator or a merge rule refused a merged value.
    """
    tangled = base.tangled or any(contribution.state.tangled for contribution in contributions)
    differences, changes = _compared(base, contributions, tangled=tangled)
    if not tangled and any(_moves(*pair) for pair in zip(changes, differences, strict=True)):
        # Taken for itself, the one alike would stand in two places. Now every object counts as the one that it is.
        tangled = True
        differences, changes = _compared(base, contributions, tangled=True)
    wanted = None if include is None else frozenset(include)
    changes = [change if wanted is None else _only(change, wanted) for change in changes]
    verbatim = _verbatim(contributions)
    changes = [_without(change, verbatim.keys()) for change in changes]
    combined = _combine(base, contributions, changes, strategy, tangled=tangled)
    parts = {**combined, **verbatim}
    if not parts:
        return base
    pairs = [pair for difference in differences for pair in difference.pairs] if tangled else None
    states = [contribution.state for contribution in contributions]
    change = Edit(parts, 0, [base.root, *(state.root for state in states)])
    branches = tuple((c.origin, signed(c.state.writings, base.writings, c.origin)) for c in contributions)
    merging = Merging(change, branches, base.writings, base.writings)
    return _next_state(base, change, merging, base.aliased.union(*(state.aliased for state in states)), pairs)


def _compared(
    base: State, contributions: Sequence[Contribution], *, tangled: bool
) -> tuple[list[Difference], list[dict[Any, Change]]]:
    """What each branch changed, with the comparison that found it."""
    differences = [Difference(index, tangled=tangled) for index in range(len(contributions))]
    return differences, [_changes_of(base, *pair) for pair in zip(contributions, differences, strict=True)]


def _moves(changes: dict[Any, Change], difference: Difference) -> bool:
    """Whether an object of the base was put into another place, and one that is alike was left in its own."""
    alike = {before.lineage for before, after in difference.pairs if before.lineage != after.lineage}
    return bool(alike) and any(value.lineage in alike for change in changes.values() for value in _put(change))


def _put(change: Change) -> Iterator[Node]:
    """The nodes that a change puts somewhere."""
    values: list[Any] = []
    match change:
        case Replace(value):
            values = [value]
        case ListEdit(_, splices):
            values = [item for splice in splices for item in splice.items]
        case _:
            pass
    yield from (value for value in values if isinstance(value, Node))
    if isinstance(change, Edit | ListEdit):
        for part in change.parts.values():
            yield from _put(part)


def merge_changes(
    base: State, changes: dict[Any, Change], origins: Iterable[Origin | None], include: Iterable[str] | None
) -> State:
    """The state after a merge of branches whose changes do not meet and are known without a comparison of states.

    Args:
        base: the state that all branches forked from, and sealed none since.
        changes: of the context's fields, by all branches.
        origins: the writer of each branch in declared order.
        include: the fields that are merged; `None` for all.

    Raises:
        ContextError: a validator refused a merged value.
    """
    parts = changes if include is None else _only(changes, frozenset(include))
    if not parts:
        return base
    change = Edit(parts)
    branches = tuple([(origin, base.writings) for origin in origins])
    return _next_state(base, change, Merging(change, branches, base.writings, base.writings), base.aliased, None)


def _changes_of(base: State, contribution: Contribution, difference: Difference) -> dict[Any, Change]:
    if contribution.changes is not None:
        return contribution.changes
    return _top_level(difference.between(base.root, contribution.state.root))


def _top_level(change: Change | None) -> dict[Any, Change]:
    if change is None:
        return {}
    assert isinstance(change, Edit), "the context stays the same object"  # noqa: S101 - an invariant
    return change.parts


def _only(change: dict[Any, Change], names: frozenset[str]) -> dict[Any, Change]:
    return {name: part for name, part in change.items() if name in names}


def _without(change: dict[Any, Change], names: Iterable[Any]) -> dict[Any, Change]:
    dropped = frozenset(names)
    return {name: part for name, part in change.items() if name not in dropped} if dropped else change


def _verbatim(contributions: Sequence[Contribution]) -> dict[Any, Change]:
    """The fields named by a field mapping; of two branches with one field, the later one's."""
    taken: dict[Any, Change] = {}
    for index, contribution in enumerate(contributions):
        for name in contribution.whole_fields:
            value = _field(contribution.state.root, name)
            taken[name] = Delete(index) if value is ABSENT else Replace(value, index)
    return taken


def _field(root: Any, name: str) -> Any:
    return (root.values if isinstance(root, RecordNode) else root.items).get(name, ABSENT)


def _combine(
    base: State,
    contributions: Sequence[Contribution],
    changes: Sequence[dict[Any, Change]],
    strategy: MergeStrategy,
    *,
    tangled: bool,
) -> dict[Any, Change]:
    if strategy is MergeStrategy.OVERWRITE:
        return changes[-1]
    combination = Combination(strategy, tangled=tangled)
    combined: Change | None = None
    for index, parts in enumerate(changes):
        combined = combination.of(base.root, combined, Edit(parts, index) if parts else None)
    if combination.clashes:
        raise MergeConflictError(tuple(_conflict(clash, contributions) for clash in combination.clashes))
    return _top_level(combined)


def _next_state(
    base: State, change: Edit, merging: Merging, aliased: frozenset[str], pairs: list[tuple[Node, Node]] | None
) -> State:
    """`pairs`: the nodes that were compared, if objects are reachable by several paths; else `None`."""
    application = Application()
    root = application.value(base.root, change)
    if pairs is not None:
        replaced = application.replaced
        for before, after in pairs:
            replaced.setdefault(id(after), replaced.get(id(before), before))
        root = rewired(root, replaced)
    root = validated(root, change, base.run)
    return State(
        root,
        base.run,
        aliased=aliased,
        tangled=pairs is not None,
        writings=merging,
        unsettled=tuple(application.versions),
    )


def _conflict(clash: Clash, contributions: Sequence[Contribution]) -> MergeConflict:
    ours, theirs = (contributions[_source(change)] for change in (clash.ours, clash.theirs))
    return MergeConflict(
        path=format_path(clash.path),
        branches=(ours.branch, theirs.branch),
        origins=(_text(ours.origin), _text(theirs.origin)),
        values=(_described(clash.base, clash.ours), _described(clash.base, clash.theirs)),
        base="absent" if clash.base is ABSENT else _shortened(clash.base),
        remedy=_remedy(clash),
    )


def _text(origin: Origin | None) -> str | None:
    return None if origin is None else str(origin)


def _source(change: Change) -> int:
    """The first branch that has a part in a change."""
    match change:
        case Edit() | ListEdit() if change.parts:
            return min(_source(part) for part in change.parts.values())
        case ListEdit():
            return min(splice.source for splice in change.splices)
        case SetEdit():
            return min([*change.added.values(), *change.removed.values()])
        case _:
            return change.source


def _described(base: Any, change: Change) -> str:
    match change:
        case Delete():
            return "deleted it"
        case Replace():
            return f"wrote {_shortened(change.value)}"
        case _:
            return f"made it {_shortened(Application().value(base, change))}"


def _shortened(value: Any) -> str:
    text = "a value whose repr fails"
    with contextlib.suppress(Exception):  # a user's `__repr__` may do anything, and this is for an error message
        text = repr(publish(value) if isinstance(value, Node) else value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _remedy(clash: Clash) -> str:
    if isinstance(clash.ours, Delete) or isinstance(clash.theirs, Delete):
        return "Let one branch decide: name the field in `field_mapping`, or merge with a function of your own"
    return (
        "Declare how the field merges, for instance Annotated[int, Sum()], write to different keys, "
        "or choose a `merge_strategy` or `field_mapping`"
    )
