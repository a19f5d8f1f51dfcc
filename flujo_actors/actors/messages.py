"""Messages that say what they are answered with, so that type checkers know what `ask` gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from typing import Self

MessageT_co = TypeVar("MessageT_co", covariant=True)
ReplyT_co = TypeVar("ReplyT_co", covariant=True)


class Message(Generic[ReplyT_co]):
    """The base of messages that are asked: `class Add(Message[int])` is answered with an `int`.

    Nothing depends on it when the program runs: any object can be a message, and be asked too; its answer then is
    just an `object` for type checkers.
    """

    __slots__ = ()

    if TYPE_CHECKING:

        def _answered(self) -> tuple[Self, ReplyT_co]: ...


class Answered(Protocol[MessageT_co, ReplyT_co]):
    """For type checkers alone: a `Message` seen as what it is, and as what it is answered with.

    `ActorRef.ask` needs both at once: the actor has to take such a message, and the answer has to have its type.
    """

    def _answered(self) -> tuple[MessageT_co, ReplyT_co]: ...
