"""How the branches of a parallel step are merged."""

from __future__ import annotations

import enum


class MergeStrategy(enum.Enum):
    """What becomes of the writes of several branches. Always in declared order, never in order of finishing."""

    CONTEXT_UPDATE = "context_update"
    """All of them, by path; a path that two branches changed differently is a conflict."""
    OVERWRITE = "overwrite"
    """The fields that the last branch changed; the other branches' writes are dropped."""
    KEEP_FIRST = "keep_first"
    """For each path the first branch that changed it."""
    ERROR_ON_CONFLICT = "error_on_conflict"
    """All of them; any path that two branches touched is a conflict, whatever the values."""
    NO_MERGE = "no_merge"
    """None."""
