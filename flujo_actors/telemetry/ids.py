"""The ids of runs and spans as those of OpenTelemetry: ours have the form that W3C Trace Context asks for."""

from __future__ import annotations

from contextvars import ContextVar, Token
from typing import Final

import attrs
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator


class ProposedIds:
    """The ids that the span which is started in its `with` block is to have, if a `RunIdGenerator` makes them.

    Each is taken once. (Not by `contextlib`: there is one for every span.)
    """

    __slots__ = ("_run_id", "_span_id", "_token")

    _token: Token[ProposedIds | None]

    def __init__(self, run_id: str, span_id: str) -> None:
        """Propose ids.

        Args:
            run_id: 32 hexadecimal digits, for the trace of a span that has no parent.
            span_id: 16 hexadecimal digits.
        """
        self._run_id = run_id
        self._span_id = span_id

    def __enter__(self) -> None:
        self._token = _PROPOSED.set(self)

    def __exit__(self, *_: object) -> None:
        _PROPOSED.reset(self._token)

    def take_trace_id(self) -> int | None:
        """The trace id, unless it was taken."""
        taken, self._run_id = self._run_id, ""
        return int(taken, 16) if taken else None

    def take_span_id(self) -> int | None:
        """The span id, unless it was taken."""
        taken, self._span_id = self._span_id, ""
        return int(taken, 16) if taken else None


_PROPOSED: Final[ContextVar[ProposedIds | None]] = ContextVar("flujo_actors proposed ids", default=None)


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
        proposed = _PROPOSED.get()
        run_id = None if proposed is None else proposed.take_trace_id()
        return run_id or self.others.generate_trace_id()

    def generate_span_id(self) -> int:
        """The id of the step that begins, or one of the other generator's."""
        proposed = _PROPOSED.get()
        span_id = None if proposed is None else proposed.take_span_id()
        return span_id or self.others.generate_span_id()

    def is_trace_id_random(self) -> bool:
        """Whether samplers may rely on trace ids being random: those of runs are, and what of the others?"""
        return self.others.is_trace_id_random()
