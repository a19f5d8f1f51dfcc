"""Which agent's code is running: a run that it starts becomes part of the run around it."""

from __future__ import annotations

import inspect
from contextvars import Context, copy_context

import trio

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
    is_part = actor is not None and actor.environment.system is system and _is_below(actor)
    return actor if is_part else None


def _is_below(actor: LeafActor) -> bool:
    """Whether the current task is the actor's, or runs in a nursery below it and so ends before it."""
    task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
    while task is not None and not _runs(task, actor):
        task = None if task.parent_nursery is None else task.parent_nursery.parent_task
    return task is not None


def _runs(task: trio.lowlevel.Task, actor: LeafActor) -> bool:
    """Whether it is the actor's task. Its coroutine tells: few are ever asked, and each would have to note its task."""
    return inspect.getcoroutinelocals(task.coro).get("self") is actor
