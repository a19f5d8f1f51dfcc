"""Validators and converters of the user's classes, run on what a merge made of several branches' values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs

from flujo_actors.context.advice import Run
from flujo_actors.context.changes import Change, Edit, ListEdit, Replace, SetEdit, diff
from flujo_actors.context.freeze import Freezer
from flujo_actors.context.nodes import DictNode, RecordNode
from flujo_actors.context.paths import Field, Key, Part, format_path
from flujo_actors.context.thaw import Thawer, publish
from flujo_actors.errors import ContextError
from flujo_actors.failures import text_of


def validated(root: Any, change: Edit, run: Run) -> Any:
    """The same state, after the validators of each object that several branches changed have seen it.

    A converter may put another value in the place of one that several branches made; then the state is a new one.

    Raises:
        ContextError: a validator or converter refused. Names the field.
    """
    return _Validation(run).value(root, change, ())


class _Validation:
    def __init__(self, run: Run) -> None:
        self._run = run

    def value(self, node: Any, change: Change, path: tuple[Part, ...]) -> Any:
        if not isinstance(change, Edit) or not _is_shared(change):
            return node
        if isinstance(node, RecordNode):
            return self._record(node, change, path)
        if isinstance(node, DictNode):
            for key, part in change.parts.items():
                if isinstance(part, Edit):
                    node.items[key] = self.value(node.items[key], part, (*path, Key(key)))
        return node

    def _record(self, node: RecordNode, change: Edit, path: tuple[Part, ...]) -> RecordNode:
        for name, part in change.parts.items():
            if name in node.values:
                # The record was made by this merge and nobody has seen it: it can still be changed.
                node.values[name] = self.value(node.values[name], part, (*path, Field(name)))
        merged = [name for name, part in change.parts.items() if _is_shared(part)]
        if node.shape.kind == "attrs":
            self._convert(node, merged, path)
            self._validate(node, path)
        elif node.shape.kind == "pydantic" and not node.shape.frozen:
            self._revalidate(node, merged or list(change.parts), path)
        return node

    def _convert(self, node: RecordNode, names: list[str], path: tuple[Part, ...]) -> None:
        for field in attrs.fields(node.shape.cls):
            if field.name in names and field.converter is not None and field.name in node.values:
                with _refusal((*path, Field(field.name))):
                    converted = _converted(field, publish(node.values[field.name]), node)
                    _store(node, field.name, converted)

    def _validate(self, node: RecordNode, path: tuple[Part, ...]) -> None:
        if attrs.validators.get_disabled():
            return
        live: Any = None
        for field in attrs.fields(node.shape.cls):
            if field.validator is not None:
                live = live if live is not None else Thawer(node, frozenset(), self._run).thaw(node)
                with _refusal((*path, Field(field.name))):
                    field.validator(live, field, getattr(live, field.name))

    def _revalidate(self, node: RecordNode, names: list[str], path: tuple[Part, ...]) -> None:
        model = publish(node)
        for name in names:
            if name in node.shape.names and name in node.values:
                with _refusal((*path, Field(name))):
                    model.__pydantic_validator__.validate_assignment(model, name, getattr(model, name))
        for name in node.shape.names:
            if name in vars(model):
                _store(node, name, vars(model)[name])


class _refusal:  # noqa: N801 - reads as the function it could be, and is cheaper
    """Turns whatever a validator raises into an error that names the path."""

    def __init__(self, path: tuple[Part, ...]) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception):
            problem = f"has a merged value that its class refuses: {text_of(error)}"
            raise ContextError(format_path(self._path), problem) from error


def _converted(field: Any, value: Any, node: RecordNode) -> Any:
    converter: Any = field.converter
    if not hasattr(converter, "takes_self"):
        return converter(value)
    arguments = [value]
    if converter.takes_self:
        arguments.append(publish(node))
    if converter.takes_field:
        arguments.append(field)
    return converter.converter(*arguments)


def _store(node: RecordNode, name: str, value: Any) -> None:
    """Put a checked value in the place of a merged one, unless it is the same: then keep what that shares."""
    sealed = _sealed(value)
    if diff(_sealed(publish(node.values[name])), sealed) is not None:
        node.values[name] = sealed


def _sealed(value: Any) -> Any:
    return Freezer(None, None, taking=False).seal(value)


def _is_shared(change: Change) -> bool:
    """Whether several branches have a part in a change. A rule's value is everybody's. Looks no further than needed."""
    sources = _all_sources(change)
    first = next(sources, None)
    return any(source != first for source in sources)


def _all_sources(change: Change) -> Iterator[int]:
    match change:
        case Replace() if change.by_rule:
            yield from (change.source, -1)
        case Edit():
            for part in change.parts.values():
                yield from _all_sources(part)
        case ListEdit():
            for part in change.parts.values():
                yield from _all_sources(part)
            yield from (splice.source for splice in change.splices)
        case SetEdit():
            yield from (*change.added.values(), *change.removed.values())
        case _:
            yield change.source
