"""Looking things up in the trace of a run, and holding it against what it should be."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, TypedDict, overload

import attrs
from typing_extensions import Unpack

from flujo_actors.results import PipelineResult
from flujo_actors.spans import SpanStatus
from flujo_actors.storage.backend import StateBackend


class Expected(TypedDict, total=False):
    """What `Trace.assert_step` may be told to expect: fields of `TracedStep`."""

    status: str
    attempts: int
    cost_usd: float
    tokens: int
    failure: str | None
    duration: float | None


@attrs.frozen
class TracedStep:
    """What the trace of a run says of one step."""

    path: str
    """Its path, empty for the run as a whole."""
    status: SpanStatus
    attempts: int
    """How often it was tried."""
    cost_usd: float
    """US dollars spent by everything in it, failed attempts included."""
    tokens: int
    """Tokens spent by everything in it, failed attempts included."""
    failure: str | None
    """Why it did not succeed, as one sentence."""
    duration: float | None
    """Seconds from its start to its end, to the microsecond; `None` where it has not ended."""
    name: str = attrs.field(repr=False)
    """Its name among its siblings; `pipeline_run` for the run as a whole."""
    kind: str = attrs.field(repr=False)
    """The class of the step."""
    attributes: Mapping[str, Any] = attrs.field(repr=False)
    """All that its span says."""
    children: tuple[TracedStep, ...] = attrs.field(repr=False)
    """The steps inside it, in the order of their start."""

    def walk(self) -> Iterator[TracedStep]:
        """This step and all inside it, parents before children."""
        waiting: list[TracedStep] = [self]
        while waiting:
            step = waiting.pop()
            yield step
            waiting.extend(reversed(step.children))


@attrs.frozen
class Trace:
    """The trace of a run. As text it is a drawing, the same that `assert_trace` takes."""

    root: TracedStep
    """The run as a whole."""

    @overload
    @classmethod
    def of(cls, source: PipelineResult[Any, Any], /) -> Trace: ...
    @overload
    @classmethod
    def of(cls, source: StateBackend, run_id: str, /) -> Trace: ...
    @classmethod
    def of(cls, source: PipelineResult[Any, Any] | StateBackend, run_id: str = "", /) -> Trace:
        """The trace in a result, or the one that was stored of a run.

        Raises:
            AssertionError: the backend has no such run.
        """
        if isinstance(source, PipelineResult):
            return cls(_traced(source.trace_tree))
        tree = source.get_trace(run_id)
        if tree is None:
            known = ", ".join(run.run_id for run in source.list_runs(limit=10)) or "none"
            raise AssertionError(f"there is no run {run_id!r} in storage; the latest there are: {known}")
        return cls(_traced(tree))

    def __str__(self) -> str:
        return "\n".join([_line(self.root.name, self.root), *_lines_below(self.root, "  ")])

    def paths(self) -> list[str]:
        """The paths of all steps that ran, parents before children."""
        return [step.path for step in self.root.walk()]

    def statuses(self) -> dict[str, str]:
        """How each step ended, by its path."""
        return {step.path: str(step.status) for step in self.root.walk()}

    def find(self, path: str) -> TracedStep:
        """The step of a path; the empty path is the run as a whole.

        Raises:
            AssertionError: it did not run. The text shows what did.
        """
        __tracebackhide__ = True
        for step in self.root.walk():
            if step.path == path:
                return step
        raise AssertionError(f"no step {path!r} ran; this did:\n{self}")

    def assert_step(self, path: str, **expected: Unpack[Expected]) -> None:
        """Hold what is said of one step against what it should be.

        Args:
            path: the step's path; the empty path is the run as a whole, whose figures are the run's totals.
            **expected: fields of `TracedStep`: `status="failed", attempts=2, cost_usd=0.02`.

        Raises:
            AssertionError: it did not run, or something of it is different. The text shows the whole trace.
        """
        __tracebackhide__ = True
        step = self.find(path)
        wrong = [
            f"{name} is {_shown(getattr(step, name))}, not {_shown(value)}"
            for name, value in expected.items()
            if getattr(step, name) != value
        ]
        if wrong:
            raise AssertionError(f"{path or 'the run'}: {'; '.join(wrong)}\n{self}{_failures(self.root)}")


def assert_trace(source: Trace | PipelineResult[Any, Any], expected: str) -> None:
    """Hold the trace of a run against a drawing of it: a line for each step, indented by two spaces under its parent.

    A line is the step's path below its parent, a colon, and its status; then, where there is something to say, how
    often it was tried and what everything in it spent:

        pipeline_run: failed, $0.03, 20 tokens
          fetch: completed
          grow: failed, $0.03, 20 tokens
            [1]/ask: completed, $0.01, 20 tokens
            [2]/ask: failed, 2 attempts, $0.02

    Args:
        source: the result of the run, or its trace.
        expected: the drawing. Its indentation as a whole and empty lines do not count. `str(Trace.of(result))` is the
            drawing of a run.

    Raises:
        AssertionError: they differ. The text shows both beside each other, and why steps failed.
    """
    __tracebackhide__ = True  # pytest then points at the line of the test
    trace = source if isinstance(source, Trace) else Trace.of(source)
    wanted = [line.rstrip() for line in textwrap.dedent(expected).splitlines() if line.strip()]
    drawn = str(trace).splitlines()
    if wanted != drawn:
        difference = "\n".join(line.rstrip() for line in difflib.ndiff(wanted, drawn))
        raise AssertionError(f"the trace is not as drawn (- expected, + found)\n{difference}{_failures(trace.root)}")


def _traced(node: Mapping[str, Any]) -> TracedStep:
    attributes, started, ended = node["attributes"], node["start_time"], node["end_time"]
    tokens = ("prompt_tokens", "completion_tokens", "other_tokens")
    return TracedStep(
        path=attributes.get("path", ""),
        status=SpanStatus(node["status"]),
        attempts=len(attributes.get("attempts", ())) or 1,
        cost_usd=attributes.get("cost_usd", 0.0),
        tokens=sum(attributes.get(name, 0) for name in tokens),
        failure=attributes.get("failure", {}).get("feedback"),
        duration=None if ended is None else round(ended - started, 6),
        name=node["name"],
        kind=attributes.get("kind", ""),
        attributes=attributes,
        children=tuple(_traced(child) for child in node["children"]),
    )


def _lines_below(step: TracedStep, indentation: str) -> Iterator[str]:
    for child in step.children:
        yield indentation + _line(child.path.removeprefix(step.path).removeprefix("/"), child)
        yield from _lines_below(child, f"{indentation}  ")


def _line(name: str, step: TracedStep) -> str:
    details = [
        str(step.status),
        f"{step.attempts} attempts" if step.attempts > 1 else "",
        f"${_dollars(step.cost_usd)}" if step.cost_usd else "",
        f"{step.tokens} tokens" if step.tokens else "",
    ]
    return f"{name}: {', '.join(detail for detail in details if detail)}"


def _dollars(cost_usd: float) -> str:
    """As it would be written: `0.000001` rather than `1e-06`, `2` rather than `2.0`."""
    return f"{Decimal(repr(cost_usd)):f}".removesuffix(".0")


def _shown(value: object) -> str:
    """A status as the text that it is compared with; the rest as Python shows it."""
    return repr(str(value) if isinstance(value, SpanStatus) else value)


def _failures(root: TracedStep) -> str:
    """Why steps did not succeed: those at the bottom of it, a line each."""
    reasons = [
        f"\n{step.path or 'the run'}: {step.failure}"
        for step in root.walk()
        if step.failure is not None and all(child.failure is None for child in step.children)
    ]
    return "".join(["\n", *reasons]) if reasons else ""
