"""What a storage that fails means for the runs that are to be stored."""

from __future__ import annotations

import enum


class StorageFailurePolicy(enum.StrEnum):
    """What becomes of a run when its trace cannot be stored: a full disk, a lock of another process, a lost file.

    Either way no run waits for a storage that has failed, nothing of the result is lost, `result.warnings` says which
    part of the trace is missing and why, and a warning is logged when it begins.
    """

    DEGRADE = "degrade"
    """The run goes on. What cannot be stored is kept, within bounds, and stored when that works again."""
    FAIL = "fail"
    """The run is cancelled, and ends as failed, in the domain `STORAGE`."""
