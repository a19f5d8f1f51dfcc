"""A supervising actor: a step actor with children."""

from __future__ import annotations

import abc
from typing import Any

import trio

from flujo_actors.failures import cancelled_failure
from flujo_actors.messages import Start
from flujo_actors.nurseries import raise_sole
from flujo_actors.results import StepResult
from flujo_actors.supervisors.children import Children
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.supervisors.step_actor import Place, StepActor, StepT


class Supervisor(StepActor[StepT]):
    """The actor of a composite step. It owns a nursery for its children; subclasses say in `supervise` what they do."""

    __slots__ = ("_children",)

    def __init__(
        self,
        step: StepT,
        place: Place,
        environment: RunEnvironment,
        start: Start,
        surrounding_scope: trio.CancelScope | None,
    ) -> None:
        super().__init__(step, place, environment, start, surrounding_scope)
        self._children: Children | None = None

    @abc.abstractmethod
    async def supervise(self, children: Children, data: Any) -> StepResult:
        """Run the children as the step says, and say how it went.

        A child's failure is in its result; `trio.Cancelled` is left to pass.
        """

    async def perform(self, data: Any) -> StepResult:
        """Open the nursery and supervise in it."""
        # A task that is started in a cancelled scope runs up to its first checkpoint. No agent should.
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            async with trio.open_nursery() as nursery:
                children = self._children = Children(
                    nursery,
                    branch=self.branch,
                    environment=self.environment,
                    meter=self.place.meter,
                    reports=self.mailbox,
                    supervisor=self,
                )
                return self._checked(await self.supervise(children, data))
        except BaseExceptionGroup as group:
            raise_sole(group)
        # The nursery's scope was cancelled, which is the scope of a child that was running alone in it.
        children.settle_abandoned()  # type: ignore[unreachable] # a nursery does swallow the cancellation of its scope
        reason = children.cancel_reason or "its only child was cancelled"
        return self.only_child_cancelled(children.history[-1], reason)

    def _checked(self, result: object) -> StepResult:
        if not isinstance(result, StepResult):
            raise TypeError(
                f"{type(self).__name__}.supervise must return a StepResult, by `self.completed` or `self.failed`; "
                f"it returned {result!r}"
            )
        return result

    def only_child_cancelled(self, result: StepResult, reason: str) -> StepResult:
        """What it means that a child was cancelled while `supervise` did nothing but `children.run` it.

        Args:
            result: the child's. It is a success when the child completed in spite of being cancelled.
            reason: why it was cancelled.
        """
        failure = result.failure or cancelled_failure(
            reason, step=self.place.path, attempt=self.message.attempt, running=()
        )
        return self.failed(failure)

    def stop(self) -> None:
        """Record the children that were cancelled along, then report."""
        if self._children is not None:
            self._children.settle_abandoned()
        super().stop()

    def history(self) -> tuple[StepResult, ...]:
        """The results of the children that have settled."""
        return () if self._children is None else tuple(self._children.history)

    def running(self) -> tuple[str, ...]:
        """The leaves that were at work below; the supervisor itself when it was between two children."""
        stopped = () if self._children is None else tuple(self._children.stopped)
        return stopped or super().running()
