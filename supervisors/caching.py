"""The supervisor of a `CacheStep`."""

# The user's values pass through here, and their types are unknown on purpose.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from flujo_actors.caching import CachedResult
from flujo_actors.context import apply_delta
from flujo_actors.failures import text_of
from flujo_actors.fingerprints import NoFingerprintError, fingerprint
from flujo_actors.results import StepResult
from flujo_actors.steps.caching import CacheStep
from flujo_actors.supervisors.children import Children
from flujo_actors.supervisors.fields import get, has_place
from flujo_actors.supervisors.supervisor import Supervisor


class CacheSupervisor(Supervisor[CacheStep[Any, Any, Any]]):
    """Looks for a remembered result; runs the body when there is none, and remembers its success."""

    __slots__ = ("_input",)

    async def supervise(self, children: Children, data: Any) -> StepResult:
        """Look up, or run and remember."""
        # The body may change its input, so what it was is found out before.
        self._input = _fingerprint_or_reason(data)
        known = self._remembered()
        if known is not None:
            return self._again(known)
        before = self.branch.snapshot()
        self.branch.watch()
        result = await children.run(self.step.body.name, self.step.body, data)
        if result.failure is not None:
            return self.failed(result.failure, output=result.output)
        refusal = self._remember(before, result.output)
        metadata = {"cache_hit": False} if refusal is None else {"cache_hit": False, "not_cached": refusal}
        return self.completed(result.output, metadata=metadata)

    def _remembered(self) -> CachedResult | None:
        digest, refusal = self._input
        if refusal is not None:
            return None
        return self.environment.cache.get(self.step.body, digest, _fingerprints_of(self.branch.snapshot()))

    def _again(self, known: CachedResult) -> StepResult:
        """The result once more, at no cost, and with its writes."""
        apply_delta(self.branch, copy.deepcopy(known.delta), self.origin())
        output = copy.deepcopy(known.output)
        self.environment.has_counted(output)
        return self.completed(output, metadata={"cache_hit": True})

    def _remember(self, before: Any, output: Any) -> str | None:
        """Put a success into the cache. Says why, when that cannot be done.

        Args:
            before: the context as it was before the body ran.
            output: what it gave.
        """
        digest, refusal = self._input
        if refusal is not None:
            return f"the input: {refusal}"
        if _holds_a_failure(output):
            return "a part of it failed, and may succeed another time"
        delta = self.branch.delta()
        fingerprint_of = _fingerprints_of(before)
        touched = {name: fingerprint_of(name) for name in self.branch.touched()}
        unknown = [name for name, known in touched.items() if known is None]
        if unknown:
            return f"{unknown[0] or 'something'} in the context cannot be compared"
        read = {name: known for name, known in touched.items() if known is not None}
        try:
            result = copy.deepcopy(CachedResult(read, output, delta))
        except Exception as error:  # noqa: BLE001 - whatever copying a user's object does
            return f"the output cannot be copied: {text_of(error)}"
        self.environment.cache.put(self.step.body, digest, result)
        return None


def _fingerprint_or_reason(value: Any) -> tuple[str, str | None]:
    try:
        return fingerprint(value), None
    except NoFingerprintError as error:
        return "", str(error)


def _holds_a_failure(output: Any) -> bool:
    """Whether it is of a step that forgave the failure of a branch or an item."""
    parts: Iterable[object] = (
        output.values() if isinstance(output, dict) else output if isinstance(output, list) else ()
    )
    return any(isinstance(part, StepResult) and not part.success for part in parts)


def _fingerprints_of(context: Any) -> Callable[[str | None], str | None]:
    """Fingerprints of fields of a context, of all of it for `None`, each made once."""
    made: dict[str | None, str | None] = {}

    def fingerprint_of(name: str | None) -> str | None:
        if name not in made:
            made[name] = _fingerprint_of_field(context, name)
        return made[name]

    return fingerprint_of


def _fingerprint_of_field(context: Any, name: str | None) -> str | None:
    try:
        if name is None:
            return fingerprint(context)
        return fingerprint(get(context, name)) if has_place(context, name) else None
    except NoFingerprintError:
        return None
