"""The supervisor of `refine_until`."""

from __future__ import annotations

from typing import Any

import attrs

from flujo_actors.failures import Failure, FailureDomain
from flujo_actors.results import StepResult
from flujo_actors.steps.outcomes import RefinementCheck
from flujo_actors.steps.refinement import ROUND, RefinementStep
from flujo_actors.supervisors.asking import Answer
from flujo_actors.supervisors.children import Children
from flujo_actors.supervisors.rounds import EXITED_BY_CONDITION, REACHED_MAX_LOOPS, RoundsSupervisor


class RefinementSupervisor(RoundsSupervisor[RefinementStep[Any, Any, Any]]):
    """Runs rounds of generator and critic, until the critic is content or the rounds are used up."""

    __slots__ = ()

    async def supervise(self, children: Children, data: Any) -> StepResult:
        """Generate, criticise, and generate again with the feedback."""
        step = self.step
        request, check = Answer({"original_input": data, "feedback": None}), None
        for number in range(1, step.max_refinements + 1):
            self.begin_round(number)
            result = await children.run(ROUND, step.round, request.value, {"iteration": number}, number=number)
            if result.failure is not None:
                return self.round_failed(result.failure)
            check = result.output
            if not isinstance(check, RefinementCheck):
                return self.ended("body_step_error", failure=self._no_check(check))
            if check.is_complete:
                output = result.step_history[0].output
                return attrs.evolve(self.ended("condition", output=output), feedback=EXITED_BY_CONDITION)
            if number < step.max_refinements:
                request = await self._next_request(data, check)
                if request.failure is not None:
                    return self.ended("iteration_input_mapper_error", failure=request.failure)
        return self.ended(
            "max_loops", output=check, failure=self._failure("the critic was never content", REACHED_MAX_LOOPS)
        )

    async def _next_request(self, data: Any, check: RefinementCheck) -> Answer:
        mapper = self.step.feedback_mapper
        if mapper is None:
            return Answer({"original_input": data, "feedback": check.feedback})
        what = f"Error in feedback_mapper for refine_until '{self.step.name}'"
        return await self.ask(lambda context: mapper(data, check), FailureDomain.MAPPER, what)

    def _no_check(self, given: object) -> Failure:
        wrong = f"The critic of '{self.step.name}' must return a RefinementCheck, got {type(given).__name__}"
        return attrs.evolve(self._failure(wrong, wrong), domain=FailureDomain.AGENT)

    def _failure(self, message: str, feedback: str) -> Failure:
        return Failure(FailureDomain.CONDITION, message, feedback, step=self.place.path, attempt=self.attempt)
