"""Short cuts for what most steps do: set a few atoms, and keys of a `ContextMap` to atoms.

Nothing here is needed for a right result; what does not fit goes the general way, through `freeze` and `changes`.
Atoms are shared by everybody, so a branch that wrote atoms only has nothing to be taken out of its reach.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

from typing import Any

from flujo_actors.context.atoms import ATOM_TYPES, all_atoms
from flujo_actors.context.changes import Change, Edit, Replace
from flujo_actors.context.collections import ContextMap
from flujo_actors.context.freeze import same_value
from flujo_actors.context.lazy import instance_dict
from flujo_actors.context.nodes import ABSENT, MapNode, Node, RecordNode


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
