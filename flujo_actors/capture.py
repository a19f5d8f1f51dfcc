"""What a span shows of a value: JSON values, shortened, with what is secret hidden.

Objects are shown by their fields, what JSON has no form for by its `repr`. Nothing is pickled, and nothing that is
shown is ever evaluated. To show a value costs what is shown of it, however large it is; a `repr` costs what it costs.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import dataclasses
import fnmatch
import itertools
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from typing import Any, Final, TypeAlias, cast

import attrs

from flujo_actors.plain import plain_key, plain_scalar

CHARACTERS: Final = 4096
"""Characters that are shown of one value in all, about."""

TEXT_CHARACTERS: Final = 2048
"""Characters that are shown of one text."""

BYTES: Final = 256
"""Bytes that are shown of binary data."""

ITEMS: Final = 100
"""Items that are shown of one list, set or mapping."""

LEVELS: Final = 8
"""Levels of nesting that are shown."""

_SMALL: Final = 1 << 62
"""Whole numbers below this are shown as they are."""

NAMES_REMEMBERED: Final = 10_000
"""Names of which it is remembered whether they are secret: keys may be data, of which there is no end."""

HIDDEN: Final = "(hidden)"
"""What stands in the place of a secret."""

SECRET_NAMES: Final = (
    "*password*",
    "*passwd*",
    "*passphrase*",
    "*secret",
    "*secrets",
    "secret_*",
    "*_secret_*",
    "*token",
    "*api_key",
    "*api_keys",
    "*apikey",
    "*access_key",
    "*private_key",
    "*authorization",
    "*credential",
    "*credentials",
    "cookie",
    "*_cookie",
)
"""Names under which values are hidden by default. (A count of tokens, as in `token_counts`, is no secret.)"""

Redact: TypeAlias = Collection[str] | Callable[[str, Any], Any]
"""What hides secrets: names of fields and keys, or a function of a name and its value that gives what is shown.

