"""The actor of a `Step`: calls the agent once."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, cast

import trio

from flujo_actors.failures import Failure, agent_failure
from flujo_actors.results import StepResult
from flujo_actors.steps import Step
from flujo_actors.supervisors.step_actor import StepActor

LeafStep = Step[Any, Any, Any]


class LeafActor(StepActor[LeafStep]):
    """Calls the step's agent. This is where an exception of user code becomes a failure, once."""

    __slots__ = ()

    async def perform(self, data: Any) -> StepResult:
        """Call the agent on the input."""
        call = self.step.call
        try:
            returned: Any = call.function(data, **self._injections()) if call.injected else call.function(data)
            output: Any = await returned if call.always_async or _is_awaitable(returned) else returned
            if output is not data:
                self.environment.charge_for(output, self.place.meter)
        except Exception as error:  # noqa: BLE001 - whatever user code raises is data from here on
            self.cause = self._agent_failure(error)
            # Raised while being cancelled, in a `finally` perhaps, it is not why the step ended.
            await trio.lowlevel.checkpoint_if_cancelled()
            return self.failed(self.cause)
        except BaseExceptionGroup as group:
            self.cause, cancelled = self._split(group)
            raise cancelled from None
        return self.completed(output)

    def _injections(self) -> dict[str, Any]:
        declared, injections = self.step.call.injected, dict[str, Any]()
        if "context" in declared:
            injections["context"] = self.branch.context
        if "usage" in declared:
            injections["usage"] = self.place.meter
        if "resources" in declared:
            injections["resources"] = self.environment.resources
        return injections

    def _agent_failure(self, error: Exception) -> Failure:
        return agent_failure(error, step=self.place.path, attempt=self.message.attempt)

    def _split(self, group: BaseExceptionGroup[BaseException]) -> tuple[Failure | None, BaseException]:
        """What of a group is a failure of the agent, and what has to go on, from an agent with a nursery of its own.

        When that nursery is cancelled and errors are raised in it too, only the cancellation goes on: the agent is
        being stopped anyway. A group that holds anything else, `KeyboardInterrupt` for instance, goes on whole.
        """
        cancelled, errors = group.split(trio.Cancelled)
        if cancelled is None or not isinstance(errors, ExceptionGroup):
            return None, group
        return self._agent_failure(cast("ExceptionGroup[Exception]", errors)), cancelled


def _is_awaitable(value: object) -> bool:
    return isinstance(value, Awaitable)
