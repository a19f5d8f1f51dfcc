"""Python source, by its syntax tree: functions, classes, the longest function, missing docstrings."""

from __future__ import annotations

import ast
import threading
import warnings
from collections.abc import Iterator
from typing import Final, TypeAlias

import attrs

from flujo_actors.demos.files.reading import File, ReadingError, read_bytes
from flujo_actors.demos.printing import count

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Definition: TypeAlias = Function | ast.ClassDef

_ONE_AT_A_TIME: Final = threading.Lock()
"""The parser warns of odd literals; which warnings are shown is a setting of the process, changed while we parse."""


@attrs.frozen
class PythonFinding:
    """What a Python file is made of."""

    functions: int
    """Methods and nested functions included."""
    classes: int
    longest: str | None
    """The name of the longest function; `None` without functions."""
    longest_lines: int
    """Its lines, from `def` to its end."""
    undocumented: int
    """What should have a docstring and has none: the module, and its public classes, functions and methods."""

    @property
    def in_words(self) -> str:
        """All of it."""
        parts = [
            f"{self.classes:,} class{'' if self.classes == 1 else 'es'}" if self.classes else "",
            count(self.functions, "function") if self.functions else "",
            f"longest {self.longest} ({count(self.longest_lines, 'line')})" if self.longest else "",
            f"{self.undocumented:,} without docstring" if self.undocumented else "",
        ]
        return ", ".join(filter(None, parts))


def examine_python(file: File) -> PythonFinding:
    """Look at a Python file; nothing in it is run. Blocks on the disk.

    Raises:
        ReadingError: it cannot be read, or Python would not take it.
    """
    module = _parse(file)
    functions = [node for node in ast.walk(module) if isinstance(node, Function)]
    longest = max(functions, key=_lines, default=None)
    return PythonFinding(
        functions=len(functions),
        classes=sum(isinstance(node, ast.ClassDef) for node in ast.walk(module)),
        longest=None if longest is None else longest.name,
        longest_lines=0 if longest is None else _lines(longest),
        undocumented=sum(ast.get_docstring(node, clean=False) is None for node in _documentable(module)),
    )


def _parse(file: File) -> ast.Module:
    source = read_bytes(file)
    try:
        with _ONE_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source, file.name)
    except SyntaxError as error:
        place = f" (line {error.lineno})" if error.lineno else ""
        raise ReadingError(file.name, f"is not valid Python: {error.msg}{place}") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise ReadingError(file.name, f"is not valid Python: {error}") from error


def _documentable(module: ast.Module) -> Iterator[ast.Module | Definition]:
    yield module
    waiting = [*module.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                waiting.extend(node.body)


def _lines(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1
