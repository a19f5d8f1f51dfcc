"""Which values are atoms: never changed after they were made, so that branches share them."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import fractions
import ipaddress
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


def is_number(value: Any) -> bool:
    """Whether a value counts: equal writes of it by two branches hide a lost update. A flag or a label does not."""
    return isinstance(value, numbers.Number | dt.timedelta) and not isinstance(value, bool | enum.Enum)
