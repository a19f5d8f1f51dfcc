"""What an export says of the run besides its trace."""

from __future__ import annotations

import attrs

from flujo_actors.spans import SpanStatus


@attrs.frozen
class ExportedRun:
    """A run as the head of an export has it."""

    run_id: str
    pipeline: str
    """The name of the pipeline."""
    status: SpanStatus
    total_cost_usd: float = 0.0
    """US dollars spent by everything in the run."""
    total_tokens: int = 0
    """Tokens spent by everything in the run."""
