"""What a span shows of a value: JSON values, never too many of them, and no secrets."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import attrs
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors import ContextMap
from flujo_actors.capture import CHARACTERS, HIDDEN, capture_with
from flujo_actors.plain import plain_key

SHOW = capture_with(None).show


class Colour(enum.Enum):
    RED = 1


@attrs.define
class Login:
    user: str
    password: str
    note: str = attrs.field(default="kept out", repr=False)
    pin: int | None = attrs.field(default=None, repr=lambda value: "****")


@dataclasses.dataclass
class Point:
    x: int
    y: int


class Card(NamedTuple):
    owner: str
    api_key: str


class Shade(str, enum.Enum):  # noqa: UP042 - a StrEnum is its value already
    DARK = "dark"


class Model(pydantic.BaseModel):
    api_key: str
    model: str


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (1.5, 1.5),
        ("text", "text"),
        ([1, "a", None], [1, "a", None]),
        ((1, 2), [1, 2]),
        ({"a": {"b": 1}}, {"a": {"b": 1}}),
        ({1: "a", None: "b"}, {"1": "a", "null": "b"}),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Login("ann", "1234", pin=5678), {"user": "ann", "password": HIDDEN, "pin": "****"}),
        (Card("ann", "1234"), {"owner": "ann", "api_key": HIDDEN}),
        ([Shade.DARK], ["dark"]),
        (Model(api_key="sk", model="m"), {"api_key": HIDDEN, "model": "m"}),
        (ContextMap({"a": 1}), {"a": 1}),
        ({"a": 1}.values(), [1]),
        (float("nan"), "NaN"),
        (b"bytes", "b'bytes'"),
        (Decimal("1.5"), "Decimal('1.5')"),
        (dt.date(2026, 1, 2), "datetime.date(2026, 1, 2)"),
        (PurePosixPath("a/b"), "PurePosixPath('a/b')"),
        (Colour.RED, "<Colour.RED: 1>"),
        (Point, repr(Point)),
        (range(5), "range(0, 5)"),
        (10**5000, hex(10**5000)[:2048] + f"… ({len(hex(10**5000)):,} characters)"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_shown_as_json_has_them_or_readably(value: Any, shown: Any) -> None:
    assert SHOW(value) == shown


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "userPassword",
        "PASSWORD_HASH",
        "token",
        "auth_token",
        "X-Auth-Token",
        "accessToken",
        "api_key",
        "OPENAI_API_KEY",
        "apiKey",
        "apikey",
        "Authorization",
        "client_secret",
        "secret",
        "Cookie",
        "private key",
        "accesstoken",
        "CLIENTSECRET",
        "api_keys",
        "secrets",
        "credential",
        "PaSsWoRd",
        "__token",
        " token\n",
        b"token",
    ],
)
def test_what_stands_under_the_name_of_a_secret_is_hidden_at_any_depth(name: str | bytes) -> None:
    assert SHOW({"a": [{name: "s3cr3t"}]}) == {"a": [{plain_key(name): HIDDEN}]}


@pytest.mark.parametrize("name", ["tokens", "token_counts", "prompt_tokens", "secretary", "key", "passing", "cookies"])
def test_other_names_hide_nothing(name: str) -> None:
    assert SHOW({name: "shown"}) == {name: "shown"}


def test_names_of_one_s_own_take_the_place_of_the_usual_ones() -> None:
    show = capture_with({"card_number", "*iban*"}).show
    assert show({"cardNumber": 1, "my_iban": 2, "password": 3}) == {
        "cardNumber": HIDDEN,
        "my_iban": HIDDEN,
        "password": 3,
    }
    assert capture_with(()).show({"password": 3}) == {"password": 3}


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("API_KEY", "API_KEY"),
        ("IBAN", "iban"),
        ("customerId", "customerId"),
        ("customerId", "customer_id"),
        ("x-api-key", "X-Api-Key"),
        ("card number", "card number"),
        ("*Token", "auth_token"),
        ("ssn1", "ssn1"),
        ("_pin", "_pin"),
        ("contraseña", "Contraseña"),
        ("pin[!a-z]", "PIN2"),
    ],
)
def test_a_name_of_one_s_own_fits_however_it_is_spelled(pattern: str, name: str) -> None:
    assert capture_with([pattern]).show({name: 1234, "other": 1}) == {name: HIDDEN, "other": 1}


def test_a_name_that_is_shortened_hides_as_it_would_whole() -> None:
    for room in range(12):
        shown = SHOW({"a": "x" * 2048, "b": "y" * (CHARACTERS - 2048 - 6 - room), "password": 1234})
        assert 1234 not in shown.values(), shown


def test_a_function_decides_by_name_and_value() -> None:
    show = capture_with(lambda name, value: f"{value[:2]}…" if name == "phone" else value).show
    assert show({"phone": "0123456", "name": "ann"}) == {"phone": "01…", "name": "ann"}


def test_a_function_that_raises_shows_nothing() -> None:
    def redact(name: str, value: Any) -> Any:
        raise LookupError(value)

    assert capture_with(redact).show({"a": "secret"}) == {"a": "(hidden: redact raised LookupError)"}


@pytest.mark.parametrize("redact", ["password", 3, [1]])
def test_anything_else_is_refused(redact: Any) -> None:
    with pytest.raises(TypeError, match="redact is a collection of names, or a function of"):
        capture_with(redact)


def test_long_texts_and_containers_say_how_much_is_left_out() -> None:
    assert SHOW("x" * 5000) == "x" * 2048 + "… (5,000 characters)"
    assert SHOW(list(range(1000)))[-1] == "… 900 more"
    assert SHOW({number: number for number in range(150)})["…"] == "50 more"


def test_what_contains_itself_ends_somewhere() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    assert json.dumps(SHOW(loop)).count("1") < 20


def test_a_value_whose_class_raises_is_named() -> None:
    class Broken(Mapping[str, int]):
        def __len__(self) -> int:
            raise RuntimeError("no length")

        def __iter__(self) -> Iterator[str]:
            return iter(())

        def __getitem__(self, key: str) -> int:
            raise KeyError(key)

    class Unspeakable:
        def __repr__(self) -> str:
            raise RuntimeError("no words")

    assert SHOW(Broken()) == "(a Broken that cannot be shown: RuntimeError)"
    assert SHOW(Unspeakable()) == "<Unspeakable>"


class Endless(Mapping[str, int]):
    """A mapping that says it has one item, and never stops giving some."""

    def __getitem__(self, key: str) -> int:
        return 0

    def __iter__(self) -> Iterator[str]:
        while True:
            yield "key"

    def __len__(self) -> int:
        return 1


def nested(depth: int) -> Any:
    value: Any = "inside"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        "x" * 10_000_000,
        b"\xff" * 10_000_000,
        bytearray(10_000_000),
        ["x"] * 1_000_000,
        [[]] * 1_000_000,
        dict.fromkeys(range(1_000_000)),
        {"x" * 100_000: "y" * 100_000},
        10**4_000,
        nested(100_000),
        Endless(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_large_costs_no_more_than_what_is_shown(value: Any) -> None:
    assert len(json.dumps(SHOW(value), ensure_ascii=False)) < 2 * CHARACTERS


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300) | st.binary() | st.decimals(),
    lambda inside: (
        st.lists(inside, max_size=200)
        | st.dictionaries(st.text(max_size=50) | st.integers(), inside, max_size=200)
        | st.builds(Login, inside, inside)
    ),
    max_leaves=60,
)


@given(VALUES)
def test_whatever_the_value_what_is_shown_is_json_and_no_longer_than_the_limit_allows(value: Any) -> None:
    shown = SHOW(value)
    assert json.loads(json.dumps(shown)) == shown
    assert len(json.dumps(shown, ensure_ascii=False)) < 4 * CHARACTERS


@given(st.text(min_size=8, alphabet="abcdefghij"), VALUES)
def test_a_secret_is_nowhere_in_what_is_shown(secret: str, value: Any) -> None:
    hidden = f"SECRET-{secret}"
    shown = SHOW({"value": value, "login": Login("ann", hidden), "list": [{"authToken": hidden}]})
    assert hidden not in json.dumps(shown)
