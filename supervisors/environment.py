"""What all actors of one run share."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count
from typing import Any

from flujo_actors.clock import RunClock
from flujo_actors.events import RunEvent
from flujo_actors.spans import Span, SpanSink
from flujo_actors.supervisors.registry import ActorRegistry
from flujo_actors.usage import UsageMeter


class RunEnvironment:
    """The surroundings of every actor of a run: its registry, clock, resources, and where spans and events go."""

    __slots__ = (
        "_charged",
        "_span_numbers",
        "actors",
        "clock",
        "random",
        "resources",
        "run_id",
        "sink",
        "spans",
        "watchers",
    )

    def __init__(
        self,
        run_id: str,
        *,
        actors: ActorRegistry,
        clock: RunClock,
        random: random.Random,
        first_span_number: int,
        resources: Any,
        sink: SpanSink | None,
    ) -> None:
        """Set the scene of a run.

        Args:
            run_id: the run's id.
            actors: which actor runs which kind of step.
            clock: the time.
            random: the source of jitter.
            first_span_number: where the numbers of this run's spans begin.
            resources: what agents get that declare `resources`.
            sink: where ended spans go; `None` keeps them in the result alone.
        """
        self.run_id = run_id
        self.actors = actors
        self.clock = clock
        self.random = random
        self.resources = resources
        self.sink = sink
        self.spans: list[Span] = []
        """The spans that have ended, in the order in which they did."""
        self.watchers: list[Callable[[RunEvent], None]] = []
        """Called with every event. They neither block nor raise."""
        self._span_numbers = count(first_span_number)
        self._charged: dict[int, object] = {}

    def next_span_id(self) -> str:
        """16 hexadecimal digits, rising in the order of asking."""
        return f"{next(self._span_numbers):016x}"

    def publish(self, event: RunEvent) -> None:
        """Tell the watchers. Callers make the event only when there are any."""
        for watch in tuple(self.watchers):
            watch(event)

    def charge_for(self, output: object, meter: UsageMeter) -> None:
        """Count what an agent's output says it cost, once in a run however often the object is passed on.

        Raises:
            ValueError: `cost_usd` or `token_counts` of the output is no amount.
        """
        cost, tokens = getattr(output, "cost_usd", None), getattr(output, "token_counts", None)
        if (cost is None and tokens is None) or id(output) in self._charged:
            return
        meter.charge_total(0 if cost is None else cost, 0 if tokens is None else tokens)
        # The object is kept, so that its id stays its own for the rest of the run.
        self._charged[id(output)] = output
