"""Agents that answer from a script, call by call, and note how they were called."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Generic

import attrs
import trio
from typing_extensions import TypeVar

from flujo_actors.errors import FlujoError
from flujo_actors.supervisors.nesting import agent_at_work
from flujo_actors.testing.turns import Chunks, InputT, OutputT, Raise, Reply, ReplyWith, Turn
from flujo_actors.usage import UsageMeter

TurnT = TypeVar("TurnT", bound=Turn, default=Any)


@attrs.define(eq=False, slots=False)
class ScriptEndedError(FlujoError, AssertionError):
    """A scripted agent was called more often than its script has turns. In a run, a failure of the step."""

    turns: int
    """How many turns the script has."""
    calls: int
    """How many calls there were, this one included."""
    path: str | None
    """The step that made the call; `None` where no run did."""

    def __str__(self) -> str:
        by = "" if self.path is None else f", by step {self.path!r}"
        has = "1 turn" if self.turns == 1 else f"{self.turns} turns"
        return (
            f"the script has {has}, and this is call {self.calls}{by}; give it another turn, or say in `then` what "
            "every further call gets"
        )


@attrs.frozen
class RecordedCall(Generic[InputT]):
    """One call of a scripted agent."""

    data: InputT
    """The input, as it was passed; it is not copied."""
    path: str | None
    """The step that made the call; `None` where no run did."""
    attempt: int
    """Which attempt of the step it was, from 1."""
    feedback: str | None
    """What a plugin said of the output of the attempt before."""
    context: Any
    """The run's context as the step found it, a copy; `None` where the agent was not made with `keep_context`."""


class Script(Generic[InputT, TurnT]):
    """The turns of an agent, which are played one for each call, in the order in which the calls begin.

    Calls of steps that run side by side may begin in any order: give each an agent of its own, or turns that are alike.
    """

    def __init__(self, *turns: TurnT, then: TurnT | None = None, keep_context: bool = False) -> None:
        """Write a script.

        Args:
            *turns: one for each call.
            then: what every call after those gets; `None` makes it an error.
            keep_context: whether `calls` has copies of the context.
        """
        self._turns = turns
        self._then = then
        self._keep_context = keep_context
        self.calls: list[RecordedCall[InputT]] = []
        """The calls so far, in the order in which they began."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {len(self.calls)} calls, {len(self._turns)} turns>"

    @property
    def inputs(self) -> list[InputT]:
        """What it was called with, in the order of the calls."""
        return [call.data for call in self.calls]

    def assert_finished(self) -> None:
        """Hold that there was a call for each turn, and a turn for each call.

        Raises:
            AssertionError: turns are left, or there were more calls than turns.
        """
        __tracebackhide__ = True
        played, written = len(self.calls), len(self._turns)
        if played < written:
            left = "\n".join(f"    {turn}" for turn in self._turns[played:])
            raise AssertionError(f"{played} of the {written} turns of the script were played. Left are\n{left}")
        if played > written and self._then is None:
            raise ScriptEndedError(written, played, self.calls[-1].path)

    def _next_turn(self, data: InputT) -> TurnT:
        """Note a call, and give its turn.

        Raises:
            ScriptEndedError: there is none.
        """
        self.calls.append(call := self._record(data))
        if len(self.calls) <= len(self._turns):
            return self._turns[len(self.calls) - 1]
        if self._then is None:
            raise ScriptEndedError(len(self._turns), len(self.calls), call.path)
        return self._then

    def _record(self, data: InputT) -> RecordedCall[InputT]:
        actor = agent_at_work()
        if actor is None:
            return RecordedCall(data, None, 1, None, None)
        context = actor.branch.snapshot() if self._keep_context else None
        return RecordedCall(data, actor.place.path, actor.attempt, actor.message.feedback, context)


class ScriptedAgent(Script[InputT, Reply[OutputT] | ReplyWith[InputT, OutputT] | Raise], Generic[InputT, OutputT]):
    """An agent that answers from a script: `Step("ask", ScriptedAgent(Raise(OSError("busy")), Reply("yes")))`."""

    async def run(self, data: InputT, *, usage: UsageMeter) -> OutputT:
        """Play the next turn. A checkpoint.

        Raises:
            ScriptEndedError: there is none.
        """
        turn = self._next_turn(data)
        await turn.begin(usage)
        match turn:
            case Reply():
                return turn.output
            case ReplyWith():
                return turn.function(data)
            case Raise():
                raise turn.error


class ScriptedStream(Script[InputT, Chunks[OutputT] | Raise], Generic[InputT, OutputT]):
    """An agent that streams from a script: `Step("say", ScriptedStream(Chunks(["Hel", "lo"], every=0.5)))`."""

    async def run(self, data: InputT, *, usage: UsageMeter) -> AsyncGenerator[OutputT, None]:
        """Play the next turn, chunk by chunk. A checkpoint, and one after each chunk.

        Raises:
            ScriptEndedError: there is none.
        """
        turn = self._next_turn(data)
        await turn.begin(usage)
        if isinstance(turn, Raise):
            raise turn.error
        last = len(turn.chunks) - 1
        for number, chunk in enumerate(turn.chunks):
            yield chunk
            if number < last or turn.error is not None:
                await trio.sleep(turn.every)
        if turn.error is not None:
            raise turn.error
