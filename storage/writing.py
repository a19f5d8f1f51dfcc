"""Storing what has come in: all of it in one transaction, or as much as the backend takes.

This is what runs in the worker thread. It raises nothing that a backend raises, but for what ends the program.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from flujo_actors.errors import (
    DatabaseFailedError,
    DatabaseLockedError,
    DatabaseUnusableError,
    DuplicateRunError,
    UnknownRunError,
)
from flujo_actors.storage.backend import StateBackend
from flujo_actors.storage.parts import Part
from flujo_actors.storage.records import RunRecord


def says_that_nothing_can_be_stored(error: Exception) -> bool:
    """Whether a backend has raised it for the storage as a whole, and not perhaps for what it was to store."""
    return isinstance(error, DatabaseFailedError | DatabaseUnusableError)


@attrs.define(eq=False)
class Outcome:
    """What has become of some parts, which may have been taken apart on the way."""

    written: list[Part] = attrs.Factory(list[Part])
    refused: list[tuple[Part, Exception]] = attrs.Factory(list[tuple[Part, Exception]])
    failure: Exception | None = None
    """Why nothing at all could be stored, if so."""


def write_parts(backend: StateBackend, parts: Sequence[Part]) -> Outcome:
    """Store parts of different runs.

    A backend says by a `DatabaseFailedError` or a `DatabaseUnusableError` that nothing can be stored. Whatever else it
    raises may be meant for one run, or one span, which shall not cost the others theirs: each run is tried alone, then
    what is refused is narrowed down, unless nothing at all is taken.
    """
    error = _try(backend, parts)
    if isinstance(error, DatabaseFailedError) and not isinstance(error, DatabaseLockedError):
        # A backend may be well again as soon as it has seen what is wrong, when its file was removed for instance.
        error = _try(backend, parts)
    if error is None:
        return Outcome(written=list(parts))
    if says_that_nothing_can_be_stored(error):
        return Outcome(refused=[(part, error) for part in parts], failure=error)
    outcome = _write_what_is_taken(backend, parts, error)
    return outcome if outcome.written else attrs.evolve(outcome, failure=error)


def _write_what_is_taken(backend: StateBackend, parts: Sequence[Part], error: Exception) -> Outcome:
    alone = Outcome(refused=[(parts[0], error)]) if len(parts) == 1 else _write_each(backend, parts)
    outcome = Outcome(written=alone.written)
    for place, (part, why) in enumerate(alone.refused):
        hopeless = place > 0 and not outcome.written
        found = Outcome(refused=[(part, why)]) if hopeless else _narrow_down(backend, part, why)
        outcome.written += found.written
        outcome.refused += found.refused
    return outcome


def _narrow_down(backend: StateBackend, part: Part, error: Exception) -> Outcome:
    """Take a refused part apart, as long as all of it but one piece can be stored."""
    if part.begins:
        return _begin_and_narrow_down(backend, part, error)
    outcome = Outcome(refused=[(part, error)])
    while len(outcome.refused) == 1 and (pieces := outcome.refused[0][0].pieces()):
        found = _write_each(backend, pieces)
        if not found.written:
            break
        outcome.written += found.written
        outcome.refused = found.refused
    return outcome


def _begin_and_narrow_down(backend: StateBackend, part: Part, error: Exception) -> Outcome:
    """Without its start nothing of a run is stored: its id may be that of another run."""
    start = attrs.evolve(part, spans=(), end=None)
    refusal = _try(backend, [start])
    if refusal is not None:
        return Outcome(refused=[(part, refusal)])
    if not part.spans and part.end is None:
        return Outcome(written=[start])
    rest = _narrow_down(backend, attrs.evolve(part, begins=False), error)
    return Outcome([start, *rest.written], rest.refused)


def _write_each(backend: StateBackend, parts: Sequence[Part]) -> Outcome:
    outcome = Outcome()
    for part in parts:
        error = _try(backend, [part])
        if error is None:
            outcome.written.append(part)
        else:
            outcome.refused.append((part, error))
    return outcome


def _try(backend: StateBackend, parts: Sequence[Part]) -> Exception | None:
    """Store parts in one transaction. Returns why it failed, if it did."""
    while True:
        try:
            with backend.transaction():
                for part in parts:
                    part.store(backend)
        except (UnknownRunError, DuplicateRunError) as error:
            if not _correct_starts(backend, parts):
                return error
        except Exception as error:  # noqa: BLE001 - a backend may raise anything; the runs go on
            return error
        else:
            return None


def _correct_starts(backend: StateBackend, parts: Sequence[Part]) -> bool:
    """See which runs the backend knows, and have the starts of the others stored, and of no more. Whether that helps.

    Of one that it does not know any more, the file was removed, or somebody has deleted it. One that it knows already
    was stored although it said that it could not, unless its id is another run's.
    """
    return sum(_correct_start(backend, part) for part in parts) > 0


def _correct_start(backend: StateBackend, part: Part) -> bool:
    try:
        known = backend.get_run(part.run.run_id)
    except Exception:  # noqa: BLE001 - as above
        return False
    if known is None and not (part.begins or part.was_forgotten):
        part.begins = part.was_forgotten = True
    elif known is not None and part.begins and _is_same(known, part.run):
        part.begins = False
    else:
        return False
    return True


def _is_same(one: RunRecord, other: RunRecord) -> bool:
    return (one.pipeline, one.started_at) == (other.pipeline, other.started_at)
