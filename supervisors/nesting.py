"""Which agent's code is running: a run that it starts becomes part of the run around it."""

from __future__ import annotations

import inspect
from contextvars import Context, copy_context

import trio

from flujo_actors.nurseries import tasks_upward
from flujo_actors.supervisors.leaf import CURRENT_AGENT, LeafActor


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
    """The actor of the agent in whose work this task has its part, if it belongs to a run of this system.

    A task that an agent has started elsewhere, in a nursery of the program around the run for instance, is no part of
    that: it may go on when the agent has ended, so what it runs cannot be part of the agent's run.
    """
    actor = agent_at_work()
    if actor is None or actor.environment.system is not system:
        return None
    return actor if any(_runs(task, actor) for task in tasks_upward()) else None


def _runs(task: trio.lowlevel.Task, actor: LeafActor) -> bool:
    """Whether it is the actor's task. Its coroutine tells: few are ever asked, and each would have to note its task."""
    return inspect.getcoroutinelocals(task.coro).get("self") is actor
