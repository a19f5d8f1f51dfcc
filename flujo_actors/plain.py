"""Attributes of spans as JSON values, whatever they were."""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

_DEEPEST: Final = 100
"""Levels of nesting that are copied; each takes three frames of the interpreter's stack."""

_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


_MARK: Final = secrets.token_hex(6)
"""Stands between the attributes of two spans while they are encoded together. Nobody's attributes hold it but by
guessing it, and then the count is wrong."""


def encode_all(many: Sequence[Mapping[str, Any]]) -> list[str]:
    """The attributes of many spans, each as JSON text in ASCII.

    Starting the encoder takes longer than encoding what a span usually has, so it is started once for all.
    """
    marked: list[Any] = [_MARK] * (2 * len(many) - 1)
    marked[::2] = many
    try:
        texts = _encode(marked)[1:-1].split(f',"{_MARK}",')
    except (TypeError, ValueError, RecursionError):
        texts = []
    return texts if len(texts) == len(many) else list(map(_encode_attributes, many))


def decode_all(texts: Sequence[str]) -> list[dict[str, Any]]:
    """The attributes that `encode_all` made texts of. The decoder too is started once for all."""
    decoded: list[dict[str, Any]] = json.loads(f"[{','.join(texts)}]")
    return decoded


def _encode_attributes(attributes: Mapping[str, Any]) -> str:
    try:
        return _encode(attributes)
    except (TypeError, ValueError, RecursionError):
        return _encode(plain_attributes(attributes))


def plain_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the attributes in dicts, lists and scalars that JSON knows, equal to what JSON text gives back.

    What `json.dumps` would refuse is replaced by a text that says what it was.
    """
    return cast("dict[str, Any]", _plain(attributes, ()))


def _plain(value: object, within: tuple[int, ...]) -> object:
    if not isinstance(value, Mapping | list | tuple):
        return plain_scalar(value)
    container = cast("Mapping[Any, Any] | Sequence[Any]", value)
    if id(container) in within:
        return "(contains itself)"
    if len(within) >= _DEEPEST:
        return "(nested too deep)"
    return _plain_container(container, (*within, id(container)))


def _plain_container(value: Mapping[Any, Any] | Sequence[Any], within: tuple[int, ...]) -> object:
    if isinstance(value, Mapping):
        return {plain_key(key): _plain(item, within) for key, item in value.items()}
    return [_plain(item, within) for item in value]


def plain_scalar(value: object) -> object:
    """What is no container as JSON has it, without what its class adds: an enum's member may be its value.

    What JSON has no form for is its `repr`.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return _plain_int(int.__index__(value))
    if isinstance(value, float):
        return float.__float__(value) if math.isfinite(value) else _text_of_float(value)
    return _text_of(value)


def plain_key(key: object) -> str:
    """A key of a mapping as text, as `json.dumps` writes it; its `repr` where that would refuse it."""
    if isinstance(key, str):
        return str.__str__(key)
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    if isinstance(key, int):
        return str(_plain_int(int.__index__(key)))
    return _text_of_float(key) if isinstance(key, float) else _text_of(key)


def _plain_int(value: int) -> int | str:
    try:
        int.__repr__(value)
    except ValueError:  # more digits than the interpreter writes in decimal (sys.get_int_max_str_digits)
        return hex(value)
    return value


def _text_of_float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return float.__repr__(value)


def _text_of(value: object) -> str:
    """Its `repr`; one that raises must not cost the span it belongs to."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - whatever a user's __repr__ does
        return f"<{type(value).__name__}>"
