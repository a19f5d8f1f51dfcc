"""Finding a pipeline in a user's Python file."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TypeGuard

from flujo_actors.cli.errors import BadInputError
from flujo_actors.steps import AnyStep, BaseStep

DEFAULT_NAME = "pipeline"
MODULE_NAME = "__flujo_pipeline__"


def load_pipeline(target: str) -> tuple[AnyStep, ModuleType]:
    """Import the file of `FILE.py:NAME` and take the pipeline (or other step) of that name.

    Args:
        target: the file and the name in it, `pipeline` when only a file is named.

    Returns:
        The step, and the module it stands in.

    Raises:
        BadInputError: there is no such file, importing it raises, or the name is not that of a pipeline.
    """
    file, name = _split(target)
    module = load_module(Path(file))
    found: object = getattr(module, name, None)
    if _is_step(found):
        return found, module
    names = [key for key, value in vars(module).items() if _is_step(value) and not key.startswith("_")]
    hint = f"; it has {', '.join(names)}" if names else "; it has no pipeline at all"
    if not hasattr(module, name):
        raise BadInputError(f"{file} has no {name!r}{hint}")
    raise BadInputError(f"{name!r} in {file} is no pipeline but of class {type(found).__name__}{hint}")


def load_module(file: Path) -> ModuleType:
    """Run a Python file as a module. As for a script, the files beside it can be imported.

    Raises:
        BadInputError: there is no such file, or running it raises.
    """
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise BadInputError(f"the file {file} {what}; name a Python file, FILE.py:pipeline")
    spec = importlib.util.spec_from_file_location(MODULE_NAME, file)
    if spec is None or spec.loader is None:
        raise BadInputError(f"{file} is no Python file; name one, FILE.py:pipeline")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickle look a class's module up by name.
    sys.modules[MODULE_NAME] = module
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise BadInputError(
            f"importing {file} raised {type(error).__name__}: {error}{_line_in(error, file)}"
        ) from error
    return module


def _is_step(value: object) -> TypeGuard[AnyStep]:
    return isinstance(value, BaseStep)


def _split(target: str) -> tuple[str, str]:
    """`FILE.py:NAME`. A path may hold colons itself, so the last one counts, and only before a Python name."""
    file, separator, name = target.rpartition(":")
    return (file, name) if separator and name.isidentifier() else (target.removesuffix(":"), DEFAULT_NAME)


def _line_in(error: BaseException, file: Path) -> str:
    """Where in the user's file it happened, as a suffix."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return ""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).name == file.name
    ]
    return f" (line {lines[-1]})" if lines else ""
