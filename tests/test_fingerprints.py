"""Fingerprints: equal for values that cannot be told apart, and for no others."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import os
import subprocess
import sys
from collections import OrderedDict
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors import ContextList, ContextMap
from flujo_actors.fingerprints import NoFingerprintError, fingerprint

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.dates()
VALUES = st.recursive(
    SCALARS,
    lambda inside: st.lists(inside) | st.dictionaries(st.text() | st.integers(), inside) | st.tuples(inside, inside),
    max_leaves=12,
)


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


@attrs.define
class Record:
    a: Any
    b: Any = 0


@dataclasses.dataclass
class Twin:
    a: Any
    b: Any = 0


class Model(pydantic.BaseModel):
    a: int


def spelled(value: Any) -> Any:
    """A value with its types, in a form that `==` compares exactly."""
    if isinstance(value, dict):
        return dict, frozenset((spelled(key), spelled(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return type(value), tuple(spelled(item) for item in value)
    return type(value), repr(value)


@given(VALUES, VALUES)
def test_two_values_have_one_fingerprint_if_and_only_if_nothing_tells_them_apart(one: Any, other: Any) -> None:
    assert (fingerprint(one) == fingerprint(other)) == (spelled(one) == spelled(other))


@given(st.dictionaries(st.text(), st.integers()))
def test_the_order_of_a_dict_and_of_a_set_does_not_count(value: dict[str, int]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))
    backwards = list(value)[::-1]
    assert fingerprint(set(value)) == fingerprint(set(backwards))


@pytest.mark.parametrize(
    "values",
    [
        (1, 1.0, True, "1", b"1", Decimal(1), [1], (1,), {1}, {1: None}),
        (Colour.RED, Colour.GREEN, 1),
        (Record(1), Record(2), Twin(1), Record([1]), Record(1, 1)),
        (Model(a=1), Model(a=2)),
        ({}, OrderedDict[str, int](), [], (), set[int](), "", None, ContextMap[str, int](), ContextList[int]()),
        (["ab"], ["a", "b"]),
        ([[1], 2], [1, [2]]),
        ("\ud800", "?"),
        (PurePosixPath("a"), "a"),
        (dt.datetime(2026, 1, 1), dt.date(2026, 1, 1)),  # noqa: DTZ001 - without a zone on purpose
    ],
    ids=lambda values: type(values[0]).__name__,
)
def test_values_that_differ_have_fingerprints_that_differ(values: tuple[object, ...]) -> None:
    assert len({fingerprint(value) for value in values}) == len(values)


def test_a_value_of_a_class_that_is_not_known_has_none_and_the_error_names_the_class() -> None:
    with pytest.raises(NoFingerprintError, match="a object has no parts that are known"):
        fingerprint({"a": [object()]})


def test_a_value_that_contains_itself_or_is_nested_too_deep_has_none() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (loop, deep):
        with pytest.raises(NoFingerprintError):
            fingerprint(value)


def test_another_process_with_other_hashes_makes_the_same_fingerprint() -> None:
    code = "from flujo_actors.fingerprints import fingerprint; print(fingerprint({'a': {1, 'b', None}, 'c': [1.5]}))"
    made = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert made == {f"{fingerprint({'c': [1.5], 'a': {None, 'b', 1}})}\n"}
