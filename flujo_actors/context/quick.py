"""Short cuts for what most steps do: set a few atoms, and keys of a `ContextMap` to atoms.

Nothing here is needed for a right result; what does not fit goes the general way, through `freeze` and `changes`.
Atoms are shared by everybody, so a branch that wrote atoms only has nothing to be taken out of its reach.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flujo_actors.context.absent import ABSENT
from flujo_actors.context.atoms import ATOM_TYPES, all_atoms
from flujo_actors.context.changes import Change, Edit, Replace
from flujo_actors.context.collections import ContextMap
from flujo_actors.context.equality import same_value
from flujo_actors.context.lazy import instance_dict
from flujo_actors.context.nodes import MapNode, Node, RecordNode


def sealed_atoms(live: Any, root: Node) -> RecordNode | None:
    """The sealed state of a context in which atoms were set, and nothing else was touched; else `None`."""
    if not isinstance(root, RecordNode) or not root.shape.is_simple or live.__flujo_source__ is not root:
        return None
    touched = instance_dict(live)
    if not all_atoms(touched.values()):
        return None
    before = root.values
    # What was read only is the very same object, which is told without a call.
    changed = {
        name: value
        for name, value in touched.items()
        if (former := before.get(name, ABSENT)) is not value and not same_value(former, value)
    }
    return RecordNode(root.shape, {**before, **changed}, root) if changed else root


def atomic_changes(live: Any, root: Node, source: int) -> dict[Any, Change] | None:
    """What a branch changed of its context, if it set atoms and keys of maps to atoms only; else `None`."""
    if not isinstance(root, RecordNode) or not root.shape.is_simple or live.__flujo_source__ is not root:
        return None
    values = root.values
    parts: dict[Any, Change] = {}
    for name, value in instance_dict(live).items():
        if type(value) in ATOM_TYPES:
            if not same_value(values.get(name, ABSENT), value):
                parts[name] = Replace(value, source)
            continue
        entries = _written_keys(value, values.get(name, ABSENT), source)
        if entries is None:
            return None
        if entries:
            parts[name] = Edit(entries, source)
    return parts


def _written_keys(value: Any, node: Any, source: int) -> dict[Any, Change] | None:
    if type(value) is not ContextMap or not isinstance(node, MapNode):
        return None
    local = value.atoms_written_over(node)
    if local is None:
        return None
    get = node.version.get
    return {key: Replace(atom, source) for key, atom in local.items() if not same_value(get(key), atom)}


def gathered_atoms(lives: Iterable[Any], root: Node) -> dict[Any, Change] | None:
    """What the branches of a merge changed of their context all together; `None` when that takes the general way.

    That is when one of them did more than `atomic_changes` knows, two wrote in one place, or a field has a merge rule.

    Args:
        lives: the live context of each branch, in declared order; `None` for one that has none.
        root: the state that all of them began with.
    """
    if not isinstance(root, RecordNode) or not root.shape.is_simple:
        return None
    gathering = _Gathering(root)
    for source, live in enumerate(lives):
        if live is None:
            continue
        if live.__flujo_source__ is not root or not gathering.takes(instance_dict(live), source):
            return None
    return gathering.changes()


class _Gathering:
    """Writes of many branches in one place. Each is looked at only once they are together: then it is done in bulk."""

    def __init__(self, root: RecordNode) -> None:
        self._root = root
        self._fields: dict[Any, Change] = {}
        self._maps: dict[str, tuple[dict[Any, Any], dict[Any, int]]] = {}
        """By field: the values by key, and who wrote each."""

    def takes(self, touched: dict[str, Any], source: int) -> bool:
        """Take in what one branch wrote, unless it does not fit."""
        values = self._root.values
        for name, value in touched.items():
            before = values.get(name, ABSENT)
            if type(value) is ContextMap:
                if not self._takes_keys(name, before, value, source):
                    return False
            elif before is not value and not self._takes_atom(name, before, value, source):
                return False
        return True

    def _takes_atom(self, name: str, before: Any, value: Any, source: int) -> bool:
        if type(value) not in ATOM_TYPES:
            return False
        if same_value(before, value):
            return True
        if not self._is_free(name):
            return False
        self._fields[name] = Replace(value, source)
        return True

    def _takes_keys(self, name: str, node: Any, live: ContextMap[Any, Any], source: int) -> bool:
        local = live.written_over(node) if isinstance(node, MapNode) else None
        if not local:
            return local is not None
        written = self._maps.get(name)
        if written is None:
            if not self._is_free(name):
                return False
            written = self._maps[name] = ({}, {})
        values, sources = written
        expected = len(values) + len(local)
        values.update(local)
        sources.update(dict.fromkeys(local, source))
        return len(values) == expected  # else some key was there already

    def _is_free(self, name: str) -> bool:
        return name not in self._fields and name not in self._maps and name not in self._root.shape.rules

    def changes(self) -> dict[Any, Change] | None:
        """All that was taken in, if it is atoms."""
        changes = self._fields
        for name, (values, sources) in self._maps.items():
            if not all_atoms(values.values()):
                return None
            before = self._root.values[name].version.get_all(values)
            parts: dict[Any, Change] = {
                key: Replace(value, sources[key])
                for former, (key, value) in zip(before, values.items(), strict=True)
                if former is ABSENT or not same_value(former, value)
            }
            if parts:
                changes[name] = Edit(parts, min(map(sources.__getitem__, parts)))
        return changes
