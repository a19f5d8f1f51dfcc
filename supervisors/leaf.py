"""The actor of a `Step`: calls the agent once."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

import trio

from flujo_actors.events import ChunkProduced, UsageCharged
from flujo_actors.failures import Failure, agent_failure, context_failure
from flujo_actors.nurseries import split_cancelled
from flujo_actors.results import StepResult
from flujo_actors.steps import Step
from flujo_actors.steps.agents import AgentCall
from flujo_actors.supervisors.asking import is_awaitable
from flujo_actors.supervisors.fields import update_fields
from flujo_actors.supervisors.phases import Describe, Phase, Phases
from flujo_actors.supervisors.step_actor import StepActor
from flujo_actors.supervisors.streaming import gather_chunks, is_stream
from flujo_actors.usage import Usage

LeafStep = Step[Any, Any, Any]

CURRENT_AGENT: Final[ContextVar[LeafActor | None]] = ContextVar("flujo_actors current agent", default=None)
"""The agent whose code this task runs, and those that it starts; `None` for none. `nesting.py` asks it."""


class LeafActor(StepActor[LeafStep]):
    """Calls the step's agent. This is where an exception of user code becomes a failure, once."""

    __slots__ = ()

    takes_turns = True

    async def perform(self, data: Any) -> StepResult:
        """Call the agent on the input, with the phases around it where the step has any."""
        CURRENT_AGENT.set(self)
        if self.cancel_reason is not None:  # before its task was: it would run up to its first checkpoint
            await trio.lowlevel.checkpoint_if_cancelled()
        step = self.step
        if not step.is_plain:
            return await self._perform_phases(data)
        call = step.call
        try:
            returned: Any = call.function(data, **self._injections(call)) if call.injected else call.function(data)
            output: Any = await returned if call.always_async else await self._output_of(call, returned)
            if output is not data:
                self.environment.charge_for(output, self.place.meter, self._tell_charge)
        except Exception as error:  # noqa: BLE001 - whatever user code raises is data from here on
            return self.failed(await self._raised(error, self._agent_failure))
        except BaseExceptionGroup as group:
            raise self._cancelled_part(group) from None
        return self.completed(output)

    async def _perform_phases(self, data: Any) -> StepResult:
        step = self.step
        place, attempt = self.place, self.attempt
        phases = Phases(step, self._call, path=place.path, attempt=attempt, feedback=self.message.feedback)
        output, failure = await phases.run(data)
        if failure is not None:
            return self.failed(failure, output=output)
        self.environment.has_counted(output)
        failure = self._update_context(output) if step.updates_context else None
        return self.completed(output) if failure is None else self.failed(failure)

    async def _call(self, call: AgentCall, value: Any, describe: Describe | None = None) -> Phase:
        """Call an agent, or a helper; what it raises is a failure, for a helper as `describe` says.

        What an agent's output says that it cost is charged; a helper's is at most a copy of one. (For an agent without
        phases around it, `perform` does the same inline.)
        """
        try:
            returned: Any = call.function(value, **self._injections(call)) if call.injected else call.function(value)
            output = await self._output_of(call, returned)
            if describe is not None:
                self.environment.has_counted(output)
            elif output is not value:
                self.environment.charge_for(output, self.place.meter, self._tell_charge)
        except Exception as error:  # noqa: BLE001 - whatever user code raises is data from here on
            return Phase(None, await self._raised(error, describe or self._agent_failure))
        except BaseExceptionGroup as group:
            raise self._cancelled_part(group) from None
        return Phase(output)

    async def _output_of(self, call: AgentCall, returned: Any) -> Any:
        if call.streams or is_stream(returned):  # what a plain function gives, a decorator's for one
            return await gather_chunks(returned, self.step.stream_output, self._tell_chunk)
        return await returned if is_awaitable(returned) else returned

    def _tell_chunk(self, number: int, chunk: Any) -> None:
        self.environment.publish(ChunkProduced, self.place, self.attempt, number, chunk)

    def _tell_charge(self, amount: Usage) -> None:
        self.environment.publish(UsageCharged, self.place, amount, self.place.meter.total())

    async def _raised(self, error: Exception, describe: Callable[[Exception], Failure]) -> Failure:
        """What an exception of user code is; raised while being cancelled, in a `finally` perhaps, only a cause."""
        self.cause = failure = describe(error)
        await trio.lowlevel.checkpoint_if_cancelled()
        return failure

    def _injections(self, call: AgentCall) -> dict[str, Any]:
        declared, injections = call.injected, dict[str, Any]()
        if "context" in declared:
            injections["context"] = self.branch.context
            if len(declared) == 1:
                return injections
        if "usage" in declared:
            self.place.meter.on_charge = self._tell_charge
            injections["usage"] = self.place.meter
        if "resources" in declared:
            injections["resources"] = self.environment.resources
        if "feedback" in declared:
            injections["feedback"] = self.message.feedback
        return injections

    def _update_context(self, output: Any) -> Failure | None:
        """Write a dict's or an object's fields to those of the same names in the context."""
        try:
            update_fields(self.branch.context, output)
        except Exception as error:  # noqa: BLE001 - reading the output and writing to the context run user code
            return context_failure(error, step=self.place.path, attempt=self.attempt)
        return None

    def _agent_failure(self, error: BaseException) -> Failure:
        return agent_failure(error, step=self.place.path, attempt=self.attempt)

    def _cancelled_part(self, group: BaseExceptionGroup[BaseException]) -> BaseException:
        """What of a group has to go on, from an agent with a nursery of its own; the rest becomes a cause."""
        errors, cancelled = split_cancelled(group)
        self.cause = None if errors is None else self._agent_failure(errors)
        return cancelled
