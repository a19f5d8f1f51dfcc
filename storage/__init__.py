"""Storage of runs and their traces.

- `backend`: `StateBackend`, what every store can do; `records`: what it keeps of a run, and what it counts.
- `memory`, `sqlite`: the two stores.
- `traces`: from stored spans to the trace that a reader sees; `owner`: whether a run's process has died.
- `actor`: the storage actor; `inbox`: what runs send to it; `ledger`, `accounts`: what it owes to them; `parts`,
  `writing`: storing that, or as much of it as the backend takes; `policy`: what a failure means for the runs.
- `database`, `opening`, `migrations`: the file under `sqlite`: its use, its opening, its schema.
"""

from flujo_actors.storage.backend import StateBackend
from flujo_actors.storage.memory import MemoryBackend
from flujo_actors.storage.policy import StorageFailurePolicy
from flujo_actors.storage.records import NameStatistics, RunRecord, SpanStatistics
from flujo_actors.storage.sqlite import SQLiteBackend

__all__ = [
    "MemoryBackend",
    "NameStatistics",
    "RunRecord",
    "SQLiteBackend",
    "SpanStatistics",
    "StateBackend",
    "StorageFailurePolicy",
]
