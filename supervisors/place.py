"""Where a step stands in a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from flujo_actors.mailbox import Mailbox
from flujo_actors.usage import UsageMeter


class Occupant(Protocol):
    """Who stands in a place, as those below see it."""

    @property
    def place(self) -> Place:
        """Where it stands."""
        ...

    def why_cancelled(self) -> str | None:
        """Why it was cancelled itself; `None` when it was not, or only with something around it."""
        ...


@attrs.define(eq=False)
class Place:
    """Where a child stands in the run: the same for all its attempts, and not changed by them."""

    name: str
    """Its name among its siblings."""
    path: str
    """Below the root; empty for the root."""
    span_id: str
    """Its span, which is also what its messages are signed with."""
    parent_span_id: str | None
    """The span it is part of: the supervisor's, or for a fallback that of the step it stands in for."""
    started_at: float
    """When the first attempt was spawned, on trio's clock."""
    meter: UsageMeter
    """Counts what all attempts together spend."""
    reports: Mailbox[Any]
    """Where the report goes."""
    supervisor: Occupant | None
    """The actor above, `None` for the root."""
    attributes: Mapping[str, Any]
    """What its span says besides the usual, its iteration or branch for instance."""
    input: Any = None
    """What its span shows of its input, where spans show values."""
    written: Sequence[str] = ()
    """Where in the context it wrote something, where spans show that."""
