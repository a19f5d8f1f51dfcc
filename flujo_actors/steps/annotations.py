"""What can be told from annotations before a run. In doubt, everything fits: the type checkers know more."""

from __future__ import annotations

import typing
from abc import ABCMeta
from types import NoneType, UnionType
from typing import Any, Final

_UNIONS: Final = (typing.Union, UnionType)
_NUMBERS: Final = (int, float, complex)


def as_class(annotation: Any) -> type | None:
    """The class behind an annotation; `None` where there is none (unions, protocols, variables, `Any`)."""
    if annotation is None:
        return type(None)
    origin = typing.get_origin(annotation) or annotation
    if not isinstance(origin, type) or origin in (object, Any, UnionType):  # since Python 3.11, `Any` is a class
        return None
    return None if typing.is_typeddict(origin) or getattr(origin, "_is_protocol", False) else origin


def without_none(annotation: Any) -> tuple[Any, bool]:
    """What an annotation allows besides `None`, and whether it allows `None`."""
    members = typing.get_args(annotation) if typing.get_origin(annotation) in _UNIONS else ()
    if NoneType not in members:
        return annotation, False
    return typing.Union[tuple(member for member in members if member is not NoneType)], True  # noqa: UP007 - made here


def may_be(given: type, wanted: type) -> bool:
    """Whether a value of one class may be one of the other: an `int` may be a `float`, a base class its subclass.

    What is iterable may also be sized: two abstract classes leave it open.
    """
    if given in _NUMBERS and wanted in _NUMBERS:
        return _NUMBERS.index(given) <= _NUMBERS.index(wanted)
    both_abstract = isinstance(given, ABCMeta) and isinstance(wanted, ABCMeta)
    return both_abstract or issubclass(given, wanted) or issubclass(wanted, given)


def contradiction(given: Any, wanted: Any) -> tuple[str, str] | None:
    """The names of two annotated classes of which a value can never be both, `None` when it may."""
    given_class, wanted_class = as_class(given), as_class(wanted)
    if given_class is None or wanted_class is None or may_be(given_class, wanted_class):
        return None
    return given_class.__name__, wanted_class.__name__
