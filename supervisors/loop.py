"""The supervisor of a `LoopStep`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from flujo_actors.failures import Failure, FailureDomain
from flujo_actors.results import StepResult
from flujo_actors.steps.loop import LoopStep
from flujo_actors.supervisors.asking import Answer, call
from flujo_actors.supervisors.children import Children
from flujo_actors.supervisors.rounds import EXITED_BY_CONDITION, REACHED_MAX_LOOPS, RoundsSupervisor


class LoopSupervisor(RoundsSupervisor[LoopStep[Any, Any, Any]]):
    """Runs the body until the condition holds."""

    __slots__ = ()

    async def supervise(self, children: Children, data: Any) -> StepResult:
        """Map the input, iterate, ask, map the output."""
        step = self.step
        first = await self._mapped("initial_input_mapper", step.initial_input_mapper, data)
        if first.failure is not None:
            return self.ended("initial_input_mapper_error", failure=first.failure)
        data, output = first.value, None
        for number in range(1, step.max_loops + 1):
            self.begin_round(number)
            result = await children.run(step.body.name, step.body, data, {"iteration": number}, number=number)
            if result.failure is not None:
                return self.round_failed(result.failure)
            output = result.output
            holds = await self._condition_holds(output)
            if holds.failure is not None:
                return self.ended("exit_condition_error", failure=holds.failure)
            if holds.value:
                return await self._finished(output, "condition")
            if number < step.max_loops:
                following = await self._mapped("iteration_input_mapper", step.iteration_input_mapper, output, number)
                if following.failure is not None:
                    return self.ended("iteration_input_mapper_error", failure=following.failure)
                data = following.value
        return await self._finished(output, "max_loops")

    async def _mapped(self, mapper_name: str, mapper: Callable[..., Any] | None, value: Any, *numbers: int) -> Answer:
        if mapper is None:
            return Answer(value)
        what = f"Error in {mapper_name} for LoopStep '{self.step.name}'"
        return await self.ask(lambda context: mapper(value, context, *numbers), FailureDomain.MAPPER, what)

    async def _condition_holds(self, output: Any) -> Answer:
        what = f"Exception in exit condition for LoopStep '{self.step.name}'"

        async def holds(context: Any) -> bool:
            return bool(await call(self.step.exit_condition, output, context))

        return await self.ask(holds, FailureDomain.CONDITION, what)

    async def _finished(self, output: Any, exit_reason: str) -> StepResult:
        """A normal end, by the condition or because there are no iterations left."""
        mapped = await self._mapped("loop_output_mapper", self.step.loop_output_mapper, output)
        if mapped.failure is not None:
            return self.ended("loop_output_mapper_error", failure=mapped.failure)
        if exit_reason == "condition":
            return attrs.evolve(self.ended(exit_reason, output=mapped.value), feedback=EXITED_BY_CONDITION)
        if self.step.on_max_loops == "succeed":
            return attrs.evolve(self.ended(exit_reason, output=mapped.value), feedback=REACHED_MAX_LOOPS)
        failure = Failure(
            FailureDomain.CONDITION,
            message="the exit condition never held",
            feedback=REACHED_MAX_LOOPS,
            step=self.place.path,
            attempt=self.attempt,
        )
        return self.ended(exit_reason, output=mapped.value, failure=failure)
