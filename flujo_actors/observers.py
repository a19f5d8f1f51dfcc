"""Observers: a program's own code that is told of every run of a system, in the middle of it.

What an observer does is done in the run: it is called, not sent messages, so nothing is missed and nothing waits in a
queue, and what it takes is time of the run. What it raises is logged, once for a run, and does not disturb the run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import attrs

from flujo_actors.events import RunEvent
from flujo_actors.results import PipelineResult
from flujo_actors.spans import SpanStatus

LOGGER: Final = logging.getLogger(__name__)


@attrs.frozen
class BegunRun:
    """A run that begins."""

    run_id: str
    """32 hexadecimal digits."""
    pipeline: str
    """The pipeline's name."""
    time: float
    """Wall clock, seconds since the epoch."""


@attrs.frozen
class EndedRun:
    """How a run ended, as its record says it."""

    status: SpanStatus
    """It may differ from that of the last `StepEnded`, which is told before the run is stored."""
    error: str | None
    """Why it did not complete, as one sentence."""
    result: PipelineResult[Any, Any] | None
    """Its result; `None` when it has none, because the program around it ended it, or crashed."""


class RunObserver:
    """Watches one run. Each method does nothing until it is overridden; none of them may block.

    A run that an agent starts with `System.run` is part of the run around it, and is told of here as its steps.
    """

    def event(self, event: RunEvent) -> None:
        """Something happens in the run: one of the events of `Run.events`, though never an `EventsMissed`."""

    def attempt_begins(self, span_id: str, attempt: int) -> None:
        """A step is about to work. Called in the task that will do it, right before.

        A context variable that is set here is seen by the step's own code and all that it starts, and by nothing else.

        Args:
            span_id: the step's span, which a `StepStarted` has announced.
            attempt: the number of the attempt, from 1.
        """

    def run_ends(self, run: EndedRun) -> None:
        """The run has ended, and is stored; nothing more will be told."""


class Observer(Protocol):
    """Sees all runs of a system that is given it: `open_system(observers=[...])`."""

    def run_begins(self, run: BegunRun) -> RunObserver | None:
        """A run begins. Called in the task that runs it, with the context variables of whoever started it.

        Returns:
            What is to watch the run; `None` for nothing.
        """
        ...


def observe(observers: Iterable[Observer], run: BegunRun) -> list[RunObserver]:
    """Tell observers that a run begins.

    Returns:
        What watches the run. Whatever these do, they do not raise.
    """
    watching: list[RunObserver] = []
    for observer in observers:
        try:
            watch = observer.run_begins(run)
        except Exception:
            name = type(observer).__qualname__
            LOGGER.exception("observer %s raised when it was told that run %s begins; it misses it", name, run.run_id)
        else:
            if watch is not None:
                watching.append(_Guarded(watch, run.run_id))
    return watching


@attrs.define(eq=False)
class _Guarded(RunObserver):
    """Keeps from the run what an observer of it raises."""

    _observer: RunObserver
    _run_id: str
    _has_raised: bool = False

    def event(self, event: RunEvent) -> None:
        self._call(self._observer.event, event)

    def attempt_begins(self, span_id: str, attempt: int) -> None:
        self._call(self._observer.attempt_begins, span_id, attempt)

    def run_ends(self, run: EndedRun) -> None:
        self._call(self._observer.run_ends, run)

    def _call(self, method: Callable[..., None], *arguments: Any) -> None:
        try:
            method(*arguments)
        except Exception:
            if not self._has_raised:
                self._has_raised = True
                name = type(self._observer).__qualname__
                LOGGER.exception(
                    "observer %s raised in run %s, which goes on; what else it raises there is not logged",
                    name,
                    self._run_id,
                )
