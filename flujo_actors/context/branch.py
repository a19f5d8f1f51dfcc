"""Branches of a context: fork, hand up, merge."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from flujo_actors.context.advice import Advice, Run
from flujo_actors.context.blame import Origin, Writing, find_origin, signed
from flujo_actors.context.changes import Change, Edit, is_same_state, outline
from flujo_actors.context.delta import Delta, delta_between
from flujo_actors.context.freeze import Freezer
from flujo_actors.context.lazy import instance_dict, rebase, swap_instance_dict
from flujo_actors.context.merge import Contribution, merge_changes, merge_states
from flujo_actors.context.nodes import DictNode, RecordNode
from flujo_actors.context.paths import parse_path
from flujo_actors.context.quick import atomic_changes, gathered_atoms, sealed_atoms
from flujo_actors.context.shapes import shape_of
from flujo_actors.context.state import State
from flujo_actors.context.strategies import MergeStrategy
from flujo_actors.context.thaw import Thawer, publish
from flujo_actors.context.written import written_paths
from flujo_actors.errors import ContextError

_set_attribute: Final = object.__setattr__
_NOTHING_ALIASED: Final[frozenset[str]] = frozenset()
_ROOT: Final = ""
"""Among the aliased fields: some field leads back to the context itself, which any write changes."""


class ContextBranch:
    """One running step's own view of the context.

    A branch is one thread's. What a thread that was given up goes on writing stays in its branch.
    """

    __slots__ = ("_base", "_live", "_state", "_thawer")

    keeps_writes: ClassVar[bool] = True
    """Whether there is a context to write to."""

    _base: State
    """The state when it was forked."""
    _state: State
    """The state when it was last sealed."""
    _live: Any
    """What the code of the step reads and changes, once it has asked for it."""
    _thawer: Thawer

    def __init__(self, state: State) -> None:
        self._base = self._state = state
        self._live = None

    @property
    def context(self) -> Any:
        """The object that the step's code reads and changes. Ask again after another branch was handed up."""
        live = self._live
        if live is None:
            state = self._state
            self._thawer = Thawer(state.root, state.aliased, state.run)
            self._live = live = self._thawer.thaw_root()
        return live

    @property
    def is_touched(self) -> bool:
        """Whether anything may have been changed in it since it was forked. To find out costs nothing."""
        return self._live is not None or self._state is not self._base

    @property
    def advice(self) -> list[Advice]:
        """What the run should be told about its context; the same for all branches of the run."""
        return self._state.run.advice

    def release(self) -> None:
        """Let go of the object that the step's code had: what is written to it from here on reaches nobody.

        What was written since the branch was last handed up, merged or forked from is gone.
        """
        self._note_touched()
        self._live = None

    def watch(self) -> None:
        """Note from here on which fields are read or written, here and in all forks. To be called before any is."""
        self._state = self._state.in_run(self._state.run.watched())

    def touched(self) -> frozenset[str | None]:
        """The fields that were read or written since `watch` was called; `None` among them stands for all."""
        self._note_touched()
        return frozenset(self._state.run.touched or ())

    def fork(self) -> ContextBranch:
        """An isolated branch: nothing done in it is seen here, nor the other way round."""
        if self._live is not None:
            self._seal(taking=False)
        return ContextBranch(self._state)

    def snapshot(self) -> Any:
        """The context as it is now, as an object of its own that nothing else reaches. Costs what was touched."""
        touched = self._state.run.touched
        if touched is not None:
            touched.add(None)  # what is read of it is not seen here
        return self.fork().context

    def publish(self) -> Any:
        """The context as an object of the user's own class with plain containers. Costs what the context weighs."""
        self._seal(taking=False)
        return publish(self._state.root)

    def adopt(self, child: ContextBranch, origin: Origin | None = None) -> None:
        """Take in all that a fork of this branch changed. Its code must have ended.

        Objects of this branch's context that were read before belong to nobody from here on.

        Args:
            child: the fork.
            origin: who wrote what it changed, for `blame`.

        Raises:
            ContextError: the child left something that cannot be isolated. This branch is unchanged.
            MergeConflictError: this branch has changed the same paths since the fork. It is unchanged.
        """
        child._seal(taking=True, origin=origin)
        if self._live is not None:
            self._seal(taking=False)
        base, state = child._base, child._state
        if state.root is base.root:
            return
        if state.run is not base.run:  # the child was watched, this branch is not
            state = child._state = state.in_run(base.run)
        if self._state is base:
            writing = state.writings
            if (
                not isinstance(writing, Writing)
                or writing.previous is not base.writings
                or writing.origin is not origin
            ):
                state = child._state = _signed(state, base, origin)
            if isinstance(state.writings, Writing):
                state.run.memory.keep(state.writings)
            self._advance(state)
        else:
            ours = Contribution("this branch", self._state)
            theirs = Contribution("the adopted branch", state, origin)
            self._advance(merge_states(base, (ours, theirs), MergeStrategy.CONTEXT_UPDATE, None))
        child._base = state

    def delta(self) -> Delta:
        """What this branch has changed since it was forked, as data."""
        self._seal(taking=False)
        return delta_between(self._base.root, self._state.root)

    def written(self, limit: int) -> list[str]:
        """The paths at which something was changed since this was forked, at most `limit` and then an ellipsis.

        Raises:
            ContextError: something was left in the context that cannot be isolated.
        """
        live, base = self._live, self._base
        parts = None
        if live is not None and self._state is base and not base.tangled:
            parts = atomic_changes(live, base.root, 0)
        if parts is not None:
            change: Change | None = Edit(parts)
        else:
            self._seal(taking=False)
            change = outline(base.root, self._state.root)
        paths = list(itertools.islice(written_paths(base.root, change), limit + 1))
        return paths if len(paths) <= limit else [*paths[:limit], "…"]

    def blame(self, path: str) -> Origin | None:
        """Who wrote the value that a path has; `None` for what the context had from the beginning.

        Args:
            path: as in Python: `a.b['k'][3]`.

        Raises:
            ValueError: it is not such a path.
        """
        self._seal(taking=False)
        return find_origin(self._state.writings, parse_path(path))

    def _seal(self, *, taking: bool, origin: Origin | None = None) -> None:
        live, state = self._live, self._state
        if live is None:
            return
        if state.run.touched is not None:
            self._note_touched()
        quick = None if state.aliased else sealed_atoms(live, state.root)
        if quick is not None:
            self._take_atoms(live, quick, origin)
            return
        if _is_untouched(live, state.root):
            return
        if _ROOT in state.aliased and isinstance(state.root, RecordNode):
            self._thawer.fill_aliased(live)
        successor = Thawer(state.root, state.aliased, state.run) if taking else None
        touched = _names_touched(live, state.root)
        freezer = Freezer(self._thawer, successor, taking=taking)
        root = freezer.seal(live)
        if not taking and freezer.tangled and is_same_state(state.root, root):
            return  # a cycle is sealed as a new one each time, also when nothing in it was changed
        freezer.finish()
        if root is not state.root:
            state = self._state = _sealed(state, root, freezer, touched, origin)
        used = successor if successor is not None else self._thawer
        used.root, used.aliased = root, state.aliased
        self._thawer = used
        if taking and isinstance(root, DictNode):
            self._live = None

    def _note_touched(self) -> None:
        live, state = self._live, self._state
        touched = state.run.touched
        if live is None or touched is None:
            return
        root = state.root
        tells = isinstance(root, RecordNode) and root.shape.kind != "pydantic" and not state.aliased
        touched.update(instance_dict(live) if tells else {None})

    def _adopt_alone(self, child: ContextBranch, origin: Origin | None) -> bool:
        """Hand up the only branch of a merge, if nothing was written beside it; no comparison is needed."""
        self._seal(taking=False)
        is_alone = self._state is child._base
        if is_alone:
            self.adopt(child, origin)
        return is_alone

    def _contribution(
        self, index: int, name: str, origin: Origin | None, whole_fields: tuple[str, ...]
    ) -> Contribution:
        state = self._state
        if self._live is not None and state is self._base and not state.tangled and not whole_fields:
            changes = atomic_changes(self._live, state.root, index)
            if changes is not None:
                return Contribution(name, state, origin, whole_fields, changes)
        self._seal(taking=True)
        return Contribution(name, self._state, origin, whole_fields)

    def _take_atoms(self, live: Any, root: RecordNode, origin: Origin | None) -> None:
        state, thawer = self._state, self._thawer
        if root is not state.root:
            writings = Writing(origin, state.root, root, state.writings)
            self._state = State(root, state.run, tangled=state.tangled, writings=writings, unsettled=state.unsettled)
            thawer.rebind(live, root)
            thawer.root = root
            _set_attribute(live, "__flujo_source__", root)
        instance_dict(live).clear()

    def _advance(self, state: State) -> None:
        state.settle()
        self._state = state
        live = self._live
        if live is None:
            return
        if not isinstance(state.root, RecordNode):
            self._live = None
            return
        self._thawer = Thawer(state.root, state.aliased, state.run)
        swap_instance_dict(live, {})
        rebase(live, state.root, self._thawer)
        self._thawer.bind(live, state.root)


