"""What a leaf does around its agent, in this order: prompt processors, agent, output processors, plugins, validators.

Each phase gives a `Phase`: what it made of the value, or how it failed. A failure of a plugin or a validator keeps the
output. How things are called, and what their exceptions become, is the leaf's business.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import reprlib
from collections.abc import Awaitable, Callable
from types import MethodType
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import attrs

from flujo_actors.failures import Failure, FailureDomain, phase_failure
from flujo_actors.steps.agents import AgentCall, agent_name, inspect_agent
from flujo_actors.steps.helpers import Helper
from flujo_actors.steps.leaf import Step
from flujo_actors.steps.outcomes import UNCHANGED, PluginOutcome, ValidationResult

PLUGIN_NO: Final = "Plugin validation failed after max retries"
VALIDATOR_NO: Final = "Validation failed after max retries"


class Phase(NamedTuple):
    """What became of a value."""

    value: Any
    failure: Failure | None = None


Describe: TypeAlias = Callable[[BaseException | str], Failure]
"""Makes a failure of an exception, or of what a helper said."""


class Call(Protocol):
    """Calls something with a value."""

    def __call__(self, call: AgentCall, value: Any, describe: Describe | None = None, /) -> Awaitable[Phase]:
        """Call an agent; or a helper, whose exceptions become failures by `describe`."""
        ...


class Phases:
    """One attempt of a leaf that is more than its agent."""

    __slots__ = ("_attempt", "_call", "_feedback", "_path", "_step")

    def __init__(self, step: Step[Any, Any, Any], call: Call, *, path: str, attempt: int, feedback: str | None) -> None:
        """Prepare the phases.

        Args:
            step: the step.
            call: how to call agents and helpers.
            path: the step's path, for failures.
            attempt: the number of the attempt, for failures.
            feedback: what a plugin said of the attempt before, if one did.
        """
        self._step = step
        self._call = call
        self._path = path
        self._attempt = attempt
        self._feedback = feedback

    async def run(self, data: Any) -> Phase:
        """All phases, up to the first that fails."""
        step = self._step
        prompt = await self._process("prompt", step.prompt_processors, data)
        if prompt.failure is not None:
            return Phase(None, prompt.failure)
        produced = await self._produce(step.call, with_feedback(prompt.value, self._feedback, step.call))
        if produced.failure is not None:
            return Phase(None, produced.failure)
        approved = await self._ask_plugins(prompt.value, produced.value)
        return approved if approved.failure is not None else await self._ask_validators(approved.value)

    async def _produce(self, agent: AgentCall, prompt: Any) -> Phase:
        """An agent, then the output processors."""
        output = await self._call(agent, prompt)
        if output.failure is not None:
            return output
        return await self._process("output", self._step.output_processors, output.value)

    async def _process(self, kind: str, processors: tuple[Helper, ...], value: Any) -> Phase:
        for processor in processors:
            describe = self._describer(
                FailureDomain.PROCESSOR, "Processor failed", f"{kind} processor '{processor.name}'"
            )
            processed = await self._call(processor.call, value, describe)
            if processed.failure is not None:
                return processed
            value = processed.value
        return Phase(value)

    async def _ask_plugins(self, prompt: Any, output: Any) -> Phase:
        """Each plugin, by descending priority; from the first again after a redirect."""
        redirected: list[object] = [self._step.agent]
        waiting = list(self._step.plugins)
        while waiting:
            plugin = waiting.pop(0)
            asked = await self._call(plugin.call, output, self._plugin_no(plugin))
            if asked.failure is not None:
                return Phase(output, asked.failure)
            outcome = asked.value
            if not isinstance(outcome, PluginOutcome):
                wrong = f"it must return a PluginOutcome, got {type(outcome).__name__}"
                return Phase(output, self._plugin_no(plugin)(wrong))
            if outcome.redirect_to is not None:
                if any(_is_same(outcome.redirect_to, agent) for agent in redirected):
                    again = f"it redirects to {agent_name(outcome.redirect_to)} a second time"
                    return Phase(output, self._plugin_no(plugin)(again))
                redirected.append(outcome.redirect_to)
                produced = await self._redirect(plugin, outcome.redirect_to, prompt)
                if produced.failure is not None:
                    return Phase(output, produced.failure)
                output, waiting = produced.value, list(self._step.plugins)
            elif outcome.new_solution is not UNCHANGED:
                output = outcome.new_solution
            elif not outcome.success:
                return Phase(output, self._plugin_no(plugin)(outcome.feedback or "no reason given"))
        return Phase(output)

    async def _redirect(self, plugin: Helper, agent: object, prompt: Any) -> Phase:
        try:
            call = inspect_agent(agent)
        except TypeError as error:
            return Phase(None, self._plugin_no(plugin)(error))
        return await self._produce(call, prompt)

    async def _ask_validators(self, output: Any) -> Phase:
        """Every validator, also after one that said no: all that is wrong is said at once."""
        refusals: list[Failure] = []
        for validator in self._step.validators:
            describe = self._describer(FailureDomain.VALIDATOR, VALIDATOR_NO, f"validator '{validator.name}'")
            asked = await self._call(validator.call, output, describe)
            if asked.failure is not None:
                refusals.append(asked.failure)
            elif not _is_valid(asked.value):
                refusals.append(describe(_reason(asked.value)))
        if len(refusals) < 2:
            return Phase(output, *refusals)
        together = self._describer(
            FailureDomain.VALIDATOR, VALIDATOR_NO, ", ".join(str(each.phase) for each in refusals)
        )
        failure = together("; ".join(refusal.message for refusal in refusals))
        return Phase(output, attrs.evolve(failure, cause=refusals[0], others=tuple(refusals[1:])))

    def _plugin_no(self, plugin: Helper) -> Describe:
        return self._describer(FailureDomain.PLUGIN, PLUGIN_NO, f"plugin '{plugin.name}'")

    def _describer(self, domain: FailureDomain, feedback: str, phase: str) -> Describe:
        def describe(problem: BaseException | str) -> Failure:
            return phase_failure(domain, feedback, problem, phase=phase, step=self._path, attempt=self._attempt)

        return describe


def with_feedback(prompt: Any, feedback: str | None, agent: AgentCall) -> Any:
    """The prompt for an agent that is asked once more because a plugin refused what it gave.

    An agent that declares `feedback` gets it there. Any other finds it in its prompt, where that is a text (on a line
    of its own, at the end) or a dict (under `feedback`); what it cannot be put into stays as it is.
    """
    if feedback is None or "feedback" in agent.injected:
        return prompt
    if isinstance(prompt, str):
        return f"{prompt}\n{feedback}"
    return {**prompt, "feedback": feedback} if isinstance(prompt, dict) else prompt


def _is_same(agent: object, other: object) -> bool:
    # A bound method is a new object each time it is read.
    if isinstance(agent, MethodType) and isinstance(other, MethodType):
        return agent.__self__ is other.__self__ and agent.__func__ is other.__func__
    return agent is other


def _is_valid(answer: object) -> bool:
    return answer.is_valid if isinstance(answer, ValidationResult) else answer is True


def _reason(answer: object) -> str:
    if isinstance(answer, ValidationResult):
        return answer.feedback or "no reason given"
    if answer is False:
        return "no reason given"
    return f"it must return a ValidationResult or a bool, got {reprlib.repr(answer)}"
