"""The actor of a `Step`: calls the agent once."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

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
            output = call.function(data, **self._injections()) if call.injected else call.function(data)
            if call.always_async or isinstance(output, Awaitable):
                output = await output
            self.environment.charge_for(output, self.place.meter)
        except Exception as error:  # noqa: BLE001 - whatever user code raises is data from here on
            return self.failed(self._agent_failure(error))
        except BaseExceptionGroup as group:
            raise _without_user_errors(group) from None
        return self.completed(output)

    def _injections(self) -> dict[str, Any]:
        available = {
            "context": self.branch.context,
            "resources": self.environment.resources,
            "usage": self.place.meter,
        }
        return {name: available[name] for name in self.step.call.injected}

    def _agent_failure(self, error: Exception) -> Failure:
        return agent_failure(error, step=self.place.path, attempt=self.message.attempt)


def _without_user_errors(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What of a group must go on when an agent's own nursery was cancelled and errors were raised in it too.

    Only the cancellation: the errors are the agent's, which is being stopped anyway. A group that holds
    anything else, `KeyboardInterrupt` for instance, goes on whole.
    """
    cancelled, rest = group.split(trio.Cancelled)
    return cancelled if cancelled is not None and (rest is None or isinstance(rest, ExceptionGroup)) else group