def _is_untouched(live: Any, root: Any) -> bool:
    return (
        isinstance(root, RecordNode)
        and root.shape.kind != "pydantic"
        and not instance_dict(live)
        and live.__flujo_source__ is root
    )


def _names_touched(live: Any, root: Any) -> frozenset[str]:
    return frozenset(instance_dict(live)) if isinstance(root, RecordNode) else frozenset(live)


def _sealed(state: State, root: Any, freezer: Freezer, touched: frozenset[str], origin: Origin | None) -> State:
    aliased = _NOTHING_ALIASED
    if state.aliased or freezer.aliased:
        aliased = (state.aliased - touched) | freezer.aliased
    return State(
        root,
        state.run,
        aliased=aliased,
        tangled=state.tangled or freezer.tangled,
        writings=Writing(origin, state.root, root, state.writings, None, freezer.weight),
        unsettled=(*state.unsettled, *freezer.versions),
    )


def _signed(state: State, base: State, origin: Origin | None) -> State:
    return State(
        state.root,
        state.run,
        aliased=state.aliased,
        tangled=state.tangled,
        writings=signed(state.writings, base.writings, origin),
        unsettled=state.unsettled,
    )


class _NoContext(ContextBranch):
    """The branch of a run that has no context."""

    __slots__ = ()

    keeps_writes: ClassVar[bool] = False

    def fork(self) -> ContextBranch:
        return self

    def release(self) -> None:
        pass

    def watch(self) -> None:
        pass

    def adopt(self, child: ContextBranch, origin: Origin | None = None) -> None:
        pass

    def snapshot(self) -> None:
        return None

    def publish(self) -> None:
        return None

    def delta(self) -> Delta:
        return Delta(())

    def written(self, limit: int) -> list[str]:
        return []

    def blame(self, path: str) -> None:
        return None

    @property
    def context(self) -> None:
        return None

    @property
    def is_touched(self) -> bool:
        return False


