"""What follows an attempt that has failed: another one, the fallback, or nothing more."""

from __future__ import annotations

from collections import deque
from typing import Any

import attrs

from flujo_actors.events import AttemptFailed, StepFellBack, StepRetried
from flujo_actors.failures import after_attempts, agent_failure, cancelled_failure, with_last_cause
from flujo_actors.messages import Cancelled, Failed, Report
from flujo_actors.results import StepResult
from flujo_actors.steps import AnyStep
from flujo_actors.steps.pipeline import join_path
from flujo_actors.supervisors.decisions import retry_delay
from flujo_actors.supervisors.fallback import fallback_for
from flujo_actors.supervisors.place import Place
from flujo_actors.supervisors.recording import Retries, failed_with
from flujo_actors.supervisors.spawning import Spawner
from flujo_actors.supervisors.step_actor import StepActor


class Attempts:
    """The attempts of one supervisor's children. Applies each child's own policy, and starts what that says."""

    __slots__ = ("_environment", "_spawner", "fallbacks", "retries")

    def __init__(self, spawner: Spawner) -> None:
        self._environment = spawner.environment
        self._spawner = spawner
        self.retries: dict[str, Retries] = {}
        """By span id: of each child that has not settled and is tried more than once, or whose fallback runs."""
        self.fallbacks: dict[str, tuple[StepActor[Any], Failed]] = {}
        """By span id of a running fallback: whom it stands in for, and how that failed."""

    def follow(self, actor: StepActor[Any], report: Report) -> Report | None:
        """Start what follows an attempt that did not succeed.

        Returns:
            The report of the step, with what is to be known of earlier attempts; `None` when it is not over.
        """
        if type(report) is not Failed:
            return self.in_full(actor, report)
        self._environment.publish(AttemptFailed, actor.place, actor.attempt, report.result.failure)
        report, delay = self._retry_delay(actor, report)
        # The actor may have been cancelled when it had just stopped, also by the user's `retry_if`.
        reason = actor.cancel_reason
        if delay is not None and reason is None:
            self._retry(actor, report, delay)
            return None
        report = Failed(report.child, self._after_attempts(report))
        fallback = self._fallback_of(actor, report)
        if reason is not None and (delay is not None or fallback is not None):
            return _cancelled_after(actor, report, reason)
        if fallback is not None:
            self._fall_back(fallback, actor, report)
        return report if fallback is None else None

    def falls_back(self, actor: StepActor[Any], report: Failed) -> bool:
        """Start the fallback of a step whose success could not be kept; `False` when there is none to start."""
        fallback = None if actor.cancel_reason is not None else self._fallback_of(actor, report)
        if fallback is not None:
            self._fall_back(fallback, actor, report)
        return fallback is not None

    def in_full(self, actor: StepActor[Any], report: Report) -> Report:
        """The report; of a step that was cancelled in an attempt, with what is to be known of those before."""
        if self.retries and type(report) is Cancelled and actor.has_begun:
            return Cancelled(report.child, self._after_attempts(report))
        return report

    def _retry_delay(self, actor: StepActor[Any], report: Failed) -> tuple[Failed, float | None]:
        """The report, and seconds until the next attempt, `None` for no further one."""
        failure, attempts, policy = report.result.failure, actor.attempt, actor.step.retry
        if failure is None:
            return report, None
        environment = self._environment
        elapsed, sample = environment.clock.now() - actor.place.started_at, environment.random.random()
        try:
            delay = retry_delay(policy, failure, attempts=attempts, elapsed=elapsed, sample=sample)
        except Exception as error:  # noqa: BLE001 - the user's `retry_if` raised: that is no yes
            return _because_of(report, error), None
        return report, delay

    def _retry(self, failed: StepActor[Any], report: Failed, delay: float) -> None:
        environment, place = self._environment, failed.place
        environment.publish(StepRetried, place, failed.attempt + 1, delay, report.result.failure)
        retries = self._retries_of(place)
        retries.add(failed, report, environment.clock)
        retries.next_starts_at = environment.clock.now() + delay
        self._spawner.spawn_again(failed, delay=delay, tried=report.result.attempts, feedback=retries.feedback)

    def _fallback_of(self, actor: StepActor[Any], report: Failed) -> AnyStep | None:
        """What is to run in the stead of a step that has failed for good, if anything is."""
        retries = self.retries.get(report.child)
        if retries is not None and retries.fell_back:
            return None
        return fallback_for(actor.step, report.result.failure)

    def _fall_back(self, fallback: AnyStep, failed: StepActor[Any], report: Failed) -> None:
        place = failed.place
        path = join_path(place.path, failed.step.fallback_name)
        self._environment.publish(StepFellBack, place, path, report.result.failure)
        retries = self._retries_of(place)
        retries.add(failed, report, self._environment.clock)
        retries.fell_back = True
        self.fallbacks[self._spawner.spawn_fallback(fallback, path, failed).span_id] = (failed, report)

    def _retries_of(self, place: Place) -> Retries:
        retries = self.retries.get(place.span_id)
        if retries is None:
            retries = self.retries[place.span_id] = Retries(deque(maxlen=self._environment.settings.keep_results))
        return retries

    def _after_attempts(self, report: Report) -> StepResult:
        """The result of a last attempt, with what is to be known of those before."""
        retries, result = self.retries.get(report.child), report.result
        if result.failure is None or retries is None or not retries.failures:
            return result
        return attrs.evolve(result, failure=after_attempts(result.failure, retries.failures))


def _cancelled_after(actor: StepActor[Any], report: Failed, reason: str) -> Cancelled:
    """The report of a step that was cancelled when an attempt had failed and something was to come after it."""
    failure = cancelled_failure(
        reason, step=actor.place.path, attempt=actor.attempt, running=(), cause=report.result.failure
    )
    return Cancelled(report.child, failed_with(report.result, failure))


def _because_of(report: Failed, error: Exception) -> Failed:
    """The report, with what the user's `retry_if` raised as a cause of its failure."""
    failure = report.result.failure
    if failure is None:
        return report
    cause = agent_failure(error, step=f"{failure.step} (retry_if)", attempt=failure.attempt)
    return Failed(report.child, failed_with(report.result, with_last_cause(failure, cause)))