Names may be patterns as of `fnmatch`. How a name is spelled does not matter: `*_token` fits `authToken` and
`X-Auth-Token` too, and so does `*Token`.
"""


@attrs.frozen(eq=False)
class Capture:
    """Shows values for spans."""

    redact: Callable[[str, Any], Any]
    """Given the name of a field or key and its value: what is shown in its place, the value itself as a rule."""

    def show(self, value: object) -> Any:
        """The value as JSON values, shortened and redacted."""
        kind = type(value)
        if kind is str:
            if len(cast("str", value)) <= TEXT_CHARACTERS:
                return value
        elif value is None or kind is bool or (kind is int and -_SMALL < cast("int", value) < _SMALL):
            return value
        try:
            return _Showing(self.redact).show(value, 0)
        except Exception as error:  # noqa: BLE001 - whatever a user's class does, or a thread that changes the value
            return f"(a {kind.__name__} that cannot be shown: {type(error).__name__})"


def capture_with(redact: Redact | None) -> Capture:
    """The `Capture` for what a user said: names, a function, or `None` for `SECRET_NAMES`.

    Raises:
        TypeError: it is none of these.
    """
    if callable(redact):
        return Capture(redact)
    names: Any = SECRET_NAMES if redact is None else redact
    if isinstance(names, str) or not isinstance(names, Collection) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"redact is a collection of names, or a function of (name, value), got {redact!r}")
    return Capture(_hiding(names))


def _hiding(patterns: Collection[str]) -> Callable[[str, Any], Any]:
    """Hides what stands under a name that fits one of the patterns."""
    spelled = itertools.chain.from_iterable(map(_spellings, patterns))
    fits = re.compile("|".join(map(fnmatch.translate, spelled))).match if patterns else _never
    known: dict[str, bool] = {}

    def hide(name: str, value: Any) -> Any:
        is_secret = known.get(name)
        if is_secret is None:
            is_secret = any(map(fits, (*_spellings(name), _in_snake_case(name).strip("_"))))
            if len(known) < NAMES_REMEMBERED:
                known[name] = is_secret
        return HIDDEN if is_secret else value

    return hide


def _never(name: str) -> None:
    """Fits nothing."""


def _spellings(name: str) -> tuple[str, str]:
    """A name, or a pattern of names, as it is held against others."""
    return _in_snake_case(name), name.lower()


def _in_snake_case(name: str) -> str:
    """`X-Auth-Token` and `xAuthToken` as `x_auth_token`. What means something in a pattern stays."""
    return _BETWEEN_WORDS.sub("_", name).lower()


_BETWEEN_WORDS: Final = re.compile(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^\w*?\[\]!]+")


class _Showing:
    """Shows one value, and counts what has been shown of it."""

    __slots__ = ("_left", "_redact")

    def __init__(self, redact: Callable[[str, Any], Any]) -> None:
        self._redact = redact
        self._left = CHARACTERS

    def show(self, value: Any, level: int) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, bytes | bytearray):
            return self._bytes(value)
        if isinstance(value, Mapping):
            return self._fields(value.items(), len(value), level)
        if _is_list(value):
            return self._items(value, len(value), level)
        fields = _fields_of(value)
        if fields is not None:
            return self._fields(fields, len(fields), level)
        scalar = plain_scalar(value)
        return self._text(scalar) if isinstance(scalar, str) else self._counted(scalar)

    def _text(self, text: str) -> str:
        room = max(min(self._left, TEXT_CHARACTERS), 0)
        self._left -= min(len(text), room) + 2
        return str.__str__(text) if len(text) <= room else f"{text[:room]}… ({len(text):,} characters)"

    def _bytes(self, data: bytes | bytearray) -> str:
        some = data[:BYTES]
        shown = self._text(repr(bytes(some)))
        return shown if len(some) == len(data) else f"{shown}… ({len(data):,} bytes)"

    def _counted(self, scalar: Any) -> Any:
        self._left -= 8
        return scalar

    def _fields(self, fields: Iterable[tuple[Any, Any]], count: int, level: int) -> Any:
        if level >= LEVELS:
            return f"({count:,} more inside)"
        shown: dict[str, Any] = {}
        for key, value in itertools.islice(fields, ITEMS):
            if self._left <= 0:
                break
            name = plain_key(key)
            shown[self._text(name)] = self.show(self._redacted(name[:TEXT_CHARACTERS], value), level + 1)
        if len(shown) < count:
            shown["…"] = f"{count - len(shown):,} more"
        return shown

    def _redacted(self, name: str, value: Any) -> Any:
        try:
            return self._redact(name, value)
        except Exception as error:  # noqa: BLE001 - a user's function; in doubt nothing is shown
            return f"(hidden: redact raised {type(error).__name__})"

    def _items(self, items: Iterable[Any], count: int, level: int) -> Any:
        if level >= LEVELS:
            return f"({count:,} more inside)"
        shown: list[Any] = []
        for item in itertools.islice(items, ITEMS):
            if self._left <= 0:
                break
            shown.append(self.show(item, level + 1))
        if len(shown) < count:
            shown.append(f"… {count - len(shown):,} more")
        return shown


def _is_list(value: Any) -> bool:
    """Whether a value is shown as a list: one of named fields is shown by its fields."""
    if isinstance(value, tuple):
        return not hasattr(value, "_fields")
    return isinstance(value, Sequence | AbstractSet | ValuesView) and not isinstance(value, range | memoryview)


def _fields_of(value: Any) -> Sequence[tuple[str, Any]] | None:
    """The fields by which an object is shown, as its class would have them; `None` for one shown by its `repr`."""
    kind: Any = type(value)
    if isinstance(value, type):
        return None
    if attrs.has(kind):
        return [(field.name, _as_attrs_shows(field, value)) for field in attrs.fields(kind) if field.repr is not False]
    names = _field_names(kind)
    return None if names is None else [(name, getattr(value, name, None)) for name in names]


def _as_attrs_shows(field: attrs.Attribute[Any], value: Any) -> Any:
    """A field's value, or what the class says to show of it: `field(repr=lambda value: "***")`."""
    content = getattr(value, field.name, None)
    return field.repr(content) if callable(field.repr) else content


def _field_names(kind: Any) -> Sequence[str] | None:
    if tuple in kind.__mro__:
        return cast("tuple[str, ...]", kind._fields)
    if dataclasses.is_dataclass(kind):
        return [field.name for field in dataclasses.fields(kind) if field.repr]
    fields = getattr(kind, "model_fields", None)
    return [name for name, field in fields.items() if field.repr] if isinstance(fields, Mapping) else None


USUAL: Final = capture_with(None)
"""Shows values as they are shown where nobody has said what to hide."""
