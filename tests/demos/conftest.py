"""What the tests of all demos do: run one on real files, and print what came out."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from flujo_actors import PipelineResult, open_system
from flujo_actors.demos import Demo
from flujo_actors.demos.files.reading import File


async def run_demo(demo: Demo, path: Path | str) -> PipelineResult[Any, Any]:
    """Run a demo on a path."""
    async with open_system() as system:
        return await system.run(demo.pipeline, str(path), context=demo.new_context())


def printed(demo: Demo, result: PipelineResult[Any, Any], width: int = 80, *, terminal: bool = False) -> str:
    """What a demo prints of a result, without the spaces at the ends of lines."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None, legacy_windows=False)
    demo.render(demo.conclude(result), console)
    return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def make_file(folder: Path, name: str, content: str | bytes) -> File:
    """A file with this content."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return File(str(folder), name)


def spans_named(trace: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The spans of a trace with this name, in order of start."""
    return [span for span in _walk(trace) if span["name"] == name]


def _walk(span: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield span
    for child in span["children"]:
        yield from _walk(child)
