"""What storage owes to one run."""

from __future__ import annotations

from typing import Final

import attrs

from flujo_actors.spans import Span
from flujo_actors.storage.inbox import RunEnded, RunStarted
from flujo_actors.storage.parts import Extent, Part
from flujo_actors.storage.records import RunRecord

FORGOTTEN: Final = "the storage did not know the run any more; was it deleted, or the file removed?"


@attrs.define(eq=False)
class RunAccount:
    """What of one run waits to be stored, what is stored, and what will never be."""

    started: RunStarted
    start_is_due: bool = True
    """Whether the start is to be stored also when nothing else of the run is."""
    has_begun: bool = False
    """Whether the start is stored."""
    waiting: list[Span] = attrs.Factory(list[Span])
    """The spans to be stored, in the order in which they came."""
    end: RunRecord | None = None
    """How the run ended, as long as that is to be stored."""
    ended: RunEnded | None = None
    """Whom to tell what is missing, once the run has ended."""
    stored: Extent = attrs.Factory(Extent)
    """Its spans that are stored, as far as is known."""
    missing: dict[str, Extent] = attrs.Factory(dict[str, Extent])
    """What will never be stored, by the reason: the rest of a sentence that begins with it."""

    @property
    def run_id(self) -> str:
        """The run's id."""
        return self.started.run.run_id

    @property
    def is_closed(self) -> bool:
        """Whether the run has ended, and nothing of it waits."""
        return self.ended is not None and self.end is None and not self.waiting

    @property
    def is_told(self) -> bool:
        """Whether the run has ended, and was told what is missing."""
        return self.ended is not None and self.ended.settled.is_set()

    def close(self, message: RunEnded) -> None:
        """The run has ended, or has ended otherwise than was said before."""
        self.ended, self.end = message, message.run
        if message.root is not None:
            self.waiting.append(message.root)

    def tell(self, why_it_waits: str | None = None) -> None:
        """Tell the run, once it has ended, what is missing; if there is a reason for it, also what waits."""
        missing = dict(self.missing)
        if why_it_waits is not None:
            missing[why_it_waits] = waiting = Extent(not self.has_begun, self.end is not None)
            waiting.add_spans(self.waiting)
        if self.ended is not None:
            self.ended.settle(f"{extent} {reason}" for reason, extent in missing.items() if extent)

    def take_part(self, at_most: int | None = None) -> Part | None:
        """What is to be stored next, with `at_most` spans; `None` when there is nothing."""
        spans = self.waiting[:at_most]
        if spans and spans[-1].parent_span_id is None and self.ended is None:
            # The root span waits for the end of the run: stored without it, both would contradict each other.
            spans.pop()
        self.waiting = self.waiting[len(spans) :]
        end = None if self.waiting else self.end
        if not (spans or end or self.start_is_due):
            return None
        self.start_is_due = False
        return Part(self.started.run, not self.has_begun, spans, end)

    def note_stored(self, part: Part) -> None:
        """A part, or a piece of one, is stored."""
        if part.was_forgotten:
            self.missing.setdefault(f"stored and then lost: {FORGOTTEN}", Extent()).add_extent(self.stored)
            self.stored = Extent()
        self.has_begun = True
        for extent in self.missing.values():
            extent.has_start = False
        self.stored.add_spans(part.spans)
        self._note_done_with(part)

    def note_refused(self, part: Part, reason: str) -> bool:
        """A part, or a piece of one, will never be stored. A start is tried again with the spans to come.

        Returns:
            Whether this is the first time for this reason.
        """
        is_new = reason not in self.missing
        self.missing.setdefault(reason, Extent()).add(part)
        self._note_done_with(part)
        return is_new

    def note_failed(self, part: Part) -> None:
        """A part could not be stored now."""
        self.waiting[:0] = part.spans
        self.start_is_due = self.start_is_due or part.begins

    def drop_last(self, count: int, reason: str) -> None:
        """Give up the spans that came last."""
        kept = len(self.waiting) - count
        self.missing.setdefault(reason, Extent()).add_spans(self.waiting[kept:])
        del self.waiting[kept:]

    def drop_everything(self, reason: str) -> None:
        """Give up all that waits."""
        if (part := self.take_part()) is not None:
            self.note_refused(part, reason)

    def _note_done_with(self, part: Part) -> None:
        if part.end is self.end:  # it is another one when it was corrected meanwhile
            self.end = None
