"""Showing what a run failed of: each failure above those that led to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, cast

from rich.text import Text

from flujo_actors.cli.text import duration, one_line, printable
from flujo_actors.cli.traces import failure_text, status_mark
from flujo_actors.lens import Blamed, SpanNode
from flujo_actors.lens.tree import as_mapping
from flujo_actors.spans import SpanStatus

_DEEPEST: Final = 20
"""Levels that are indented; a chain that is longer goes on below the last of them."""


def failure_lines(chain: Iterable[Blamed], *, tracebacks: bool) -> Iterator[Text]:
    """The chain, one failure below the other.

    Args:
        chain: the failures, each before those that led to it.
        tracebacks: whether to show those of the exceptions at its ends.
    """
    for blamed in chain:
        indent = "  " * min(blamed.depth, _DEEPEST)
        yield Text.assemble(indent, ("caused by " if blamed.depth else "", "dim"), _place(blamed), "  ", _said(blamed))
        for line in _below(blamed, tracebacks=tracebacks):
            yield Text.assemble(f"{indent}    ", line)


def failure_as_json(blamed: Blamed) -> dict[str, Any]:
    """One failure of a chain, without those that led to it: they follow it in the list."""
    own = {key: value for key, value in blamed.failure.items() if key not in {"cause", "others"}}
    span_id = None if blamed.node is None else blamed.node.span.span_id
    attempts = [] if blamed.node is None else blamed.node.attempts
    return {"depth": blamed.depth, "span_id": span_id, **own, "attempts": attempts}


def _place(blamed: Blamed) -> Text:
    node = blamed.node
    mark = status_mark(SpanStatus.FAILED if node is None else node.span.status)
    kind = f" ({one_line(node.kind)})" if node is not None and node.kind else ""
    return Text.assemble(mark, " ", (one_line(blamed.step) or "pipeline_run", "bold"), (kind, "dim"))


def _said(blamed: Blamed) -> Text:
    """Which attempt of how many, what of the step, and the failure itself."""
    failure, tries = blamed.failure, 0 if blamed.node is None else len(blamed.node.attempts)
    attempt = f"attempt {failure.get('attempt')} of {tries}  " if tries else ""
    phase = f"{one_line(str(failure['phase']))}  " if failure.get("phase") else ""
    return Text.assemble((f"{attempt}{phase}", "dim"), failure_text(failure))


def _below(blamed: Blamed, *, tracebacks: bool) -> Iterator[Text]:
    running = blamed.failure.get("running")
    if isinstance(running, list):
        paths = ", ".join(one_line(str(path)) for path in cast("list[object]", running))
        yield Text(f"stopped while running {paths}", style="dim")
    if blamed.node is not None and blamed.is_last:
        yield from _earlier_attempts(blamed.node, blamed.failure)
    trace = blamed.failure.get("traceback")
    if tracebacks and blamed.is_last and isinstance(trace, str):
        yield from (Text(printable(line), style="dim") for line in trace.rstrip().split("\n"))


def _earlier_attempts(node: SpanNode, failure: Mapping[str, Any]) -> Iterator[Text]:
    """The attempts before the one that is told of already."""
    for attempt in node.attempts:
        earlier = as_mapping(attempt.get("failure"))
        if earlier is not None and attempt.get("number") != failure.get("attempt"):
            took = duration(max(0.0, float(attempt.get("end_time", 0.0)) - float(attempt.get("start_time", 0.0))))
            yield Text.assemble((f"attempt {attempt.get('number')}  {took}  ", "dim"), failure_text(earlier))
