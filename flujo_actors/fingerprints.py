"""Fingerprints of values: equal for values that no code can tell apart, whatever process made them.

A fingerprint is the BLAKE2b digest of a canonical form: the class of each value, then its parts, in an order that does
not depend on hashes. 1, 1.0 and True have different ones. A value of a class whose parts are not known has none.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import hashlib
import pathlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import attrs

_DIGEST_SIZE: Final = 16

_WRITTEN_BY_REPR: Final = (
    bool,
    int,
    float,
    complex,
    decimal.Decimal,
    fractions.Fraction,
    dt.date,
    dt.time,
    dt.timedelta,
    uuid.UUID,
    pathlib.PurePath,
    range,
)
"""Classes whose `repr` says all there is to a value. Of subclasses it may not."""


class NoFingerprintError(TypeError):
    """A value, or a value in it, of a class of which it is not known what makes two of them equal."""


def fingerprint(value: object) -> str:
    """The fingerprint of a value, 32 hexadecimal digits. Costs what the value weighs.

    Raises:
        NoFingerprintError: the value has none. The text names the class that is in the way.
    """
    try:
        return _digest(value, ()).hex()
    except RecursionError:
        raise NoFingerprintError("it is nested too deep") from None


def _digest(value: object, within: tuple[int, ...]) -> bytes:
    # Live objects of a context are of generated classes; `__class__` says the user's.
    kind = value.__class__
    made = hashlib.blake2b(f"{kind.__module__}.{kind.__qualname__}\n".encode(), digest_size=_DIGEST_SIZE)
    scalar = _scalar(value)
    if scalar is not None:
        made.update(scalar)
        return made.digest()
    if id(value) in within:
        raise NoFingerprintError(f"a {kind.__name__} contains itself")
    for part in _parts(value, (*within, id(value))):
        made.update(part)
    return made.digest()


def _scalar(value: object) -> bytes | None:
    if value is None:
        return b""
    if isinstance(value, enum.Enum):
        return value.name.encode()
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    return repr(value).encode() if isinstance(value, _WRITTEN_BY_REPR) else None


def _parts(value: object, within: tuple[int, ...]) -> Iterable[bytes]:
    """The digests of what a value consists of, each of one length."""
    if isinstance(value, Mapping):
        return sorted(_digest(key, within) + _digest(item, within) for key, item in value.items())
    if isinstance(value, Sequence):
        return (_digest(item, within) for item in value)
    if isinstance(value, AbstractSet):
        return sorted(_digest(item, within) for item in value)
    names = _field_names(value)
    return (_digest(name, within) + _digest(getattr(value, name, None), within) for name in names)


def _field_names(value: object) -> Iterable[str]:
    kind: Any = value.__class__
    if attrs.has(kind):
        return [field.name for field in attrs.fields(kind)]
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind)]
    if hasattr(kind, "model_fields"):
        return [*kind.model_fields, "__pydantic_extra__", "__pydantic_private__"]
    raise NoFingerprintError(f"a {kind.__name__} has no parts that are known")
