"""The supervisor above all others: runs a pipeline's own actor, in the task of whoever called `run`."""

from __future__ import annotations

from typing import Any

import attrs

from flujo_actors.context import ContextBranch
from flujo_actors.failures import usage_limit_failure
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

    __slots__ = ("_branch", "_cancel_reason", "_children", "_environment", "_reports", "meter")

    def __init__(self, environment: RunEnvironment, branch: ContextBranch) -> None:
        self._environment = environment
        self._branch = branch
        self._reports: Mailbox[Report] = Mailbox("root", 1)
        self._children: Children | None = None
        self._cancel_reason: str | None = None
        environment.on_breach = self.cancel
        limits = environment.settings.usage_limits
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

    def _judged(self, report: Report) -> Report:
        """The report; when a usage limit was breached that is what the run failed of, whatever else became of it."""
        breach = self._environment.breach
        if breach is None:
            return report
        failure = usage_limit_failure(breach, running=report.result.failure.running if report.result.failure else ())
        result = attrs.evolve(report.result, success=False, output=None, failure=failure, feedback=failure.feedback)
        return Failed(report.child, result)

    @property
    def branch(self) -> ContextBranch:
        """The context as the run has left it so far."""
        return self._branch
