"""A trace as one page that shows it in any browser, without anything from outside.

The page is put together from the files in `page`. Whatever text stands in a span does nothing: it is in the page as
JSON in which no character has a meaning for HTML, the script puts it on the screen as text only, and the policy in the
page's head lets the browser run the one script and use the one style sheet that have the right hash, turn no text into
markup, and load nothing from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib import resources
from typing import Any, Final

import attrs

from flujo_actors.exports.run import ExportedRun
from flujo_actors.lens import TraceTree

_SCRIPTS: Final = ("model.js", "rows.js", "timeline.js", "details.js", "main.js")
"""The parts of the script, in this order."""

_HARMLESS: Final = {ord(mark): f"\\u{ord(mark):04x}" for mark in "<>&"}
"""What means something in HTML, as JSON may write it too. Beyond ASCII `json.dumps` writes all marks like this."""


def export_html(trace: TraceTree, run: ExportedRun) -> str:
    """The trace as a page.

    Args:
        trace: the trace of the run.
        run: what stands above it.
    """
    style, script = _part("page.css"), "".join(_part(name) for name in _SCRIPTS)
    parts = {"policy": _policy(style, script), "style": style, "script": script, "data": _data(trace, run)}
    # All at once: what a part holds is not looked at for places to fill.
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], _part("page.html"))


def _policy(style: str, script: str) -> str:
    rules = {
        "default-src": "'none'",
        "script-src": _hash(script),
        "style-src": _hash(style),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _part(name: str) -> str:
    return resources.files("flujo_actors.exports").joinpath("page", name).read_text(encoding="utf-8")


def _data(trace: TraceTree, run: ExportedRun) -> str:
    """The trace as JSON: its spans as rows, each with the number of its parent's, times in seconds of the run."""
    numbers = {node: number for number, node in enumerate(trace.nodes)}
    spans: list[list[Any]] = [
        [
            node.span.span_id,
            -1 if node.parent is None else numbers[node.parent],
            node.span.name,
            node.span.start_time - trace.start,
            None if node.span.end_time is None else node.span.end_time - trace.start,
            str(node.span.status),
            dict(node.span.attributes),
        ]
        for node in trace.nodes
    ]
    head = {**attrs.asdict(run), "started_at": trace.start, "seen": trace.seconds}
    return json.dumps({"run": head, "spans": spans}, separators=(",", ":")).translate(_HARMLESS)
