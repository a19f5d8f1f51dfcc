"""Showing values, times and amounts; whatever stands in them, a line stays a line and a terminal is left alone."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any, Final

import cattrs
from cattrs.gen import make_dict_unstructure_fn, override
from rich.console import Console
from rich.text import Text

from flujo_actors.failures import Failure
from flujo_actors.plain import plain_attributes
from flujo_actors.results import StepResult
from flujo_actors.spans import SpanStatus

CONVERTER: Final = cattrs.Converter()
"""Between JSON values and a user's classes, pydantic's models too."""

CONVERTER.register_unstructure_hook_func(
    lambda kind: hasattr(kind, "model_dump"), lambda model: model.model_dump(mode="json")
)
CONVERTER.register_structure_hook_func(
    lambda kind: hasattr(kind, "model_validate"), lambda value, kind: kind.model_validate(value)
)
CONVERTER.register_unstructure_hook(
    Failure, make_dict_unstructure_fn(Failure, CONVERTER, exception=override(omit=True))
)
CONVERTER.register_unstructure_hook(
    StepResult, make_dict_unstructure_fn(StepResult, CONVERTER, branch=override(omit=True))
)

PLAIN_WIDTH = 200
"""Columns of tables when the output is no terminal."""

STATUS_STYLES = {
    SpanStatus.RUNNING: "cyan",
    SpanStatus.COMPLETED: "green",
    SpanStatus.FAILED: "red",
    SpanStatus.CANCELLED: "yellow",
    SpanStatus.PAUSED: "blue",
    SpanStatus.INTERRUPTED: "magenta",
}
STATUS_MARKS = {
    SpanStatus.RUNNING: "…",
    SpanStatus.COMPLETED: "✓",
    SpanStatus.FAILED: "✗",
    SpanStatus.CANCELLED: "⊘",
    SpanStatus.PAUSED: "‖",
    SpanStatus.INTERRUPTED: "!",
}


def print_whatever_the_encoding() -> None:
    """Have what standard output and error cannot encode, a tick in Latin-1 for instance, printed as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def until_the_reader_leaves() -> Generator[None, None, None]:
    """A block that prints to standard output, and ends early when nobody reads it any more: `flujo … | head`."""
    try:
        yield
        print(end="", flush=True)  # where there is no standard output, that does nothing
    except BrokenPipeError:
        # What is still buffered goes nowhere, or Python would complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Console(Console):
    """A console that does not end the process when nobody reads it any more, as rich's own would.

    On standard error it falls silent: the run that it tells about goes on. On standard output the caller decides.
    """

    def on_broken_pipe(self) -> None:
        if not self.stderr:
            raise  # noqa: PLE0704 - called by rich in the handler of the BrokenPipeError
        self.quiet = True
        # What is still buffered goes nowhere, or Python would exit with 120 for it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def new_console(*, stderr: bool = False) -> Console:
    """A console for a person on a terminal, or for a file or pipe: then without colour, and wide."""
    console = _Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else _Console(stderr=stderr, highlight=False, width=PLAIN_WIDTH)


def printable(text: str) -> str:
    """Text with what could move a cursor or ring a bell written as escapes; line breaks stay."""
    return "".join(mark if mark.isprintable() or mark == "\n" else _escaped(mark) for mark in text)


def one_line(text: str) -> str:
    """Text on one line, without control characters."""
    return printable(" ".join(text.split("\n")).strip())


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters of one line of text, with an ellipsis where some were left out."""
    line = one_line(text)
    return line if len(line) <= limit else f"{line[: limit - 1]}…"


def duration(seconds: float) -> str:
    """Seconds in a unit that suits them: `350 µs`, `12.3 ms`, `4.56 s`, `3 min 20 s`."""
    # The limits are where the shorter unit would be rounded up to one of the longer.
    if seconds < 0.000_999_5:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.999_95:
        return f"{seconds * 1e3:.1f} ms"
    if seconds < 59.995 or not math.isfinite(seconds):
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def moment(wall: float) -> str:
    """Seconds since the epoch as local date and time; as they are where the calendar has no such date."""
    try:
        return datetime.fromtimestamp(wall, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{wall:g} s"


def amount(cost_usd: float, tokens: int) -> str:
    """What was spent, empty when nothing was."""
    parts = [dollars(cost_usd) if cost_usd else "", f"{tokens} tokens" if tokens else ""]
    return ", ".join(part for part in parts if part)


def dollars(cost_usd: float) -> str:
    """An amount of money that is not zero."""
    return f"${cost_usd:.6f}".rstrip("0").rstrip(".") if cost_usd >= 1e-6 else "less than $0.000001"


def counted(count: int, noun: str) -> str:
    """A number of things: `1 run`, `2 runs`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def closing_line(status: SpanStatus, seconds: float, cost_usd: float, tokens: int) -> Text:
    """How a run ended, how long it took, and what was spent."""
    spent = amount(cost_usd, tokens)
    return Text.assemble(
        (f"{STATUS_MARKS[status]} {status}", STATUS_STYLES[status]),
        f" in {duration(seconds)}" + (f", {spent}" if spent else ""),
    )


def as_json_value(value: Any) -> Any:
    """A value as JSON values: attrs classes, dataclasses and models as objects, what JSON lacks as text."""
    try:
        plain = CONVERTER.unstructure(value)
    except Exception:  # noqa: BLE001 - a class that cannot be taken apart
        plain = value
    return plain_attributes({"value": plain})["value"]


def as_text(value: Any) -> str:
    """A value for a person: text as it is, anything else as indented JSON."""
    return value if isinstance(value, str) else json.dumps(as_json_value(value), indent=2, ensure_ascii=False)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output."""
    print(json.dumps(value, indent=2, default=repr))


def _escaped(mark: str) -> str:
    return mark.encode("unicode_escape").decode("ascii")
