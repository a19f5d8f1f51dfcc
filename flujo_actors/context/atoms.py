"""Which values are atoms: never changed after they were made, so that branches share them."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import math
import numbers
import pathlib
import re
import types
import uuid
import weakref
import zoneinfo
from collections.abc import Iterable
from typing import Any, Final

ATOM_TYPES: Final[frozenset[type]] = frozenset(
    {
        type(None), type(...), type(NotImplemented), bool, int, float, complex, str, bytes, range, slice, frozenset,
        dt.date, dt.datetime, dt.time, dt.timedelta, dt.timezone, zoneinfo.ZoneInfo,
        decimal.Decimal, fractions.Fraction, uuid.UUID, re.Pattern, re.Match,
        pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath,
        ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network,
        type, types.FunctionType, types.ModuleType, types.GenericAlias,
        weakref.ref, property,
    }
)  # fmt: skip
"""Types whose instances are atoms. Exactly these: a subclass may add state."""

_EXACT: Final[frozenset[type]] = frozenset({type(None), bool, int, str, bytes})
"""Types in which equal values cannot be told apart."""

_flavours: weakref.WeakKeyDictionary[type, bool] = weakref.WeakKeyDictionary()


def is_atom_class(cls: type) -> bool:
    """Whether all instances of a class are atoms."""
    if cls in ATOM_TYPES:
        return True
    known = _flavours.get(cls)
    if known is None:
        known = _flavours[cls] = issubclass(cls, enum.Enum | type | frozenset | zoneinfo.ZoneInfo | dt.tzinfo)
    return known


def all_atoms(values: Iterable[Any]) -> bool:
    """Whether all values are of atom types. At C speed: large flat containers come through here."""
    return ATOM_TYPES.issuperset(map(type, values))


def same_atom(one: Any, other: Any) -> bool:
    """Whether two atoms cannot be told apart by value. A NaN is the same as a NaN; 0.0 is not -0.0, nor is 1 1.0."""
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in _EXACT:
        return bool(one == other)
    if kind is float:
        return _same_float(one, other)
    if is_atom_class(kind) and kind is not frozenset:
        return _looks_equal(one, other)
    return _stores_the_same(one, other)


def _stores_the_same(one: Any, other: Any) -> bool:
    """For tuples, frozen sets and frozen objects, whose fields may be left out of both `__eq__` and `__repr__`."""
    from flujo_actors.context.opaque import same_opaque  # noqa: PLC0415 - which compares atoms, in turn

    return same_opaque(one, other)


def _same_float(one: float, other: float) -> bool:
    if one == other:
        return one != 0.0 or math.copysign(1.0, one) == math.copysign(1.0, other)
    return one != one and other != other  # noqa: PLR0124 - only a NaN differs from itself


def _looks_equal(one: Any, other: Any) -> bool:
    """For Decimal("1.0") and Decimal("1.00"), and times of different zones: equal, and not the same."""
    try:
        return bool(one == other) and repr(one) == repr(other)
    except Exception:  # noqa: BLE001 - a user's `__eq__` may do anything, an array's has no truth value
        return False


def is_number(value: Any) -> bool:
    """Whether a value counts: equal writes of it by two branches hide a lost update. A flag or a label does not."""
    return isinstance(value, numbers.Number | dt.timedelta) and not isinstance(value, bool | enum.Enum)
