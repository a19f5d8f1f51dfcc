"""Live objects that read from a sealed record field by field.

For each class a subclass is made whose fields are filled on first read. What was touched is exactly what is in the
instance dict, so an untouched field costs nothing, whatever it holds. `__class__` says the user's class: equality,
`attrs.evolve`, `dataclasses.replace` and singledispatch see no difference; pickling and copying give the user's class.
"""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import contextlib
import weakref
from typing import Any, Final, cast

from flujo_actors.context.absent import ABSENT
from flujo_actors.context.nodes import Node, RecordNode
from flujo_actors.context.paths import FIELDS_SET
from flujo_actors.context.protocols import Thaws
from flujo_actors.context.shapes import Shape

_set_attribute: Final = object.__setattr__
_CLASS_ATTRIBUTE: Final = "__flujo_lazy__"
"""Where the generated class is kept, on the user's class: the two live and go together."""


class Lazy:
    """The mark of the generated classes, and what they do that does not depend on the user's class."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        """Stop here: a generated class is none of the subclasses that the user's class may keep a list of."""


class LazyField:
    """Fills a field when it is first read. The instance dict hides it from then on."""

    __slots__ = ("default", "name")

    def __init__(self, name: str, default: Any) -> None:
        self.name = name
        self.default = default

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            return self._fall_back(owner)
        try:
            value = instance.__flujo_source__.values[self.name]
        except (KeyError, AttributeError):
            return self._fall_back(instance.__class__)
        if isinstance(value, Node):
            return instance.__flujo_thawer__.fill(instance, self.name, value)
        _set_attribute(instance, self.name, value)
        return value

    def _fall_back(self, cls: type) -> Any:
        """What the user's class gives for a field that an object does not have: dataclasses keep defaults there."""
        if self.default is ABSENT:
            raise AttributeError(f"{cls.__name__!r} object has no attribute {self.name!r}")
        return self.default


def lazy_class(shape: Shape) -> type:
    """The generated subclass for a shape."""
    made = shape.generated()
    if made is None:
        made = _generate(shape)
        type.__setattr__(shape.cls, _CLASS_ATTRIBUTE, made)
        shape.generated = weakref.ref(made)
    return made


def instance_dict(lazy: Any) -> dict[str, Any]:
    """What was touched: the storage itself, without filling what was not."""
    touched: dict[str, Any] = type(lazy).__flujo_storage__.__get__(lazy)
    return touched


def swap_instance_dict(lazy: Any, values: dict[str, Any]) -> None:
    """Put another dict in the place of the storage, in one step for other threads."""
    type(lazy).__flujo_storage__.__set__(lazy, values)


def is_lazy(value: Any) -> bool:
    """Whether it is of a generated class."""
    return issubclass(type(value), Lazy)


def new_lazy(source: RecordNode, thawer: Thaws) -> Any:
    """A live object with no field touched."""
    shape = source.shape
    cls: Any = shape.generated() or lazy_class(shape)
    made = object.__new__(cls)
    _set_attribute(made, "__flujo_source__", source)
    _set_attribute(made, "__flujo_thawer__", thawer)
    if shape.kind == "pydantic":
        _fill_pockets(made, source, thawer)
    return made


def rebase(lazy: Any, source: RecordNode, thawer: Thaws) -> None:
    """Let a live object's unread fields come from another record."""
    for name in source.shape.cached_slots:
        with contextlib.suppress(AttributeError):
            object.__delattr__(lazy, name)
    _set_attribute(lazy, "__flujo_source__", source)
    _set_attribute(lazy, "__flujo_thawer__", thawer)
    if source.shape.kind == "pydantic":
        _fill_pockets(lazy, source, thawer)


def _fill_pockets(lazy: Any, source: RecordNode, thawer: Thaws) -> None:
    for name in PYDANTIC_POCKETS:
        value = source.values.get(name)
        _set_attribute(lazy, name, thawer.thaw(value) if isinstance(value, Node) else value)


def fill_all(lazy: Any) -> dict[str, Any]:
    """Fill every field that is unread. Returns the instance dict."""
    touched = instance_dict(lazy)
    source: RecordNode | None = getattr(lazy, "__flujo_source__", None)
    if source is not None:
        for name, value in source.values.items():
            if name not in touched and not _is_pocket(name):
                filled = lazy.__flujo_thawer__.thaw(value) if isinstance(value, Node) else value
                touched.setdefault(name, filled)
        _put_in_order(touched, source)
    return touched


def _put_in_order(touched: dict[str, Any], source: RecordNode) -> None:
    """Fields in the order the user's object had them, whichever was read first: models are serialised in it."""
    names = [name for name in source.values if not _is_pocket(name)]
    names += [name for name in touched if name not in source.values]
    if list(touched) != names:
        for name in names:
            touched[name] = touched.pop(name)


def _is_pocket(name: str) -> bool:
    return name.startswith("__pydantic_")


def detached(lazy: Any) -> Any:
    """An object of the user's own class with the same field values, for pickling and copying."""
    shape = shape_behind(lazy)
    values = {name: value for name, value in fill_all(lazy).items() if name not in shape.derived}
    if shape.kind == "pydantic":
        values |= {name: getattr(lazy, name, None) for name in PYDANTIC_POCKETS}
        values[FIELDS_SET] = set(values[FIELDS_SET] or ())
    return shape.build(values)


