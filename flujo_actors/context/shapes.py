"""What the engine knows of a class: its fields, how they merge, how an object is put together again."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import copyreg
import dataclasses
import functools
import typing
import weakref
from collections.abc import Callable, Iterator, Mapping, MutableMapping, MutableSequence
from typing import Any, Final

import attrs

from flujo_actors.context.paths import EXTRA, FIELDS_SET, PRIVATE
from flujo_actors.context.rules import METADATA_KEY, MergeRule, Shared

COLLECTIONS_ATTRIBUTE: Final = "__flujo_collections__"
"""Set by `@context`: the class wants its dict and list fields to be collections."""

_POCKETS: Final = (FIELDS_SET, PRIVATE, EXTRA)
_BARE: Final[frozenset[Any]] = frozenset({object, typing.Generic, typing.Protocol})
_set_attribute: Final = object.__setattr__
_shapes: weakref.WeakKeyDictionary[type, Shape | None] = weakref.WeakKeyDictionary()


def _nothing() -> None:
    """What a reference to a class gives that is gone, or was never made."""


@attrs.define(eq=False)
class Shape:
    """A class as the engine sees it. But for `generated`, nothing in it changes."""

    reference: weakref.ref[type]
    """The class; weakly, because the cache of shapes must not keep classes alive."""
    kind: str
    """`attrs`, `dataclass`, `pydantic` or `plain`."""
    names: tuple[str, ...]
    """The declared fields, in order; a plain class has none."""
    slots: tuple[str, ...]
    """Where an object keeps state outside its `__dict__`: declared fields, and what a subclass adds to them."""
    rules: Mapping[str, MergeRule]
    shared: frozenset[str]
    """Fields passed on as they are."""
    mappings: frozenset[str]
    """Fields whose dicts become `ContextMap`."""
    sequences: frozenset[str]
    """Fields whose lists become `ContextList`."""
    derived: frozenset[str]
    """Names of cached properties: computed anew, never merged."""
    cached_slots: tuple[str, ...]
    """Where attrs keeps the cached properties of a slotted class."""
    frozen: bool
    """Whether the class refuses to be changed, so that an object of atoms is an atom."""
    has_dict: bool
    """Whether an object takes attributes that its class does not declare."""
    is_simple: bool
    """Whether what is in the instance dict is all there is to know of an object, and all of it is state."""
    generated: Callable[[], type | None] = attrs.field(default=_nothing, init=False)
    """The subclass that branches read field by field, once `lazy` has made it; weakly, as it refers to the class."""

    @property
    def cls(self) -> type:
        """The user's class."""
        cls = self.reference()
        assert cls is not None, "an object of the class is at hand"  # noqa: S101 - an invariant
        return cls

    @property
    def is_lazy(self) -> bool:
        """Whether branches read objects of this class field by field."""
        return self.kind != "plain"

    def attributes(self, value: Any) -> Iterator[tuple[str, Any]]:
        """All state of a user's object: (name, live value)."""
        if self.has_dict:
            yield from ((name, part) for name, part in vars(value).items() if name not in self.derived)
        if self.kind == "pydantic":
            yield from _pockets(value)
            return
        for name in self.slots:
            try:
                yield name, getattr(value, name)
            except AttributeError:
                continue

    def build(self, values: Mapping[str, Any]) -> Any:
        """An object of the user's class with these values; no `__new__`, `__init__`, validator or hook of it runs."""
        cls: Any = self.cls
        made = object.__new__(cls)
        self.fill(made, values)
        return made

    def fill(self, made: Any, values: Mapping[str, Any]) -> None:
        """Give an empty object its values."""
        if self.kind == "pydantic":
            _set_attribute(made, "__dict__", {n: v for n, v in values.items() if n not in _POCKETS})
            for name in _POCKETS:
                _set_attribute(made, name, values.get(name))
        else:
            for name, value in values.items():
                _set_attribute(made, name, value)


def _pockets(value: Any) -> Iterator[tuple[str, Any]]:
    for name in _POCKETS:
        yield name, getattr(value, name, None)


def shape_of(cls: type) -> Shape | None:
    """The shape of a class, or `None` if its objects are not records: containers, C types, own copying."""
    try:
        return _shapes[cls]
    except KeyError:
        shape = _shapes[cls] = _examine(cls)
        return shape


def _examine(cls: Any) -> Shape | None:
    if not _is_pure_python(cls):
        return None
    if _is_pydantic(cls):
        return _declared(cls, "pydantic", tuple(cls.model_fields), frozen=bool(cls.model_config.get("frozen")))
    if hasattr(cls, "__deepcopy__"):
        return None
    if attrs.has(cls):
        frozen = "__setattr__" in dir(cls) and _is_attrs_frozen(cls)
        return _declared(cls, "attrs", tuple(field.name for field in attrs.fields(cls)), frozen=frozen)
    if dataclasses.is_dataclass(cls):
        declared: Any = cls
        return _declared(
            declared,
            "dataclass",
            tuple(field.name for field in dataclasses.fields(cls)),
            frozen=declared.__dataclass_params__.frozen,
        )
    return _declared(cls, "plain", (), frozen=False) if _copies_by_state(cls) else None


