"""The supervisor above all others: runs a pipeline's own actor, in the task of whoever called `run`."""

from __future__ import annotations

from typing import Any

import attrs

from flujo_actors.context import ContextBranch
from flujo_actors.failures import Failure, usage_limit_failure
from flujo_actors.limits import UsageLimits
from flujo_actors.mailbox import Mailbox
from flujo_actors.messages import Failed, Report
from flujo_actors.nurseries import open_inner_nursery
from flujo_actors.results import StepResult
from flujo_actors.steps import AnyStep
from flujo_actors.supervisors.children import Children
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.usage import UsageMeter


class RootSupervisor:
    """Has one child, the actor of the whole pipeline, and applies the pipeline's own retry and timeout to it."""

    __slots__ = ("_branch", "_cancel_reason", "_children", "_environment", "_failure", "_reports", "meter")

    def __init__(self, environment: RunEnvironment, branch: ContextBranch, limits: UsageLimits | None) -> None:
        self._environment = environment
        self._branch = branch
        self._reports: Mailbox[Report] = Mailbox("root", 1)
        self._children: Children | None = None
        self._cancel_reason: str | None = None
        self._failure: Failure | None = None
        environment.on_breach = self.cancel
        self.meter = UsageMeter(None, None if limits is None else environment.watch(limits))
        """Counts what the whole run spends."""

    async def run(self, step: AnyStep, data: Any) -> StepResult:
        """Run the pipeline to its end.

        A checkpoint. Cancelled, the whole run is, and every actor's span is recorded before `Cancelled` goes on.
        """
        try:
            async with open_inner_nursery() as nursery:
                self._children = Children(
                    nursery,
                    branch=self._branch,
                    environment=self._environment,
                    meter=self.meter,
                    reports=self._reports,
                    supervisor=None,
                    keeps_failed_writes=True,
                )
                self._children.spawn("", step, data)
                if self._cancel_reason is not None:
                    self._children.cancel_all(self._cancel_reason)
                settled = await self._children.next_settled()
                return await self._children.settle(settled, self._judged(self._children.adopt(settled)))
        finally:
            if self._children is not None:
                self._children.settle_abandoned()

    def cancel(self, reason: str) -> None:
        """Cancel the run, begun or not. It ends with a result that says so."""
        self._cancel_reason = self._cancel_reason or reason
        if self._children is not None:
            self._children.cancel_all(reason)

    def fail(self, failure: Failure) -> None:
        """Cancel the run, which then ends as failed for this reason. What it has made until then stays its result."""
        self._failure = self._failure or failure
        self.cancel(failure.feedback)

    def _judged(self, report: Report) -> Report:
        """The report; when a usage limit was breached that is what the run failed of, whatever else became of it."""
        breach, result = self._environment.breach, report.result
        running = result.failure.running if result.failure else ()
        if breach is not None:
            failure, output = usage_limit_failure(breach, running=running), None
        elif self._failure is not None:
            failure, output = attrs.evolve(self._failure, running=running, cause=_cause_in(report)), result.output
        else:
            return report
        return Failed(
            report.child,
            attrs.evolve(result, success=False, output=output, failure=failure, feedback=failure.feedback),
        )

    @property
    def branch(self) -> ContextBranch:
        """The context as the run has left it so far."""
        return self._branch


def _cause_in(report: Report) -> Failure | None:
    """What a run had failed of already when it was stopped for another reason."""
    return report.result.failure if type(report) is Failed else None
