"""Showing a trace as a tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from flujo_actors.cli.text import STATUS_MARKS, STATUS_STYLES, amount, duration, one_line
from flujo_actors.spans import SpanStatus


def show_trace(trace: Mapping[str, Any], console: Console) -> None:
    """Print a trace as `StateBackend.get_trace` gives it: status, name, duration, what was spent, what went wrong."""
    console.print(_tree(trace), soft_wrap=not console.is_terminal)


def _tree(root: Mapping[str, Any]) -> Tree:
    """The trace as a tree. Deep traces are no problem of recursion: the nodes wait in a list."""
    tree = Tree(_label(root), guide_style="dim")
    waiting = [(tree, root)]
    while waiting:
        branch, span = waiting.pop()
        waiting.extend((branch.add(_label(child)), child) for child in span["children"])
    return tree


def _label(node: Mapping[str, Any]) -> Text:
    status, attributes = SpanStatus(node["status"]), node["attributes"]
    label = Text.assemble((f"{STATUS_MARKS[status]} ", STATUS_STYLES[status]), (one_line(node["name"]), "bold"))
    if node["end_time"] is not None:
        label.append(f"  {duration(node['end_time'] - node['start_time'])}", style="dim")
    for detail in _details(attributes):
        label.append(f"  {detail}", style="dim")
    failure = attributes.get("failure")
    if failure is not None:
        label.append(f"  {one_line(str(failure['feedback']))}", style="red")
    return label


def _details(attributes: Mapping[str, Any]) -> list[str]:
    attempts = attributes.get("attempts")
    tokens = sum(attributes.get(key, 0) for key in ("prompt_tokens", "completion_tokens", "other_tokens"))
    spent = amount(attributes.get("cost_usd", 0.0), tokens)
    tries = f"{len(attempts)} attempt{'' if len(attempts) == 1 else 's'}" if attempts else ""
    return [detail for detail in (tries, spent) if detail]
