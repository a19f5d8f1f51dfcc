"""What `--input` and `--context` stand for: text from the command line becomes what the pipeline takes."""

from __future__ import annotations

import inspect
import json
import types
import typing
from pathlib import Path
from types import ModuleType
from typing import Any

import cattrs

from flujo_actors.cli.errors import BadInputError
from flujo_actors.cli.text import CONVERTER
from flujo_actors.steps import AnyStep
from flujo_actors.steps.annotations import as_class, without_none

EXACT_TYPES = (int, float, bool)
"""Classes that a converter would make of almost anything."""


def read_input(given: str | None) -> str | None:
    """The text that `--input` names: itself, or the content of a file after `@` (`@@` for a text that begins with @).

    Raises:
        BadInputError: the file cannot be read, or is not UTF-8.
    """
    if given is None or not given.startswith("@"):
        return given
    return given[1:] if given.startswith("@@") else read_text(Path(given[1:]))


def read_text(file: Path) -> str:
    """A file's text.

    Raises:
        BadInputError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"the input file {file} is not UTF-8 text: byte 0x{error.object[error.start]:02x} at offset {error.start}"
        ) from None
    except OSError as error:
        raise BadInputError(f"the input file {file} cannot be read: {error.strerror}") from None


def as_pipeline_input(text: str | None, pipeline: AnyStep) -> Any:
    """The text as what the pipeline's first step takes: text as it is, any other annotated type from JSON.

    Raises:
        BadInputError: the pipeline takes something else than what was given.
    """
    wanted = pipeline.input_type
    if text is None:
        if wanted in (Any, None, type(None), object) or _takes_none(wanted):
            return None
        raise BadInputError(f"the pipeline takes an input of type {_name(wanted)}; give it with --input")
    if wanted in (Any, str, object) or _takes(str, wanted):
        return text
    try:
        value = json.loads(text)
        return exactly(value, wanted) if wanted in EXACT_TYPES else CONVERTER.structure(value, wanted)
    except Exception as error:
        reasons = "; ".join(cattrs.transform_error(error))
        raise BadInputError(
            f"the pipeline takes an input of type {_name(wanted)}, and this is no JSON for one: {reasons}"
        ) from error


def new_context(name: str | None, pipeline: AnyStep, module: ModuleType) -> Any:
    """The context to run with: what `--context` names in the user's file, or a new one of the class that is asked for.

    Raises:
        BadInputError: there is nothing of that name, or the context cannot be made without being named.
    """
    if name is not None:
        if not hasattr(module, name):
            raise BadInputError(f"--context: {Path(str(module.__file__)).name} has no {name!r}")
        found: Any = getattr(module, name)
        return _make(found, f"--context {name}") if callable(found) else found
    asked = [without_none(wanted) for wanted in pipeline.context_types]
    classes = {found for wanted, _ in asked if (found := as_class(wanted)) is not None}
    if not classes and all(may_be_none for _, may_be_none in asked):
        return None
    if len(classes) != 1:
        raise BadInputError("the pipeline needs a context, and its steps do not say which; name one with --context")
    return _make(classes.pop(), "the context of the pipeline")


def _make(factory: Any, what: str) -> Any:
    try:
        made = factory()
    except Exception as error:
        raise BadInputError(
            f"{what} could not be made: {type(error).__name__}: {error}; name an object or a function that makes one "
            "with --context"
        ) from error
    if inspect.iscoroutine(made):
        made.close()
        raise BadInputError(f"{what} is made by an async function; name one that is not")
    return made


def exactly(value: Any, wanted: type) -> Any:
    """The value, when it is of the class; a whole number will do for a float.

    Raises:
        TypeError: it is of another class.
    """
    if type(value) is wanted:
        return value
    if wanted is float and type(value) is int:
        return float(value)
    raise TypeError(f"{json.dumps(value)} is no {wanted.__name__}")


def _takes(kind: type, annotation: Any) -> bool:
    """Whether a union has this class among its members."""
    return typing.get_origin(annotation) in (typing.Union, types.UnionType) and kind in typing.get_args(annotation)


def _takes_none(annotation: Any) -> bool:
    return _takes(type(None), annotation)


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)
