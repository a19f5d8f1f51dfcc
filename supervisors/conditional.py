"""The supervisor of a `ConditionalStep`."""

from __future__ import annotations

from typing import Any, NamedTuple

from flujo_actors.failures import Failure, FailureDomain, wrapped_failure
from flujo_actors.results import StepResult
from flujo_actors.steps import AnyStep
from flujo_actors.steps.conditional import DEFAULT_BRANCH, ConditionalStep
from flujo_actors.supervisors.asking import Answer, call
from flujo_actors.supervisors.children import Children
from flujo_actors.supervisors.supervisor import Supervisor


class _Choice(NamedTuple):
    """What the condition chose."""

    key: Any
    text: str
    branch: tuple[str, AnyStep] | None
    """The branch with its name, if there is one for the key."""


class ConditionalSupervisor(Supervisor[ConditionalStep[Any, Any, Any]]):
    """Asks the condition, and runs the branch that it names."""

    __slots__ = ("_chosen",)

    keeps_failed_writes = False

    async def supervise(self, children: Children, data: Any) -> StepResult:
        """Choose, map, run, map."""
        chosen = await self._choose(data)
        if chosen.failure is not None:
            return self.failed(chosen.failure)
        self._chosen: _Choice = chosen.value
        if self._chosen.branch is None:
            return self.failed(self._no_branch())
        given = await self._mapped_input(data)
        if given.failure is not None:
            return self.failed(given.failure, metadata=self._metadata())
        name, branch = self._chosen.branch
        result = await children.run(name, branch, given.value, {"branch": name})
        if result.failure is not None:
            return self._branch_failed(result.failure)
        output = await self._mapped_output(result.output)
        if output.failure is not None:
            return self.failed(output.failure, metadata=self._metadata())
        return self.completed(output.value, metadata=self._metadata())

    def only_child_cancelled(self, result: StepResult, reason: str) -> StepResult:
        """A branch that was cancelled has failed."""
        cancelled = super().only_child_cancelled(result, reason)
        return cancelled if cancelled.failure is None else self._branch_failed(cancelled.failure)

    async def _choose(self, data: Any) -> Answer:
        """The choice. A key that cannot be looked up or told is the condition's failure too."""

        async def choose(context: Any) -> _Choice:
            key = await call(self.step.condition, data, context)
            return _Choice(key, str(key), _branch_of(self.step, key))

        return await self.ask(choose, FailureDomain.CONDITION, "Error executing conditional logic")

    async def _mapped_input(self, data: Any) -> Answer:
        mapper = self.step.branch_input_mapper
        if mapper is None:
            return Answer(data)
        what = f"Error in branch_input_mapper for ConditionalStep '{self.step.name}'"
        return await self.ask(lambda context: mapper(data, context), FailureDomain.MAPPER, what)

    async def _mapped_output(self, output: Any) -> Answer:
        mapper = self.step.branch_output_mapper
        if mapper is None:
            return Answer(output)
        what = f"Error in branch_output_mapper for ConditionalStep '{self.step.name}'"
        return await self.ask(lambda context: mapper(output, self._chosen.key, context), FailureDomain.MAPPER, what)

    def _branch_failed(self, cause: Failure) -> StepResult:
        feedback = f"Failure in branch '{self._chosen.text}': {cause.feedback}"
        failure = wrapped_failure(cause, feedback, step=self.place.path, attempt=self.attempt)
        return self.failed(failure, metadata=self._metadata())

    def _no_branch(self) -> Failure:
        feedback = f"No branch found for key '{self._chosen.text}' and no default branch provided"
        return Failure(FailureDomain.CONDITION, feedback, feedback, step=self.place.path, attempt=self.attempt)

    def _metadata(self) -> dict[str, Any]:
        return {"executed_branch_key": self._chosen.key}


def _branch_of(step: ConditionalStep[Any, Any, Any], key: object) -> tuple[str, AnyStep] | None:
    """The branch for a key, with its name; the default where there is no such key."""
    try:
        branch = step.branches.get(key)
    except TypeError:  # a list, say, which can be no key
        branch = None
    if branch is not None:
        return str(key), branch
    return None if step.default_branch is None else (DEFAULT_BRANCH, step.default_branch)
