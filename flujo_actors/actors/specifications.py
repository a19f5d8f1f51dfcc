"""What a supervisor is told of its children, and of how to supervise them: plain data."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable
from typing import Any, Final, TypeGuard

import attrs

from flujo_actors.errors import ActorDefinitionError

DEFAULT_CAPACITY: Final = 64
"""Messages that wait in an actor's mailbox before `tell` waits, unless `spawn` says otherwise."""

DEFAULT_SHUTDOWN: Final = 5.0
"""Seconds that an actor has to stop in an orderly way before it is cancelled, unless `spawn` says otherwise."""


class Restart(enum.StrEnum):
    """Whether a child that has ended is started again."""

    PERMANENT = "permanent"
    """Always, also when it has stopped itself."""
    TRANSIENT = "transient"
    """When it crashed."""
    TEMPORARY = "temporary"
    """Never, also when it was stopped because of a sibling."""


class RestartStrategy(enum.StrEnum):
    """Who is started again together with a child that has ended."""

    ONE_FOR_ONE = "one_for_one"
    """Nobody: for children that do not depend on each other."""
    ONE_FOR_ALL = "one_for_all"
    """All its siblings: for children that cannot do without each other."""
    REST_FOR_ONE = "rest_for_one"
    """The siblings that were started after it: for children of which each depends on those before it."""


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _must_be(what: str, holds: Callable[[Any], bool]) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """A validator that says which option of which actor is wrong."""

    def check(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not holds(value):
            name = getattr(instance, "name", type(instance).__name__)
            raise ActorDefinitionError(name, f"`{attribute.name}` must be {what}, got {value!r}")

    return check


def _one_of(kind: type[enum.StrEnum]) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    names = ", ".join(f"{kind.__name__}.{member.name}" for member in kind)
    return _must_be(f"one of {names}", lambda value: isinstance(value, kind))


@attrs.frozen(kw_only=True)
class Supervision:
    """How a supervisor supervises. The defaults are OTP's."""

    strategy: RestartStrategy = attrs.field(default=RestartStrategy.ONE_FOR_ONE, validator=_one_of(RestartStrategy))
    """Who is started again together with a child that has ended."""
    intensity: int = attrs.field(
        default=1, validator=_must_be("a whole number from 0", lambda value: _whole(value) and value >= 0)
    )
    """Restarts within `period` that the supervisor puts up with; at one more it gives up."""
    period: float = attrs.field(
        default=5.0, validator=_must_be("more than 0 seconds", lambda value: _number(value) and value > 0)
    )
    """Seconds."""


OTP_DEFAULTS: Final = Supervision()


@attrs.frozen(kw_only=True)
class ChildSpecification:
    """What a supervisor knows of any child."""

    name: str = attrs.field(
        validator=_must_be(
            "a text without `/` and `#`, which stand in paths",
            lambda value: isinstance(value, str) and value != "" and not {"/", "#"} & set(value),
        )
    )
    """Its name among its siblings, before it is told apart from others of the same name."""
    restart: Restart = attrs.field(validator=_one_of(Restart))
    """Whether it is started again when it has ended."""
    shutdown: float = attrs.field(
        validator=_must_be("seconds, from 0 to math.inf", lambda value: _number(value) and value >= 0)
    )
    """Seconds that it has to stop in an orderly way before it is cancelled; 0 cancels it at once."""


@attrs.frozen(kw_only=True)
class ActorSpecification(ChildSpecification):
    """A child that is a user's actor."""

    make: Callable[[], object]
    """Makes the behaviour, anew for each incarnation."""
    capacity: int = attrs.field(validator=_must_be("a whole number from 1", lambda value: _whole(value) and value >= 1))
    """Messages that wait in its mailbox before `tell` waits."""


@attrs.frozen(kw_only=True)
class SupervisorSpecification(ChildSpecification):
    """A child that is itself a supervisor."""

    supervision: Supervision = attrs.field(
        validator=_must_be("a Supervision", lambda value: isinstance(value, Supervision))
    )
    """How it supervises its own children."""