def _declared(cls: type, kind: str, names: tuple[str, ...], *, frozen: bool) -> Shape:
    hints = _hints(cls)
    declared = {name: [*_metadata(cls, kind, name), *_extras(hints.get(name))] for name in names}
    derived = _cached_properties(cls)
    cached = _cached_slots(cls)
    shared = frozenset(n for n, found in declared.items() if any(isinstance(rule, Shared) for rule in found))
    maps, lists = _collection_fields(cls, {name: hints.get(name) for name in names})
    return Shape(
        reference=weakref.ref(cls),
        kind=kind,
        names=names,
        slots=() if kind == "pydantic" else tuple(name for name in _all_slots(cls) if name not in cached),
        rules={n: rule for n, found in declared.items() for rule in found if isinstance(rule, MergeRule)},
        shared=shared,
        mappings=maps,
        sequences=lists,
        derived=derived,
        cached_slots=cached,
        frozen=frozen,
        has_dict=_dict_descriptor(cls) is not None,
        is_simple=kind != "pydantic" and not derived and not shared,
    )


def _is_pydantic(cls: type) -> bool:
    return hasattr(cls, "__pydantic_fields__") and hasattr(cls, "model_config")


def _is_attrs_frozen(cls: type) -> bool:
    return getattr(cls.__setattr__, "__name__", "") == "_frozen_setattrs"


def _is_pure_python(cls: type) -> bool:
    """Whether Python code alone laid its objects out; a base written in C may hide state from us."""
    return all(
        base in _BARE or "__slots__" in vars(base) or "__dict__" in vars(base) or _adds_nothing(base)
        for base in cls.__mro__
    )


def _adds_nothing(base: type) -> bool:
    """A Python class that inherits its `__dict__`, or `abc.ABC`."""
    is_heap_type = bool(base.__flags__ & (1 << 9))
    return is_heap_type and "__module__" in vars(base) and any("__dict__" in vars(b) for b in base.__mro__[1:])


def _copies_by_state(cls: type) -> bool:
    """Whether `copy.deepcopy` would copy an object attribute by attribute, and nothing else."""
    default: Any = object
    return (
        cls.__reduce_ex__ is default.__reduce_ex__
        and cls.__reduce__ is default.__reduce__
        and getattr(cls, "__getstate__", None) is getattr(default, "__getstate__", None)
        and cls.__new__ is default.__new__
        and not hasattr(cls, "__setstate__")
        and cls not in copyreg.dispatch_table
    )


def _all_slots(cls: type) -> tuple[str, ...]:
    names: list[str] = []
    for base in cls.__mro__:
        found: Any = vars(base).get("__slots__", ())
        for name in (found,) if isinstance(found, str) else found:
            if name not in {"__dict__", "__weakref__"}:
                private = name.startswith("__") and not name.endswith("__")
                names.append(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return tuple(dict.fromkeys(names))


def _cached_slots(cls: type) -> tuple[str, ...]:
    """Attrs keeps a slotted class's cached properties in slots, which a `__getattr__` of its own making fills."""
    made = [getattr(vars(base).get("__getattr__"), "__globals__", {}) for base in cls.__mro__]
    cached = {name for names in made if "_cached_setattr_get" in names for name in names["cached_properties"]}
    return tuple(name for name in _all_slots(cls) if name in cached)


def _cached_properties(cls: type) -> frozenset[str]:
    return frozenset(
        name
        for base in cls.__mro__
        for name, value in vars(base).items()
        if isinstance(value, functools.cached_property)
    )


def _dict_descriptor(cls: type) -> Any:
    """What reads the instance dict of a class's objects, or `None` if they have none."""
    return next((vars(base)["__dict__"] for base in cls.__mro__ if "__dict__" in vars(base)), None)


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001 - names that exist for type checkers only; the text still tells a collection
        return {
            name: hint for base in reversed(cls.__mro__) for name, hint in vars(base).get("__annotations__", {}).items()
        }


def _metadata(cls: Any, kind: str, name: str) -> list[Any]:
    if kind == "attrs":
        found: Any = getattr(attrs.fields(cls), name).metadata
    elif kind == "dataclass":
        found = cls.__dataclass_fields__[name].metadata
    else:
        return []
    return [found[METADATA_KEY]] if METADATA_KEY in found else []


def _extras(hint: Any) -> list[Any]:
    extras = getattr(hint, "__metadata__", ())
    return [extra() if isinstance(extra, type) and issubclass(extra, MergeRule | Shared) else extra for extra in extras]


def _collection_fields(cls: type, hints: Mapping[str, Any]) -> tuple[frozenset[str], frozenset[str]]:
    everything = getattr(cls, COLLECTIONS_ATTRIBUTE, False)
    maps = (MutableMapping, dict) if everything else (MutableMapping,)
    lists = (MutableSequence, list) if everything else (MutableSequence,)
    return (
        frozenset(name for name, hint in hints.items() if _is_annotated(hint, maps, "ContextMap")),
        frozenset(name for name, hint in hints.items() if _is_annotated(hint, lists, "ContextList")),
    )


def _is_annotated(hint: Any, kinds: tuple[type, ...], own: str) -> bool:
    if isinstance(hint, str):
        head = hint.partition("[")[0].rpartition(".")[2]
        return head == own or head in {kind.__name__ for kind in kinds}
    if hasattr(hint, "__metadata__"):
        return _is_annotated(hint.__origin__, kinds, own)
    kind = typing.get_origin(hint) or hint
    return kind in kinds or getattr(kind, "__name__", "") == own
