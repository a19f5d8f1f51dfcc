"""The kernel: an actor is one trio task with one mailbox and one cancel scope.

The kernel knows nothing of steps. What an actor does is its `work`; who runs it is whoever starts `run` in a
nursery. It ends by itself, or because its scope or a scope around it was cancelled, and `stop` is called in
every case.
"""

from __future__ import annotations

import abc
from typing import Generic, TypeVar

import trio

from flujo_actors.mailbox import Mailbox

MessageT = TypeVar("MessageT")


class Actor(abc.ABC, Generic[MessageT]):
    """One trio task, one mailbox, one cancel scope, and a life of three steps: `start`, `work`, `stop`.

    Start it with `nursery.start_soon(actor.run, name=actor.name)`.
    """

    __slots__ = ("cancel_reason", "cancel_scope", "mailbox", "name", "owns_scope")

    def __init__(
        self, name: str, mailbox: Mailbox[MessageT], surrounding_scope: trio.CancelScope | None = None
    ) -> None:
        """Make an actor that is not yet running.

        Args:
            name: what trio's introspection and errors call it.
            mailbox: where its messages come in. Nobody else reads it.
            surrounding_scope: the scope of the nursery that it will run in, for an actor that is alone in it.
                Cancelling that scope stops just this actor, so it serves as the actor's own. `None` gives it
                one of its own. (Entering a scope costs about a third of what spawning a task does.)
        """
        self.name = name
        self.mailbox = mailbox
        self.cancel_scope = surrounding_scope or trio.CancelScope()
        self.cancel_reason: str | None = None
        self.owns_scope = surrounding_scope is None

    async def run(self) -> None:
        """Live: start, work, stop. A cancellation of the actor's own scope ends here; any other goes on."""
        try:
            if self.owns_scope:
                with self.cancel_scope:
                    self.start()
                    await self.work()
            else:
                self.start()
                await self.work()
        finally:
            self.stop()

    def start(self) -> None:
        """Called first, in the actor's task."""

    @abc.abstractmethod
    async def work(self) -> None:
        """Called second: do what the actor is for. The actor stops when this returns or is cancelled."""

    def stop(self) -> None:
        """Called last, whatever happened. Not a coroutine, so a cancellation cannot keep it from finishing."""
        self.mailbox.close()

    def cancel(self, reason: str) -> None:
        """Cancel what the actor does, all that it started included; once it has stopped, cancel nothing.

        The first reason stays. It is kept of a stopped actor too: who would have tried again then does not.
        """
        if self.cancel_reason is None:
            self.cancel_reason = reason
        if not self.stopped:
            self.cancel_scope.cancel(reason)

    @property
    def stopped(self) -> bool:
        """Whether it has. An actor whose mailbox is not its own alone has to say it otherwise."""
        return self.mailbox.closed
