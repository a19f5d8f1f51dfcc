"""The life of a user's actor: its hooks, and who calls them, one at a time."""

from __future__ import annotations

import abc
import logging
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Final, Generic, TypeGuard, TypeVar

import trio

from flujo_actors.actors.asking import Question, Reply
from flujo_actors.actors.children import Above, Child, Incarnation
from flujo_actors.actors.endings import Crashed, Ending, Finished, Killed, ShutDown
from flujo_actors.actors.environment import Environment
from flujo_actors.actors.roots import Root, open_root
from flujo_actors.actors.specifications import OTP_DEFAULTS, ActorSpecification, Supervision
from flujo_actors.errors import ActorCrashedError, ActorDefinitionError, ActorStoppedError, AskUnansweredError

LOGGER: Final = logging.getLogger("flujo_actors.actors")

IN_A_ROW: Final = 16
"""Messages that an actor handles, if they are there, before it lets others run."""

MessageT_contra = TypeVar("MessageT_contra", contravariant=True)


class Hooks(abc.ABC, Generic[MessageT_contra]):
    """What the runtime calls in a user's actor, in one task, and the next only when the last has returned."""

    __slots__ = ("_incarnation",)

    _incarnation: ActorIncarnation
    """Whose behaviour this is; there from `started` on."""

    supervision: ClassVar[Supervision] = OTP_DEFAULTS
    """How the children are supervised that the actor spawns itself."""

    async def started(self) -> None:
        """Called first. The actor has started when this returns; when it raises, the actor could not be started."""

    @abc.abstractmethod
    async def receive(self, message: MessageT_contra) -> Any:
        """Called with each message. What it raises is a crash of this incarnation.

        Returns:
            The answer, for who asked; see `reply_later` for another way.
        """

    async def stopping(self, ending: Ending) -> None:
        """Called last, whatever ended this incarnation, if it had started. Its own children have stopped before.

        It is to the actor what a `finally` is to a block. After a cancellation (`Killed`) it runs in the cancelled
        scope, where the first checkpoint raises `trio.Cancelled` unless it is shielded. In an orderly stop what is
        left of the actor's `shutdown` seconds is its time; after a crash, all of them are.

        Args:
            ending: how the incarnation ends: `Finished`, `ShutDown`, `Crashed` or `Killed`.
        """


class ActorChild(Child):
    """A place in which a user's actor lives."""

    def __init__(
        self, specification: ActorSpecification, path: str, supervisor: Child | None, environment: Environment
    ) -> None:
        super().__init__(specification, path, supervisor, environment, specification.capacity)
        self._make = specification.make
        self.handled = 0
        """Messages that were handled, by all incarnations together."""

    def behaviour(self, incarnation: ActorIncarnation) -> Hooks[Any]:
        """A new behaviour for a new incarnation."""
        behaviour = self._make()
        if not _is_behaviour(behaviour):
            raise ActorDefinitionError(self.path, f"`spawn` takes what makes a Behaviour; this made {behaviour!r}")
        behaviour._incarnation = incarnation  # pyright: ignore[reportPrivateUsage] - it is hidden from users only
        return behaviour

    def _incarnation(self, above: Above) -> ActorIncarnation:
        return ActorIncarnation(self, above)

    def _discard(self, messages: Iterable[Any]) -> int:
        """Tell the askers, and count the messages but for the questions that were given up."""
        unread = 0
        for message in messages:
            if not isinstance(message, Question):
                unread += 1
            elif not message.settled:
                unread += 1
                message.fail(ActorStoppedError(self.path))
        return unread


class ActorIncarnation(Incarnation):
    """One life of a user's actor."""

    __slots__ = ("_current", "_owed", "place", "root")

    root: Root
    """Where the actor's own children and tasks are; there from `started` on."""

    def __init__(self, place: ActorChild, above: Above) -> None:
        super().__init__(place, above)
        self.place = place
        self._current: Any = None
        """What is being handled, a message or a question, while its answer is still to be what `receive` returns."""
        self._owed: set[Question] = set()
        """The questions that are to be answered later."""

    async def live(self) -> Ending:
        """Make the behaviour, and call its hooks."""
        behaviour = self.place.behaviour(self)
        try:
            async with open_root(self.name, behaviour.supervision, self.place.environment) as self.root:
                await behaviour.started()
                self.has_started()
                ending = await self._receive(behaviour)
        except BaseException as error:
            await self._ended_by(error, behaviour)
            raise
        await behaviour.stopping(ending)
        return ending

    def finish(self, reason: str) -> None:
        """Stop when the message that is being handled has been."""
        self.leaving, self.drains = self.leaving or Finished(reason), False
        self.mailbox.wake()

    def reply_later(self, message: Any) -> Reply[Any]:
        """Let what `receive` returns not be the answer to the message that it handles."""
        current = self._current
        if isinstance(current, Question) and current.message is message:
            self._current = None
            self._owed.add(current)
            current.owed = self._owed
            return Reply(current)
        if current is message:
            return Reply(None)
        raise RuntimeError("`reply_later` is for the message that is being handled, once")

    def stop(self) -> None:
        """Let everybody know, those too who still wait for an answer."""
        super().stop()
        self._fail_questions(lambda: AskUnansweredError(self.name, str(self.ending)))

    async def _receive(self, behaviour: Hooks[Any]) -> ShutDown | Finished:
        """Handle one message after another, until it is to stop."""
        mailbox = self.mailbox
        while (leaving := self.leaving) is None or (self.drains and mailbox):
            if mailbox:
                await self._handle(mailbox.get_nowait(), behaviour)
                if self.place.handled % IN_A_ROW == 0:
                    await trio.lowlevel.checkpoint()
            else:
                await mailbox.wait()
        return leaving

    async def _handle(self, message: Any, behaviour: Hooks[Any]) -> None:
        self._current = message
        if type(message) is not Question:
            await behaviour.receive(message)
        elif not message.settled:
            message.begun = True
            answer = await behaviour.receive(message.message)
            if self._current is message:
                message.answer(answer)
        self._current = None
        self.place.handled += 1

    async def _ended_by(self, error: BaseException, behaviour: Hooks[Any]) -> None:
        """An exception has ended it, a cancellation for instance: clean up after it. The exception goes on."""
        ending: Ending = Killed(self.why_cancelled())
        if isinstance(error, Exception):
            ending = Crashed(error)
            self._fail_questions(lambda: _crashed(self.name, error))
        if not self.started:
            return
        try:
            with trio.move_on_after(self.place.specification.shutdown) as scope:
                await behaviour.stopping(ending)
            if scope.cancelled_caught:
                LOGGER.error("the `stopping` of %r took too long after it had crashed, and was cancelled", self.name)
        except Exception:
            LOGGER.exception("%r raised in `stopping` too; before that, %s", self.name, ending)

    def _fail_questions(self, error: Callable[[], Exception]) -> None:
        """Nobody will answer what has been begun with."""
        if isinstance(self._current, Question):
            self._current.fail(error())
        for question in tuple(self._owed):
            question.fail(error())


def _is_behaviour(value: object) -> TypeGuard[Hooks[Any]]:
    return isinstance(value, Hooks)


def _crashed(actor: str, cause: Exception) -> ActorCrashedError:
    error = ActorCrashedError(actor, cause)
    error.__cause__ = cause
    return error
