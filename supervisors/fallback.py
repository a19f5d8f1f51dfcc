"""What a step amounts to when its fallback has run in its stead. Pure functions."""

from __future__ import annotations

import attrs

from flujo_actors.failures import Failure, FailureDomain
from flujo_actors.messages import Completed, Failed, Report
from flujo_actors.results import StepResult
from flujo_actors.steps import AnyStep
from flujo_actors.supervisors.place import Place

NEVER_REPLACED = frozenset({FailureDomain.CANCELLED, FailureDomain.USAGE_LIMIT})
"""Failures after which no fallback runs: somebody wanted the step to stop."""


def fallback_for(step: AnyStep, failure: Failure | None) -> AnyStep | None:
    """The step that runs now that `step` has failed for good; `None` when nothing does."""
    return None if failure is None or failure.domain in NEVER_REPLACED else step.fallback


def in_stead_of(primary: Place, failed: Failed, fallback: Place, report: Report, result: StepResult) -> Report:
    """The report of a step whose fallback has ended.

    Args:
        primary: the step that failed.
        failed: how.
        fallback: the fallback.
        report: how that ended.
        result: its result, all its attempts included.
    """
    combined = _combined(primary, failed.result, fallback, result)
    if type(report) is Completed:
        return Completed(failed.child, attrs.evolve(combined, success=True, output=result.output))
    failure = _both_failed(failed.result.failure, result.failure)
    feedback = None if failure is None else failure.feedback
    return type(report)(failed.child, attrs.evolve(combined, failure=failure, feedback=feedback))


def _combined(primary: Place, failed: StepResult, fallback: Place, result: StepResult) -> StepResult:
    """The primary's result with the totals of both, and without its failure."""
    return attrs.evolve(
        failed,
        output=None,
        attempts=failed.attempts + result.attempts,
        latency_s=fallback.started_at + result.latency_s - primary.started_at,
        cost_usd=primary.meter.cost_usd,
        token_counts=primary.meter.total_tokens,
        feedback=None,
        failure=None,
        metadata={**failed.metadata, "fallback_triggered": True, "original_error": failed.feedback},
        branch=result.branch,
    )


def _both_failed(original: Failure | None, fallback: Failure | None) -> Failure | None:
    """The step's failure, in the domain of the fallback's, which is kept whole beside the original one."""
    if original is None or fallback is None:
        return fallback
    if fallback.domain in NEVER_REPLACED:
        return attrs.evolve(fallback, step=original.step, cause=original, others=(fallback,))
    return attrs.evolve(
        fallback,
        step=original.step,
        attempt=original.attempt,
        feedback=f"Original error: {original.feedback}; Fallback error: {fallback.feedback}",
        cause=original,
        others=(fallback,),
    )
