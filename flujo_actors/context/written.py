"""Where in a context something was written, as paths and without the values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flujo_actors.context.changes import Change, Edit, ListEdit, part_of, value_at
from flujo_actors.context.paths import Key, Path, format_path


def written_paths(base: Any, change: Change | None, path: Path = ()) -> Iterator[str]:
    """The paths of all that a change changes, as they would be written in Python; of a list that grew, the list's.

    Args:
        base: what was changed, sealed.
        change: what was.
        path: where `base` stands.
    """
    match change:
        case None:
            return
        case Edit():
            for key, part in change.parts.items():
                step = part_of(base, key)
                yield from written_paths(value_at(base, step), part, (*path, step))
        case ListEdit():
            for index, part in change.parts.items():
                yield from written_paths(value_at(base, Key(index)), part, (*path, Key(index)))
            if change.splices:
                yield format_path(path)
        case _:
            yield format_path(path)
