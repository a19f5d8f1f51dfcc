"""What is told from annotations before a run: only what is sure."""

from __future__ import annotations

import typing
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Sized
from typing import Any, Literal, NewType, Protocol, TypedDict, TypeVar

import pytest

from flujo_actors.steps.annotations import contradiction

T = TypeVar("T")
UserId = NewType("UserId", int)


class Animal: ...


class Dog(Animal): ...


class Car: ...


class Named(Protocol):
    name: str


class Row(TypedDict):
    name: str


@pytest.mark.parametrize(
    ("given", "wanted", "names"),
    [
        (int, str, ("int", "str")),
        (str, int, ("str", "int")),
        (float, int, ("float", "int")),
        (None, str, ("NoneType", "str")),
        (list[int], dict[str, int], ("list", "dict")),
        (Animal, Car, ("Animal", "Car")),
        (int, Sequence[int], ("int", "Sequence")),
    ],
)
def test_what_can_never_be_both_is_a_contradiction(given: Any, wanted: Any, names: tuple[str, str]) -> None:
    assert contradiction(given, wanted) == names


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (int, int),
        (int, float),
        (bool, int),
        (Dog, Animal),
        (Animal, Dog),
        (list[int], list[str]),
        (list[int], Sequence[int]),
        (Sequence[int], list[int]),
        (dict[str, int], Mapping[str, int]),
        (Iterable[int], Sized),
        (Sequence[int], Hashable),
        (Any, str),
        (str, Any),
        (object, str),
        (int | None, str),
        (typing.Optional[int], int),  # noqa: UP045 - the old form has another origin
        (T, str),
        (Named, int),
        (Row, int),
        (Literal["a"], int),
        (UserId, str),
        (Callable[[int], int], Any),
    ],
)
def test_what_may_be_both_is_none(given: Any, wanted: Any) -> None:
    assert contradiction(given, wanted) is None
