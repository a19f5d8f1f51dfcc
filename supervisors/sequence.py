"""The supervisor of a `Pipeline`: its steps one after another."""

from __future__ import annotations

from typing import Any

from flujo_actors.results import StepResult
from flujo_actors.steps import Pipeline
from flujo_actors.supervisors.children import Children
from flujo_actors.supervisors.supervisor import Supervisor


class SequenceSupervisor(Supervisor[Pipeline[Any, Any, Any]]):
    """Hands each step's output to the next. The first failure ends the sequence and is the sequence's own."""

    __slots__ = ()

    async def supervise(self, children: Children, data: Any) -> StepResult:
        """Run the steps in order, up to the first that fails."""
        for name, step in self.step.children:
            result = await children.run(name, step, data)
            if result.failure is not None:
                return self.failed(result.failure, output=result.output)
            data = result.output
        return self.completed(data)
