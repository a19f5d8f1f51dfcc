"""How the actors of a supervisor's children come to be: each in its place in the run, on a fork of the context."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import trio

from flujo_actors.context import ContextBranch
from flujo_actors.events import StepStarted
from flujo_actors.mailbox import Mailbox
from flujo_actors.messages import Start
from flujo_actors.steps import AnyStep
from flujo_actors.steps.pipeline import join_path
from flujo_actors.supervisors.decisions import attempt_limit
from flujo_actors.supervisors.environment import RunEnvironment
from flujo_actors.supervisors.place import Place
from flujo_actors.supervisors.step_actor import StepActor
from flujo_actors.usage import UsageMeter

NO_ATTRIBUTES: Final[Mapping[str, Any]] = MappingProxyType({})


class Spawner:
    """Starts the first attempt of a child, and what follows an attempt: another one, or the fallback."""

    __slots__ = ("_meter", "_nursery", "_supervisor", "actors", "branch", "environment", "reports")

    def __init__(
        self,
        nursery: trio.Nursery,
        *,
        branch: ContextBranch,
        environment: RunEnvironment,
        meter: UsageMeter,
        reports: Mailbox[Any],
        supervisor: StepActor[Any] | None,
    ) -> None:
        """Start nothing yet.

        Args:
            nursery: where the actors' tasks run.
            branch: the supervisor's branch of the context; the actors' are forked from it.
            environment: the run's.
            meter: the supervisor's; what the children charge is counted there too.
            reports: the supervisor's mailbox.
            supervisor: the supervising actor; `None` for the root of a run, whose child has no path.
        """
        self._nursery = nursery
        self.branch = branch
        self.environment = environment
        self._meter = meter
        self.reports = reports
        self._supervisor = supervisor
        self.actors: dict[str, StepActor[Any]] = {}
        """By span id: the latest actor of each child that has not settled; a fallback's besides that of its step."""

    def spawn(
        self,
        name: str,
        step: AnyStep,
        data: Any,
        attributes: Mapping[str, Any],
        *,
        number: int | None,
        shares_scope: bool,
        shown: Any,
    ) -> StepActor[Any]:
        """Start the first attempt of a child (`Children.spawn` says of what).

        Args:
            name: the child's name among its siblings.
            step: what it does.
            data: its input.
            attributes: what its span says besides the usual.
            number: which of several rounds of the supervisor this is, from 1.
            shares_scope: whether the nursery's cancel scope may be its own, as it is alone there.
            shown: what spans show of its input.
        """
        above = self._supervisor
        if above is None:
            path, parent_span_id = "", None
        else:
            inside = above.place.path if number is None else f"{above.place.path}[{number}]"
            path, parent_span_id = join_path(inside, name), above.place.span_id
        place = self._place(name, path, parent_span_id, step, self._meter, attributes=attributes)
        place.input = shown
        unlimited = step.timeout is None and step.retry.total_timeout is None
        limit = None if unlimited else attempt_limit(step.retry, step.timeout, elapsed=0.0)
        # A child whose time is limited may be followed by another attempt, so its scope has to be its own.
        scope = self._nursery.cancel_scope if shares_scope and limit is None else None
        return self._start(step, place, Start(data, self.branch.fork(), 1, 0.0, limit), scope)

    def spawn_again(self, failed: StepActor[Any], *, delay: float, tried: int, feedback: str | None) -> None:
        """Start another attempt on a fresh fork.

        Args:
            failed: the attempt before.
            delay: seconds until it begins.
            tried: what the attempts before count as.
            feedback: what a plugin said of one of them last.
        """
        step, message = failed.step, failed.message
        starts_after = self.environment.clock.now() + delay - failed.place.started_at
        limit = attempt_limit(step.retry, step.timeout, elapsed=starts_after)
        message.branch.release()
        again = Start(
            message.data, self.branch.fork(), failed.attempt + 1, delay, limit, tried=tried, feedback=feedback
        )
        self._start(step, failed.place, again, self._scope_like(failed))

    def spawn_fallback(self, fallback: AnyStep, path: str, failed: StepActor[Any]) -> Place:
        """Start the fallback of a step, on its input, in a span inside the step's. Returns its place."""
        above = failed.place
        failed.message.branch.release()
        place = self._place(
            failed.step.fallback_name, path, above.span_id, fallback, above.meter, attributes=NO_ATTRIBUTES
        )
        place.input = above.input
        limit = attempt_limit(fallback.retry, fallback.timeout, elapsed=0.0)
        scope = self._scope_like(failed) if limit is None else None
        self._start(fallback, place, Start(failed.message.data, self.branch.fork(), 1, 0.0, limit), scope)
        return place

    def _place(
        self,
        name: str,
        path: str,
        parent_span_id: str | None,
        step: AnyStep,
        meter: UsageMeter,
        *,
        attributes: Mapping[str, Any],
    ) -> Place:
        environment = self.environment
        place = Place(
            name,
            path,
            environment.next_span_id(),
            parent_span_id,
            environment.clock.now(),
            UsageMeter(meter, None if step.usage_limits is None else environment.watch(step.usage_limits)),
            self.reports,
            self._supervisor,
            attributes,
        )
        if environment.watchers:
            environment.publish(
                StepStarted, place, parent_span_id, step.kind, step.name, attributes, now=place.started_at
            )
        return place

    def _start(self, step: AnyStep, place: Place, message: Start, scope: trio.CancelScope | None) -> StepActor[Any]:
        environment = self.environment
        actor: StepActor[Any] = environment.actors.actor_for(step)(step, place, environment, message, scope)
        self.actors[place.span_id] = actor
        self._nursery.start_soon(actor.run, name=place.path)
        return actor

    def _scope_like(self, actor: StepActor[Any]) -> trio.CancelScope | None:
        """The scope for who comes after an actor: the nursery's, if that one was alone with it."""
        return None if actor.owns_scope else self._nursery.cancel_scope
