"""The ids of runs and spans as those of OpenTelemetry: ours have the form that W3C Trace Context asks for."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import attrs
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator


@attrs.define(eq=False)
class _NextIds:
    """The ids that the next span is to have. Each is given once."""

    trace_id: int | None
    span_id: int | None

    def take_trace_id(self) -> int | None:
        taken, self.trace_id = self.trace_id, None
        return taken

    def take_span_id(self) -> int | None:
        taken, self.span_id = self.span_id, None
        return taken


_NEXT_IDS: Final[ContextVar[_NextIds | None]] = ContextVar("flujo_actors ids of the next span", default=None)


@contextmanager
def proposed_ids(run_id: str, span_id: str) -> Generator[None, None, None]:
    """Have the span that is started in this block given these ids, if a `RunIdGenerator` makes them.

    Args:
        run_id: 32 hexadecimal digits, for the trace of a span without a parent.
        span_id: 16 hexadecimal digits.
    """
    token = _NEXT_IDS.set(_NextIds(int(run_id, 16), int(span_id, 16)))
    try:
        yield
    finally:
        _NEXT_IDS.reset(token)


@attrs.frozen
class RunIdGenerator(IdGenerator):
    """Gives traces of runs the ids of the runs, and spans of steps those of the steps. Other spans get other ids.

    For the host's `TracerProvider(id_generator=RunIdGenerator())`. A run in a trace of the host is part of that trace,
    and only its spans keep their ids. With `open_system(random_seed=...)` ids repeat, and so would those of traces.
    """

    others: IdGenerator = attrs.field(factory=RandomIdGenerator)
    """Makes the ids of everything that is no run of ours."""

    def generate_trace_id(self) -> int:
        """The id of the run that begins, or one of the other generator's."""
        proposed = _NEXT_IDS.get()
        run_id = None if proposed is None else proposed.take_trace_id()
        return run_id or self.others.generate_trace_id()

    def generate_span_id(self) -> int:
        """The id of the step that begins, or one of the other generator's."""
        proposed = _NEXT_IDS.get()
        span_id = None if proposed is None else proposed.take_span_id()
        return span_id or self.others.generate_span_id()

    def is_trace_id_random(self) -> bool:
        """Whether samplers may rely on trace ids being random: those of runs are, and what of the others?"""
        return self.others.is_trace_id_random()