def open_branch(context: Any, on_advice: Callable[[Advice], None] | None = None) -> ContextBranch:
    """The first branch of a run. The caller's object is copied, and never changed.

    Args:
        context: an attrs or dataclass instance, a pydantic model, a dict, or `None` for no context.
        on_advice: called once for each field that costs the run more than it needs to.

    Raises:
        ContextError: it is none of these, or holds something that cannot be copied.
    """
    run = Run(on_advice)
    if context is None:
        return _NoContext(State(None, run))
    _check_kind(context)
    freezer = Freezer(None, None, taking=False)
    root = freezer.seal(context)
    if not isinstance(root, RecordNode | DictNode):
        # A frozen object of atoms is an atom elsewhere. As a context it has fields.
        shape = shape_of(type(context))
        assert shape is not None, "_check_kind has seen to it"  # noqa: S101 - an invariant
        root = RecordNode(shape, dict(shape.attributes(context)))
    return ContextBranch(State(root, run, aliased=frozenset(freezer.aliased), tangled=freezer.tangled))


def _check_kind(context: Any) -> None:
    shape = None if isinstance(context, type) else shape_of(type(context).__mro__[0])
    if type(context) is dict or (shape is not None and shape.is_lazy) or hasattr(type(context), "__flujo_shape__"):
        return
    raise ContextError(
        path="",
        problem=f"is a {type(context).__name__}; pass an attrs or dataclass instance, a pydantic model or a dict",
    )


