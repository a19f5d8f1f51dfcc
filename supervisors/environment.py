"""What all actors of one run share."""

from __future__ import annotations

import random
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import trio

from flujo_actors.caching import ResultCache
from flujo_actors.capture import Capture
from flujo_actors.clock import RunClock
from flujo_actors.events import RunEvent, StepEnded
from flujo_actors.limits import UsageLimits
from flujo_actors.options import RunSettings
from flujo_actors.results import StepResult
from flujo_actors.spans import Span, SpanSink, SpanStatus
from flujo_actors.supervisors.place import Place
from flujo_actors.supervisors.registry import ActorRegistry
from flujo_actors.usage import Usage, UsageMeter


class RunEnvironment:
    """The surroundings of every actor of a run: its registry, clock, resources, and where spans and events go."""

    __slots__ = (
        "_charged",
        "_span_numbers",
        "actors",
        "attempt_watchers",
        "breach",
        "cache",
        "capture",
        "clock",
        "on_breach",
        "random",
        "resources",
        "run_id",
        "settings",
        "sink",
        "slots",
        "spans",
        "system",
        "watchers",
    )

    def __init__(
        self,
        run_id: str,
        *,
        system: object,
        actors: ActorRegistry,
        clock: RunClock,
        random: random.Random,
        span_numbers: Iterator[int],
        settings: RunSettings,
        sink: SpanSink | None,
        capture: Capture | None,
        cache: ResultCache,
    ) -> None:
        """Set the scene of a run.

        Args:
            run_id: the run's id.
            system: whose run it is; told from others by identity.
            actors: which actor runs which kind of step.
            clock: the time.
            random: the source of jitter.
            span_numbers: the numbers of this run's spans.
            settings: what was said of the run.
            sink: where ended spans go; `None` keeps them in the result alone.
            capture: shows inputs and outputs for spans; `None` for spans without them.
            cache: the system's remembered results.
        """
        self.run_id = run_id
        self.actors = actors
        self.clock = clock
        self.random = random
        self.system = system
        self.settings = settings
        self.resources: Any = settings.resources
        """What agents get that declare `resources`: what was given, opened where it can be."""
        self.sink = sink
        self.capture = capture
        self.cache = cache
        self.slots = None if settings.max_concurrency is None else trio.CapacityLimiter(settings.max_concurrency)
        """Held by agents that are at work; `None` where any number may be."""
        self.spans: deque[Span] = deque(maxlen=settings.keep_results)
        """The spans that have ended and are kept, in the order in which they did."""
        self.watchers: list[Callable[[RunEvent], None]] = []
        """Called with every event. They neither block nor raise."""
        self.attempt_watchers: list[Callable[[str, int], None]] = []
        """Called with span and attempt of each actor about to work, in its task. They neither block nor raise."""
        self.breach: str | None = None
        """Which usage limit was breached, once one was: the run is ending then."""
        self.on_breach: Callable[[str], None] | None = None
        """Ends the run; set by its root."""
        self._span_numbers = span_numbers
        self._charged: dict[int, object] = {}
        """Outputs that have been charged, by id: weak references, which go with their object, or the objects."""

    def inside(self, settings: RunSettings) -> RunEnvironment:
        """The surroundings of a run that an agent of this one starts: part of its trace, with settings of its own."""
        inner = RunEnvironment(
            self.run_id,
            system=self.system,
            actors=self.actors,
            clock=self.clock,
            random=self.random,
            span_numbers=self._span_numbers,
            settings=settings,
            sink=self.sink,
            capture=self.capture,
            cache=self.cache,
        )
        inner.watchers = self.watchers
        inner.attempt_watchers = self.attempt_watchers
        inner._charged = self._charged
        if settings.resources is None:
            inner.resources = self.resources
        return inner

    def next_span_id(self) -> str:
        """16 hexadecimal digits, rising in the order of asking."""
        return next(self._span_numbers).to_bytes(8).hex()

    def watch(self, limits: UsageLimits) -> Callable[[Usage], None]:
        """What a meter tells its totals to, so that the first one above `limits` ends the run."""

        def check(total: Usage) -> None:
            breach = limits.breach(total)
            if breach is not None and self.breach is None:
                self.breach = breach
                if self.on_breach is not None:
                    self.on_breach(breach)

        return check

    def publish(self, kind: Callable[..., RunEvent], place: Place, *details: Any, now: float | None = None) -> None:
        """Tell the watchers, if there are any, what has happened to a step, or will in a moment.

        Args:
            kind: the class of the event.
            place: the step's place in the run.
            *details: what the event says besides path, span and time.
            now: when it happened, on trio's clock; `None` for right now.
        """
        if not self.watchers:
            return
        time = self.clock.wall(self.clock.now() if now is None else now)
        event = kind(place.path, place.span_id, *details, time=time)
        for watch in tuple(self.watchers):
            watch(event)

    def publish_end(self, place: Place, status: SpanStatus, result: StepResult) -> None:
        """Tell the watchers that a step has ended, when its span did."""
        self.publish(StepEnded, place, status, result, place.meter.total(), now=place.started_at + result.latency_s)

    def charge_for(self, output: object, meter: UsageMeter, tell: Callable[[Usage], None]) -> None:
        """Count what an agent's output says it cost, once in a run however often the object is passed on.

        Args:
            output: the output.
            meter: where it is counted.
            tell: told what was counted, if anything was.

        Raises:
            ValueError: `cost_usd` or `token_counts` of the output is no amount.
        """
        cost, tokens = _stated(output)
        if (cost is None and tokens is None) or id(output) in self._charged or _is_of_a_run(output):
            return
        meter.on_charge = tell
        meter.charge_total(0 if cost is None else cost, 0 if tokens is None else tokens)
        self._note_charged(output)

    def has_counted(self, output: object) -> None:
        """What this object says it cost was counted already, with another object that it was made of."""
        with suppress(Exception):  # a user's property may do anything, and what cannot be read costs nothing
            cost, tokens = _stated(output)
            if cost is not None or tokens is not None:
                self._note_charged(output)

    def _note_charged(self, output: object) -> None:
        """Its id is its own while it lives. What cannot be referred to weakly is kept alive."""
        charged, number = self._charged, id(output)
        try:
            charged[number] = weakref.ref(output, lambda _: charged.pop(number, None))
        except TypeError:
            charged[number] = output


def _is_of_a_run(output: object) -> bool:
    """Whether it is a result that an actor made: its figures were counted as they were spent, in the run it is of."""
    return isinstance(output, StepResult) and output.branch is not None


def _stated(output: object) -> tuple[Any, Any]:
    """What an output says it cost, in US dollars and tokens; `None` where it says nothing."""
    return getattr(output, "cost_usd", None), getattr(output, "token_counts", None)
