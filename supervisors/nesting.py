"""Which agent's code is running: a run that it starts becomes part of the run around it."""

from __future__ import annotations

from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flujo_actors.supervisors.leaf import LeafActor

CURRENT_AGENT: Final[ContextVar[LeafActor | None]] = ContextVar("flujo_actors current agent", default=None)
"""The agent whose code this task runs, and those that it starts; `None` for none."""


def context_outside_agents() -> Context:
    """A copy of the context variables for what an agent starts and what is no part of its run."""
    context = copy_context()
    context.run(CURRENT_AGENT.set, None)
    return context


def agent_at_work() -> LeafActor | None:
    """The actor of the agent whose code this task runs, of whichever system, if it is still at work."""
    actor = CURRENT_AGENT.get()
    return None if actor is None or actor.mailbox.closed else actor


def current_agent(system: object) -> LeafActor | None:
    """The actor of the agent whose code this task runs, if it belongs to a run of this system and is at work."""
    actor = agent_at_work()
    return actor if actor is not None and actor.environment.system is system else None
