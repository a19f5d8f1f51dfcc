"""Looking at the actors that are alive, and cancelling some of them: no actor has to be registered for it anywhere."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from flujo_actors.snapshots import ActorSnapshot, ActorState
from flujo_actors.supervisors.step_actor import StepActor

_SPAN_ID: Final = re.compile("[0-9a-f]{16}")
Actors = Iterable[StepActor[Any]]


def walk(actors: Actors) -> Iterator[StepActor[Any]]:
    """These actors and all below them, parents before children."""
    for actor in tuple(actors):
        yield actor
        yield from walk(actor.below())


def cancel_part(actors: Actors, path_or_span_id: str, reason: str) -> bool:
    """Cancel the part of a run that a path, or the id of a running actor's span, names.

    A path may also name an iteration or item (`grow[3]`), or a step whose fallback is running.

    Returns:
        Whether anything was running there.
    """
    path = path_or_span_id
    if _SPAN_ID.fullmatch(path_or_span_id):
        path = next((actor.place.path for actor in walk(actors) if actor.place.span_id == path_or_span_id), path)
    return _cancel_at(actors, path, reason)


def _cancel_at(actors: Actors, path: str, reason: str) -> bool:
    found = False
    for actor in tuple(actors):
        if actor.place.path == path or actor.place.path.startswith(f"{path}/"):
            found = found or not _is_over(actor)
            actor.cancel(reason)  # and with it all below; its fallback stands beside it, and comes later here
        else:
            found = _cancel_at(actor.below(), path, reason) or found
    return found


def _is_over(actor: StepActor[Any]) -> bool:
    """Whether nothing comes any more. One that has just failed may be tried again, or have a fallback."""
    return actor.mailbox.closed and (actor.has_succeeded or actor.cancel_reason is not None)


def snapshot_of(
    actor: StepActor[Any], now: float, deadline: float = math.inf, *, is_cancelled: bool = False
) -> ActorSnapshot:
    """What an actor and those below it are doing.

    Args:
        actor: the actor.
        now: the time, on trio's clock.
        deadline: the nearest time limit above it, on trio's clock.
        is_cancelled: whether an actor above it was cancelled.
    """
    place = actor.place
    if actor.owns_scope:
        deadline = min(deadline, actor.cancel_scope.deadline)
    is_cancelled = is_cancelled or actor.cancel_scope.cancel_called
    return ActorSnapshot(
        path=place.path,
        span_id=place.span_id,
        kind=actor.step.kind,
        name=actor.step.name,
        state=_state_of(actor, is_cancelled=is_cancelled),
        attempt=actor.attempt,
        running_s=now - place.started_at,
        time_left_s=None if deadline == math.inf else max(deadline - now, 0.0),
        mailbox_length=len(actor.mailbox),
        attributes=dict(place.attributes),
        children=tuple(snapshot_of(child, now, deadline, is_cancelled=is_cancelled) for child in actor.below()),
    )


def _state_of(actor: StepActor[Any], *, is_cancelled: bool) -> ActorState:
    if actor.mailbox.closed:
        return ActorState.ENDED
    if is_cancelled:
        return ActorState.CANCELLING
    return ActorState.RUNNING if actor.has_begun else ActorState.WAITING
