"""When a failed step is tried again."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeGuard

import attrs

from flujo_actors.failures import Failure, FailureDomain

RETRYABLE_DOMAINS: Final = frozenset(
    {FailureDomain.AGENT, FailureDomain.TIMEOUT, FailureDomain.PLUGIN, FailureDomain.PROCESSOR}
)
"""The domains that `RetryPolicy.on` may hold: the others fail the same way when tried again."""

RETRIED_BY_DEFAULT: Final = frozenset({FailureDomain.AGENT, FailureDomain.TIMEOUT})
"""The domains that are tried again unless a policy says otherwise."""


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_seconds(value: Any) -> Any:
    """A number as a float, so that texts say `2.0 s` however it was given; the validators refuse the rest."""
    try:
        return float(value) if _is_number(value) else value
    except OverflowError:
        return math.inf


def _seconds(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (_is_number(value) and 0 <= value < math.inf):
        raise ValueError(f"RetryPolicy: {attribute.name} must be 0 seconds or more, and finite, got {value!r}")


def _time_limit(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (_is_number(value) and 0 < value < math.inf):
        raise ValueError(f"RetryPolicy: {attribute.name} must be more than 0 seconds, and finite, got {value!r}")


def _attempts(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"RetryPolicy: max_attempts counts the first attempt too, so it is 1 or more, got {value!r}")


def _fraction(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not (_is_number(value) and 0 <= value <= 1):
        raise ValueError(f"RetryPolicy: jitter is a fraction of the delay from 0 to 1, got {value!r}")


def _domains(instance: object, attribute: attrs.Attribute[Any], value: frozenset[FailureDomain]) -> None:
    refused = sorted(value - RETRYABLE_DOMAINS)
    if refused:
        allowed = ", ".join(domain.name for domain in sorted(RETRYABLE_DOMAINS))
        names = ", ".join(domain.name for domain in refused)
        raise ValueError(f"RetryPolicy: trying again does not help a {names} failure; `on` takes {allowed}")


def _as_domains(domains: Iterable[FailureDomain]) -> frozenset[FailureDomain]:
    given: Any = domains
    # A text is a collection too, and a single domain is a text.
    if isinstance(given, Iterable) and not isinstance(given, str):
        members = frozenset(domains)
        if all(type(member) is FailureDomain for member in members):
            return members
    raise ValueError(f"RetryPolicy: `on` is a set of FailureDomain, got {given!r}")


def _sync_function(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and (not callable(value) or inspect.iscoroutinefunction(value)):
        raise ValueError(f"RetryPolicy: {attribute.name} is a function of the failure, not `async`, got {value!r}")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often, on what, and after which wait a failed step is tried again, each time on a fresh context."""

    max_attempts: int = attrs.field(default=2, validator=_attempts)
    """Attempts in all, the first one included."""
    on: frozenset[FailureDomain] = attrs.field(default=RETRIED_BY_DEFAULT, converter=_as_domains, validator=_domains)
    """The failure domains that are tried again."""
    backoff: float = attrs.field(default=0.0, converter=as_seconds, validator=_seconds)
    """Seconds to wait before the second attempt; doubled before each later one."""
    max_backoff: float | None = attrs.field(default=None, converter=as_seconds, validator=_seconds)
    """No wait is longer than this many seconds."""
    jitter: float = attrs.field(default=0.0, validator=_fraction)
    """Each wait is shortened at random by up to this fraction of it, so that many callers spread out."""
    total_timeout: float | None = attrs.field(default=None, converter=as_seconds, validator=_time_limit)
    """Seconds that all attempts may take together, waits included."""
    retry_if: Callable[[Failure], bool] | None = attrs.field(default=None, validator=_sync_function)
    """Asked last, with the failure: whether to try again. Not `async`: it is asked between two attempts."""
