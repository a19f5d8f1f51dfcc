"""What a supervisor does about a child that has ended. Pure functions, as in OTP's `supervisor.erl`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

import attrs

from flujo_actors.actors.endings import Ending, Finished
from flujo_actors.actors.specifications import Restart, RestartStrategy


class Supervised(Protocol):
    """What a strategy has to know of a child."""

    @property
    def restart(self) -> Restart:
        """Whether it is started again when it has ended."""
        ...


ChildT = TypeVar("ChildT", bound=Supervised)


@attrs.frozen
class Plan(Generic[ChildT]):
    """What is to be done, in this order."""

    stop: tuple[ChildT, ...]
    """Whom to stop, the last one started first."""
    start: tuple[ChildT, ...]
    """Whom to start then, in the order in which they were started at first."""


def restarts(restart: Restart, ending: Ending) -> bool:
    """Whether a child that has ended by itself is started again."""
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return not isinstance(ending, Finished)
        case Restart.TEMPORARY:
            return False


def plan(strategy: RestartStrategy, children: Sequence[ChildT], failed: ChildT) -> Plan[ChildT]:
    """Whom to stop and whom to start again, now that a child has failed.

    Args:
        strategy: the supervisor's.
        children: all of them, in the order in which they were started.
        failed: one of them, which has ended and is to be started again.
    """
    touched = _touched(strategy, children, failed)
    return Plan(
        stop=tuple(child for child in reversed(touched) if child is not failed),
        start=tuple(child for child in touched if child.restart is not Restart.TEMPORARY),
    )


def _touched(strategy: RestartStrategy, children: Sequence[ChildT], failed: ChildT) -> Sequence[ChildT]:
    match strategy:
        case RestartStrategy.ONE_FOR_ONE:
            return (failed,)
        case RestartStrategy.ONE_FOR_ALL:
            return children
        case RestartStrategy.REST_FOR_ONE:
            return children[next(place for place, child in enumerate(children) if child is failed) :]
