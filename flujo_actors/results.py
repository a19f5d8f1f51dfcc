"""What comes back: the result of one step, and of a whole run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Generic

import attrs
from typing_extensions import TypeVar

from flujo_actors.context import ContextBranch, Origin
from flujo_actors.errors import RunFailedError
from flujo_actors.failures import Failure
from flujo_actors.frozen import frozen
from flujo_actors.spans import Span, SpanStatus, build_trace

OutputT = TypeVar("OutputT", default=Any)
ContextT = TypeVar("ContextT", default=Any)


@frozen
class StepResult:
    """The outcome of one step of a run. A composite's figures are the totals of all work done inside it."""

    name: str
    """The step's name."""
    success: bool
    output: Any = None
    """What the step gave; `None` when it failed, unless its kind of failure keeps the output."""
    attempts: int = 1
    """How often it was tried."""
    latency_s: float = 0.0
    """Seconds from its start to its end, all attempts and the waits between them included."""
    cost_usd: float = 0.0
    """US dollars spent, failed attempts included."""
    token_counts: int = 0
    """Prompt and completion tokens spent, failed attempts included."""
    feedback: str | None = None
    """The failure as one sentence; `None` on success, but for a loop, which says how it ended."""
    failure: Failure | None = None
    """The failure as data; `None` on success."""
    step_history: tuple[StepResult, ...] = ()
    """The results of the children, in order; of every attempt when there were several."""
    metadata: Mapping[str, Any] = attrs.Factory(dict[str, Any])
    """What else the kind of step has to say."""
    branch: ContextBranch | None = attrs.field(default=None, eq=False, repr=False)
    """The step's branch of the context, for supervisors."""

    @property
    def branch_context(self) -> Any:
        """The context as this step left it; `None` in a run without one. Made when it is asked for, and then yours.

        A leaf that failed left nothing: it is the context that its last attempt was given.
        """
        return None if self.branch is None else self.branch.snapshot()


@attrs.frozen(slots=False)
class PipelineResult(Generic[OutputT, ContextT]):
    """The outcome of a run."""

    run_id: str
    """32 hexadecimal digits."""
    status: SpanStatus
    """`COMPLETED`, `FAILED`, `CANCELLED` or `PAUSED`."""
    output: OutputT | None
    """The last step's output; `unwrap` gives it without the `None`."""
    context: ContextT
    """The merged context, of the class that was passed in; a new object."""
    step_history: tuple[StepResult, ...]
    """The results of the pipeline's steps that ran, in order."""
    total_cost_usd: float
    """US dollars spent by everything in the run."""
    total_tokens: int
    """Prompt and completion tokens spent by everything in the run."""
    failure: Failure | None
    """Why the run did not complete, when it did not."""
    spans: tuple[Span, ...] = attrs.field(default=(), repr=False)
    """The spans of the run in the order in which they ended, the root last."""
    warnings: tuple[str, ...] = ()
    """What the user should know about the run itself, for instance that part of its trace could not be stored."""
    _branch: ContextBranch | None = attrs.field(default=None, eq=False, repr=False, alias="branch")

    @property
    def success(self) -> bool:
        """Whether every step succeeded."""
        return self.status is SpanStatus.COMPLETED

    @cached_property
    def trace_tree(self) -> dict[str, Any]:
        """The run's spans as nested dicts, the same as `StateBackend.get_trace` gives."""
        tree = build_trace(self.spans, self.spans[-1].span_id)
        assert tree is not None, "a run always ends with its root span"  # noqa: S101 - an invariant
        return tree

    def blame(self, path: str) -> Origin | None:
        """Which step wrote the value that a path of `context` has.

        Args:
            path: as in Python, without the context itself: `a.b['k'][3]`.

        Returns:
            The step, its attempt, iteration and branch; `None` for what the context had from the beginning.

        Raises:
            ValueError: it is no such path.
        """
        return None if self._branch is None else self._branch.blame(path)

    def unwrap(self) -> OutputT:
        """The output of a run that completed.

        Raises:
            RunFailedError: the run failed, was cancelled or is paused.
        """
        if not self.success:
            raise RunFailedError(self.run_id, str(self.failure or self.status))
        return self.output  # type: ignore[return-value] # a completed run's output is what the last step gave