def merge(
    base: ContextBranch,
    children: Iterable[tuple[str, ContextBranch, Origin | None]],
    *,
    strategy: MergeStrategy | Callable[[Any, Mapping[str, Any]], Any] = MergeStrategy.CONTEXT_UPDATE,
    field_mapping: Mapping[str, Sequence[str]] | None = None,
    include_keys: Iterable[str] | None = None,
) -> None:
    """Merge branches that were forked from `base` back into it: all of them, or none.

    Args:
        base: the parent.
        children: name, branch and writer of each branch that succeeded, in declared order.
        strategy: how; or a function of (context, {branch: its context}) that changes the context as it sees fit.
        field_mapping: by branch, fields that are taken from it as they are, before anything is compared.
        include_keys: the fields that are merged; the others stay as they are in `base`.

    Raises:
        MergeConflictError: with every conflict. `base` is unchanged.
        ContextError: something cannot be isolated, or a validator or rule refused. `base` is unchanged.
    """
    named = list(children)
    if base._state.run.touched is not None:  # pyright: ignore[reportPrivateUsage]
        for _, child, _ in named:
            child._note_touched()  # pyright: ignore[reportPrivateUsage]
    if isinstance(base, _NoContext) or not named or strategy is MergeStrategy.NO_MERGE:
        return
    if not isinstance(strategy, MergeStrategy):
        _merge_by_function(base, named, strategy)
        return
    if len(named) == 1 and not field_mapping and include_keys is None and base._adopt_alone(*named[0][1:]):  # pyright: ignore[reportPrivateUsage]
        return
    forked_from = named[0][1]._base  # pyright: ignore[reportPrivateUsage]
    base._seal(taking=False)  # pyright: ignore[reportPrivateUsage]
    # A field mapping and `OVERWRITE` take one branch's fields, also those that others wrote; that is no overlap.
    is_plain = not field_mapping and strategy is not MergeStrategy.OVERWRITE and base._state is forked_from  # pyright: ignore[reportPrivateUsage]
    changes = _gathered(forked_from, named) if is_plain else None
    if changes is not None:
        merged = merge_changes(forked_from, changes, [origin for _, _, origin in named], include_keys)
    else:
        contributions = _contributions(base, forked_from, named, field_mapping or {})
        merged = merge_states(forked_from, contributions, strategy, include_keys)
    if merged is not forked_from:
        base._advance(merged)  # pyright: ignore[reportPrivateUsage]


def _gathered(base: State, named: Sequence[tuple[str, ContextBranch, Origin | None]]) -> dict[Any, Change] | None:
    """What branches changed that were never sealed, if it can be told the short way; else `None`."""
    if base.tangled or any(child._state is not base for _, child, _ in named):  # pyright: ignore[reportPrivateUsage]
        return None
    return gathered_atoms((child._live for _, child, _ in named), base.root)  # pyright: ignore[reportPrivateUsage]


def _contributions(
    base: ContextBranch,
    forked_from: State,
    named: Sequence[tuple[str, ContextBranch, Origin | None]],
    mapping: Mapping[str, Sequence[str]],
) -> list[Contribution]:
    moved = [] if base._state is forked_from else [Contribution("the parent", base._state)]  # pyright: ignore[reportPrivateUsage]
    return moved + [
        child._contribution(index, name, origin, tuple(mapping.get(name, ())))  # pyright: ignore[reportPrivateUsage]
        for index, (name, child, origin) in enumerate(named, len(moved))
    ]


def _merge_by_function(
    base: ContextBranch,
    named: Sequence[tuple[str, ContextBranch, Origin | None]],
    function: Callable[[Any, Mapping[str, Any]], Any],
) -> None:
    trial = base.fork()
    function(trial.context, {name: child.snapshot() for name, child, _ in named})
    base.adopt(trial)
