"""What is to be stored of a run in one go, and how to say how much of a run something is."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from flujo_actors.spans import Span
from flujo_actors.storage.backend import StateBackend
from flujo_actors.storage.records import RunRecord


@attrs.define(eq=False)
class Part:
    """What is to be stored of one run."""

    run: RunRecord
    """The run as it began."""
    begins: bool = False
    """Whether its start is to be stored."""
    spans: Sequence[Span] = ()
    end: RunRecord | None = None
    """How it ended, when that is to be stored."""
    was_forgotten: bool = False
    """Whether the storage no longer knew the run: what it had of it is gone."""

    def store(self, backend: StateBackend) -> None:
        """Hand it over, inside a transaction."""
        if self.begins:
            backend.record_run_start(self.run)
        if self.spans:
            backend.record_spans(self.run.run_id, self.spans)
        if self.end is not None:
            backend.record_run_end(self.end)

    def pieces(self) -> list[Part]:
        """Of a part without a start: the spans and the end; else the halves of the spans; none of a single thing."""
        if self.spans and self.end is not None:
            return [Part(self.run, spans=self.spans), Part(self.run, end=self.end)]
        middle = len(self.spans) // 2
        halves = (self.spans[:middle], self.spans[middle:]) if middle else ()
        return [Part(self.run, spans=half) for half in halves]


@attrs.define(eq=False)
class Extent:
    """How much of a run something is about, a sentence's subject: what is missing of it, for instance."""

    has_start: bool = False
    has_end: bool = False
    spans: int = 0
    first: str = ""
    """Where in the run the first of the spans was."""
    last: str = ""

    def add(self, part: Part) -> None:
        """It is about this too, the spans of which came later than those before."""
        self.has_start = self.has_start or part.begins
        self.has_end = self.has_end or part.end is not None
        self.add_spans(part.spans)

    def add_spans(self, spans: Sequence[Span]) -> None:
        """It is about these too, which came later than those before."""
        if spans:
            self.add_extent(Extent(spans=len(spans), first=_place(spans[0]), last=_place(spans[-1])))

    def add_extent(self, other: Extent) -> None:
        """It is about the spans of another one too, which came later."""
        if other.spans:
            self.first = self.first or other.first
            self.last = other.last
            self.spans += other.spans

    def __bool__(self) -> bool:
        return self.has_start or self.has_end or self.spans > 0

    def __str__(self) -> str:
        count = "1 span" if self.spans == 1 else f"{self.spans} spans"
        where = self.first if self.spans == 1 else f"{self.first} to {self.last}"
        parts = [
            "the start of the run" if self.has_start else "",
            f"{count} of its trace ({where})" if self.spans else "",
            "the end of the run" if self.has_end else "",
        ]
        return ", ".join(part for part in parts if part)


def _place(span: Span) -> str:
    return str(span.attributes.get("path") or span.name)