PYDANTIC_POCKETS: Final = ("__pydantic_fields_set__", "__pydantic_private__", "__pydantic_extra__")


def shape_behind(lazy: Any) -> Shape:
    """The shape that a live object's class was generated for."""
    shape: Shape = type(lazy).__flujo_shape__
    return shape


def _generate(shape: Shape) -> type:
    user = shape.cls
    storage = _with_storage(shape, user)
    namespace: dict[str, Any] = {
        "__slots__": (),
        "__module__": user.__module__,
        "__qualname__": user.__qualname__,
        "__doc__": user.__doc__,
        "__class__": property(lambda _self: user),
        "__dict__": property(fill_all, swap_instance_dict),
        "__reduce_ex__": lambda self, protocol: detached(self).__reduce_ex__(protocol),
        "__delattr__": _delete,
        "__getattr__": _missing_attribute,
        "__flujo_shape__": shape,
        "__flujo_storage__": _storage_descriptor(storage),
        **{name: LazyField(name, _class_default(user, name)) for name in (*shape.names, *shape.slots)},
    }
    if not shape.has_dict:
        namespace["__setattr__"] = _setter_of_declared(user)
    if shape.kind == "pydantic":
        namespace |= _pydantic_namespace(user)
    return type.__new__(type(user), user.__name__, (storage,), namespace)


def _with_storage(shape: Shape, user: type) -> type:
    """A subclass that has an instance dict, and places for what the engine keeps."""
    places = ("__flujo_source__", "__flujo_thawer__", *(() if shape.has_dict else ("__dict__",)))
    namespace = {"__slots__": places, "__module__": user.__module__, "__qualname__": user.__qualname__}
    return type.__new__(type(user), user.__name__, (Lazy, user), namespace)


def _storage_descriptor(storage: type) -> Any:
    return next(vars(base)["__dict__"] for base in storage.__mro__ if "__dict__" in vars(base))


def _class_default(user: type, name: str) -> Any:
    """The value that a dataclass field's default leaves on the class; a slot is no value."""
    value = next((vars(base)[name] for base in user.__mro__ if name in vars(base)), ABSENT)
    return ABSENT if hasattr(type(value), "__set__") else value


def _user_method(self: Any, name: str) -> Any:
    return getattr(shape_behind(self).cls, name)


def _delete(self: Any, name: str) -> None:
    """As the user's class has it; then forget what the sealed record had."""
    source: RecordNode | None = getattr(self, "__flujo_source__", None)
    if source is not None and name in source.values:
        getattr(self, name)
    _user_method(self, "__delattr__")(self, name)
    if source is not None and name in source.values and name not in instance_dict(self):
        rest = {other: value for other, value in source.values.items() if other != name}
        _set_attribute(self, "__flujo_source__", RecordNode(source.shape, rest, source))


def _missing_attribute(self: Any, name: str) -> Any:
    """Attributes that the class does not declare, and then the user's own `__getattr__`."""
    if not name.startswith("__flujo_"):
        source: RecordNode | None = getattr(self, "__flujo_source__", None)
        if source is not None and name in source.values and name not in source.shape.names:
            value = source.values[name]
            if isinstance(value, Node):
                return self.__flujo_thawer__.fill(self, name, value)
            _set_attribute(self, name, value)
            return value
        user = shape_behind(self).cls
        if hasattr(user, "__getattr__"):
            return user.__getattr__(self, name)
    raise AttributeError(f"{shape_behind(self).cls.__name__!r} object has no attribute {name!r}")


def _setter_of_declared(user: Any) -> Any:
    """For slotted classes: the instance dict would take any name, the user's class does not."""
    found = {name: value for base in reversed(user.__mro__) for name, value in vars(base).items()}
    declared = frozenset(name for name, value in found.items() if hasattr(type(value), "__set__"))
    store = user.__setattr__

    def set_declared(self: Any, name: str, value: Any) -> None:
        if name not in declared:
            raise AttributeError(f"{user.__name__!r} object has no attribute {name!r}")
        store(self, name, value)

    return set_declared


def _pydantic_namespace(user: Any) -> dict[str, Any]:
    namespace: dict[str, Any] = {
        "__copy__": lambda self: user.__copy__(detached(self)),
        "__deepcopy__": lambda self, memo=None: user.__deepcopy__(detached(self), memo),
    }
    if _sets_plainly(user):
        namespace["__setattr__"] = _set_model_field
    return namespace


def _sets_plainly(user: Any) -> bool:
    """Whether setting a field stores the value and does nothing else, as pydantic's default is."""
    config = user.model_config
    checked = config.get("validate_assignment") or config.get("frozen")
    base = next(cls for cls in user.__mro__ if cls.__module__ == "pydantic.main" and cls.__name__ == "BaseModel")
    return (
        not checked and user.__setattr__ is base.__setattr__ and not any(f.frozen for f in user.model_fields.values())
    )


def _set_model_field(self: Any, name: str, value: Any) -> None:
    """Pydantic stores through `__dict__`, which would fill every field; this stores just the one."""
    shape = shape_behind(self)
    if name in shape.names:
        _set_attribute(self, name, value)
        self.__pydantic_fields_set__.add(name)
    else:
        cast("Any", shape.cls).__setattr__(self, name, value)
