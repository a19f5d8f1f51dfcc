"""A supervising actor: a step actor with children."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import trio

from flujo_actors.context import Origin, merge
from flujo_actors.errors import ContextError, MergeConflictError
from flujo_actors.events import BranchesMerged, MergeConflictFound
from flujo_actors.failures import (
    Failure,
    FailureDomain,
    cancelled_failure,
    context_failure,
    merge_failure,
    user_function_failure,
)
from flujo_actors.messages import Start
from flujo_actors.nurseries import raise_sole, split_cancelled
from flujo_actors.results import StepResult
from flujo_actors.supervisors.asking import Answer, call
from flujo_actors.supervisors.children import Children, Contribution
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.supervisors.place import Place
from flujo_actors.supervisors.spawning import Spawner
from flujo_actors.supervisors.step_actor import StepActor, StepT


class Supervisor(StepActor[StepT]):
    """The actor of a composite step. It owns a nursery for its children; subclasses say in `supervise` what they do."""

    __slots__ = ("_children",)

    keeps_failed_writes: ClassVar[bool] = True
    """Whether what a composite child accepted stays in the context when that child has failed after all."""

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
                    Spawner(
                        nursery,
                        branch=self.branch,
                        environment=self.environment,
                        meter=self.place.meter,
                        reports=self.mailbox,
                        supervisor=self,
                    ),
                    keeps_failed_writes=self.keeps_failed_writes,
                )
                return self._checked(await self.supervise(children, data))
        except BaseExceptionGroup as group:
            raise_sole(group)
        # The nursery's scope was cancelled, which is the scope of a child that was running alone in it.
        children.settle_abandoned()  # type: ignore[unreachable] # a nursery does swallow the cancellation of its scope
        reason = children.cancel_reason or "its only child was cancelled"
        return self.only_child_cancelled(children.history[-1], reason)

    async def ask(self, function: Callable[[Any], Any], domain: FailureDomain, what: str) -> Answer:
        """Call a user's function on the context, between two children. It may be `async`, and may change the context.

        Args:
            function: called with the context. What it changed stays when it returns, and is gone when it raises.
            domain: what its failure is one of.
            what: what to say before the error's own text.

        Returns:
            What it returned, or how it failed.
        """
        fork = self.branch.fork()
        try:
            value = await call(function, fork.context)
            self.branch.adopt(fork, self.origin())
        except Exception as error:  # noqa: BLE001 - whatever user code raises is data from here on
            fork.release()
            self.cause = self._user_function_failure(domain, what, error)
            # Raised while being cancelled, in a `finally` perhaps, it is not why the step ended.
            await trio.lowlevel.checkpoint_if_cancelled()
            failure, self.cause = self.cause, None
            return Answer(failure=failure)
        except BaseExceptionGroup as group:
            errors, cancelled = split_cancelled(group)
            self.cause = None if errors is None else self._user_function_failure(domain, what, errors)
            raise cancelled from None
        return Answer(value)

    def merge(self, contributions: Iterable[Contribution], **options: Any) -> Failure | None:
        """Merge what children wrote side by side: all of it, or nothing.

        Args:
            contributions: of each child that succeeded (`Children.contribution`), in the order that counts.
            **options: those of `flujo_actors.context.merge`.

        Returns:
            The failure, when they cannot be merged.
        """
        refusal = Exception if callable(options.get("strategy")) else MergeConflictError
        named = tuple(contributions)
        try:
            merge(self.branch, named, **options)
        except ContextError as error:
            return context_failure(error, step=self.place.path, attempt=self.attempt)
        except refusal as error:
            failure = merge_failure(error, step=self.place.path, attempt=self.attempt)
            self.environment.publish(MergeConflictFound, self.place, failure)
            return failure
        if self.environment.watchers:
            self.environment.publish(BranchesMerged, self.place, tuple(name for name, _, _ in named))
        return None

    def origin(self) -> Origin:
        """Who writes what the step itself puts into the context."""
        return Origin(self.environment.run_id, self.place.path, attempt=self.attempt)

    def _checked(self, result: object) -> StepResult:
        if not isinstance(result, StepResult):
            raise TypeError(
                f"{type(self).__name__}.supervise must return a StepResult, by `self.completed` or `self.failed`; "
                f"it returned {result!r}"
            )
        return result

    def _user_function_failure(self, domain: FailureDomain, what: str, error: Exception) -> Failure:
        return user_function_failure(domain, what, error, step=self.place.path, attempt=self.attempt)

    def only_child_cancelled(self, result: StepResult, reason: str) -> StepResult:
        """What it means that a child was cancelled while `supervise` did nothing but `children.run` it.

        Args:
            result: the child's. It is a success when the child completed in spite of being cancelled.
            reason: why it was cancelled.
        """
        failure = result.failure or cancelled_failure(reason, step=self.place.path, attempt=self.attempt, running=())
        return self.failed(failure)

    def stop(self) -> None:
        """Record the children that were cancelled along, then report."""
        if self._children is not None:
            self._children.settle_abandoned()
        super().stop()
        self._children = None  # they know each other: apart, both go without the garbage collector

    def below(self) -> Iterable[StepActor[Any]]:
        """The actors of the children."""
        return () if self._children is None else self._children.actors

    def history(self) -> tuple[StepResult, ...]:
        """The results of the children that have settled."""
        return () if self._children is None else tuple(self._children.history)

    def running(self) -> tuple[str, ...]:
        """The leaves that were at work below; the supervisor itself when it was between two children."""
        stopped = () if self._children is None else tuple(self._children.stopped)
        return stopped or super().running()
