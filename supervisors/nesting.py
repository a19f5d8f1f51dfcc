"""Which agent's code is running: a run that it starts becomes part of the run around it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flujo_actors.supervisors.leaf import LeafActor

_CURRENT_AGENT: Final[ContextVar[LeafActor | None]] = ContextVar("flujo_actors current agent", default=None)


def enter_agent(actor: LeafActor | None) -> None:
    """From here on, this task and those that it starts run the code of this agent; of none for `None`."""
    _CURRENT_AGENT.set(actor)


def agent_at_work() -> LeafActor | None:
    """The actor of the agent whose code this task runs, of whichever system, if it is still at work."""
    actor = _CURRENT_AGENT.get()
    return None if actor is None or actor.mailbox.closed else actor


def current_agent(system: object) -> LeafActor | None:
    """The actor of the agent whose code this task runs, if it belongs to a run of this system and is at work."""
    actor = agent_at_work()
    return actor if actor is not None and actor.environment.system is system else None
