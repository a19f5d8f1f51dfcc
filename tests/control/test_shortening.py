"""Values of a run as JSON values: equal when they are small, bounded when they are not, whatever they are."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from flujo_actors.plain import plain_attributes
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.control.shortening import VALUE_LIMIT, shortened_value
from flujo_actors.spans import SpanStatus

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner), max_leaves=300
)


class Endless(Mapping[str, int]):
    """A mapping that says it has one item, and never stops giving some."""

    def __getitem__(self, key: str) -> int:
        return 0

    def __iter__(self) -> Iterator[str]:
        while True:
            yield "key"

    def __len__(self) -> int:
        return 1


class Raising(Mapping[str, int]):
    def __getitem__(self, key: str) -> int:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        raise ValueError("not today")

    def __len__(self) -> int:
        raise ValueError("not today")


class Mute:
    def __repr__(self) -> str:
        raise ValueError("not today")


def nested(depth: int) -> Any:
    value: Any = "inside"
    for _ in range(depth):
        value = [value]
    return value


def within_itself() -> list[Any]:
    value: list[Any] = [1]
    value.append(value)
    return value


@given(values)
def test_whatever_it_is_what_is_told_is_bounded_and_json(value: Any) -> None:
    told = json.dumps(shortened_value(value), ensure_ascii=False, allow_nan=False)
    assert len(told) < 6 * VALUE_LIMIT


@given(st.recursive(scalars.filter(lambda value: not isinstance(value, bytes)), st.lists, max_leaves=20))
def test_what_is_small_is_told_whole(value: Any) -> None:
    plain = plain_attributes({"": value})[""]
    if len(repr(plain)) < VALUE_LIMIT / 2 and repr(value).count("[") < 20:
        assert shortened_value(value) == plain


LARGE: list[Any] = [
    "x" * 10_000_000,
    b"\xff" * 10_000_000,
    bytearray(10_000_000),
    ["x"] * 1_000_000,
    [[]] * 1_000_000,
    dict.fromkeys(range(1_000_000)),
    {"x" * 100_000: "y" * 100_000},
    10**4_000,
    nested(100_000),
    within_itself(),
    Endless(),
]


@pytest.mark.parametrize("value", LARGE, ids=lambda value: type(value).__name__)
def test_what_is_large_is_cut_where_the_cut_is_seen(value: Any) -> None:
    told = json.dumps(shortened_value(value), ensure_ascii=False)
    assert len(told) < 3 * VALUE_LIMIT
    assert "…" in told


def test_a_text_keeps_its_beginning() -> None:
    assert shortened_value("ab" * VALUE_LIMIT) == ("ab" * VALUE_LIMIT)[: VALUE_LIMIT - 1] + "…"
    assert shortened_value("x" * VALUE_LIMIT) == "x" * VALUE_LIMIT


def test_what_json_lacks_becomes_text() -> None:
    assert shortened_value([math.nan, math.inf, SpanStatus.FAILED, {1, 2}, b"\x00"]) == [
        "NaN",
        "Infinity",
        "failed",
        "{1, 2}",
        "b'\\x00'",
    ]
    assert shortened_value({1: None, (1, 2): True}) == {"1": None, "(1, 2)": True}


def test_what_cannot_be_looked_at_is_told_by_its_class() -> None:
    assert shortened_value(Mute()) == "<Mute>"
    assert shortened_value([1, Raising()]) == "<list>"
