"""The errors that flujo_actors raises, one tree under `FlujoError`.

A step that fails raises nothing: its failure is data (`flujo_actors.failures`) in the run's result. What
stands here is raised for wrong definitions, wrong calls, unusable storage and stopped actors.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs


class FlujoError(Exception):
    """The base of every error that flujo_actors raises."""


@attrs.define(eq=False, slots=False)
class StepDefinitionError(FlujoError, ValueError):
    """A step was built from something that cannot be a step. Raised where the step is built."""

    step: str
    """The name that the step was given."""
    problem: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return f"Step {self.step!r}: {self.problem}"


@attrs.frozen
class Problem:
    """One thing that is wrong in a pipeline, found by `check` before a run."""

    path: str
    """Where: the path of the step below the root, empty for the root itself."""
    message: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return f"{self.path or 'the pipeline'}: {self.message}"


@attrs.define(eq=False, slots=False)
class InvalidPipelineError(FlujoError, ValueError):
    """A pipeline that cannot be run. Raised by `run` and `start` before anything has happened."""

    pipeline: str
    """The name of the pipeline."""
    problems: tuple[Problem, ...]
    """Everything that is wrong, in the order of the steps."""

    def __str__(self) -> str:
        return f"Pipeline {self.pipeline!r} cannot run: " + "; ".join(str(problem) for problem in self.problems)


@attrs.define(eq=False, slots=False)
class RunFailedError(FlujoError):
    """Raised by `PipelineResult.unwrap` when there is no output to give."""

    run_id: str
    """The run that did not complete."""
    explanation: str
    """Its failure as text."""

    def __str__(self) -> str:
        return f"Run {self.run_id} has no output: {self.explanation}"


@attrs.define(eq=False, slots=False)
class UsageLimitExceededError(FlujoError):
    """More was spent in a run than a usage limit allows. Raised by `run` and `wait` once everything has stopped."""

    breach: str
    """Which limit, as a sentence."""
    result: Any = attrs.field(repr=False)
    """The `PipelineResult`, with the true spend; what breached the limit is in it."""

    def __str__(self) -> str:
        return self.breach


@attrs.define(eq=False, slots=False)
class ContextError(FlujoError):
    """A context, or a value in it, that cannot be isolated or merged. The context it was found in is unchanged."""

    path: str
    """Where in the context, as it would be written in Python: `notes.lines[3]`; empty for the context itself."""
    problem: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        where = f"at '{self.path}'" if self.path else "of this run"
        return f"The context {where} {self.problem}"


@attrs.frozen
class MergeConflict:
    """One path of a context that two branches changed, each in its own way."""

    path: str
    """Where, as it would be written in Python."""
    branches: tuple[str, str]
    """Who changed it, in declared order."""
    origins: tuple[str | None, str | None]
    """The steps that did, as text, where the branches were handed up with their origins."""
    values: tuple[str, str]
    """What each made of it, shortened."""
    base: str
    """What it was when they forked, shortened."""
    remedy: str
    """What would make them agree."""

    def __str__(self) -> str:
        one, other = (
            f"{branch!r}{f' ({origin})' if origin else ''} {value}"
            for branch, origin, value in zip(self.branches, self.origins, self.values, strict=True)
        )
        first, second = self.branches
        return (
            f"Merge conflict for key '{self.path}': branches '{first}' and '{second}' both changed it: "
            f"{one}, {other}; it was {self.base}. {self.remedy}"
        )


@attrs.define(eq=False, slots=False)
class MergeConflictError(FlujoError):
    """Branches changed the same paths of a context differently. Nothing was merged."""

    conflicts: tuple[MergeConflict, ...]
    """All of them, in the order in which the branches were declared. At least one."""

    def __str__(self) -> str:
        return "\n".join(str(conflict) for conflict in self.conflicts)


@attrs.define(eq=False, slots=False)
class ActorStoppedError(FlujoError):
    """A message was sent to an actor that has stopped, or stopped before it could take the message."""

    actor: str
    """The name of the actor."""

    def __str__(self) -> str:
        return f"Actor {self.actor!r} has stopped and takes no messages"


@attrs.define(eq=False, slots=False)
class ResourceError(FlujoError):
    """A resource of a run could not be opened, or ended too early. Within a run it is the failure of the run."""

    resource: str
    """Which one."""
    problem: str
    """What became of it, and why."""

    def __str__(self) -> str:
        return f"{self.resource} {self.problem}"


@attrs.define(eq=False, slots=False)
class ActorDefinitionError(FlujoError, ValueError):
    """An actor, a supervisor or an option of theirs cannot be what it was given as. Nothing was started."""

    actor: str
    """The name that it was to have."""
    problem: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return f"Actor {self.actor!r}: {self.problem}"


@attrs.define(eq=False, slots=False)
class ActorStartError(FlujoError):
    """An actor was not started: its class or its `started` raised, which is the cause, or it was stopped meanwhile.

    Raised by `spawn`. Of an actor that is started again, a supervisor takes it for one more failure.
    """

    actor: str
    """The path of the actor."""
    explanation: str
    """What became of it."""

    def __str__(self) -> str:
        return f"Actor {self.actor!r} was not started: {self.explanation}"


class AskError(FlujoError):
    """The base of the errors of an `ask` that got no answer.

    You don't get one from an actor that had stopped before it began with the message: that is an `ActorStoppedError`.
    """


@attrs.define(eq=False, slots=False)
class AskTimeoutError(AskError):
    """The deadline of an `ask` has passed. An answer that comes later is dropped."""

    actor: str
    """The path of the actor."""
    timeout: float
    """The seconds that it was given."""
    begun: bool
    """Whether the actor had begun with the message. If not, it never will."""

    def __str__(self) -> str:
        where = "it is at work on the message" if self.begun else "it had not begun with the message, and will not"
        return f"Actor {self.actor!r} has not answered within {self.timeout} s: {where}"


@attrs.define(eq=False, slots=False)
class ActorCrashedError(AskError):
    """The actor crashed before it had answered. Its supervisor decides what becomes of it; its reference stays good.

    The exception that ended it is the `__cause__`.
    """

    actor: str
    """The path of the actor."""
    error: Exception
    """The exception that ended it."""

    def __str__(self) -> str:
        return (
            f"Actor {self.actor!r} crashed before it had answered: it raised {type(self.error).__name__}: {self.error}"
        )


@attrs.define(eq=False, slots=False)
class AskUnansweredError(AskError):
    """The actor began with the message, then stopped, or was stopped to be started again, before it had answered."""

    actor: str
    """The path of the actor."""
    explanation: str
    """What became of it."""

    def __str__(self) -> str:
        return f"Actor {self.actor!r} has not answered, and will not: {self.explanation}"


@attrs.define(eq=False, slots=False)
class RestartIntensityError(FlujoError):
    """A supervisor gave up: children had to be started again too often. Its children have been stopped.

    It fails upward: the supervisor above takes it as the failure of this one; from the system's own supervisor it
    comes out of the `async with open_system()` block. The last child's exception is the `__cause__`, if it had one.
    """

    supervisor: str
    """The path of the supervisor, empty for the system's own."""
    child: str
    """The path of the child that ended once too often."""
    explanation: str
    """How the child ended."""
    intensity: int
    """The restarts that the supervisor puts up with …"""
    period: float
    """… in this many seconds."""

    def __str__(self) -> str:
        who = f"Supervisor {self.supervisor!r}" if self.supervisor else "The system's supervisor of actors"
        times = "1 restart" if self.intensity == 1 else f"{self.intensity} restarts"
        return f"{who} gave up on {self.child!r}, after {times} within {self.period} s: {self.explanation}"


@attrs.define(eq=False, slots=False)
class SystemClosedError(FlujoError):
    """A run or an actor was started on a system whose `async with open_system()` block has ended."""

    def __str__(self) -> str:
        return "The system is closed: start runs inside its `async with open_system()` block, and actors too"


@attrs.define(eq=False, slots=False)
class WrongLoopError(FlujoError, RuntimeError):
    """Something was called outside of the event loop that it needs, or inside of one that it cannot be in."""

    problem: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return self.problem


class ControlError(FlujoError):
    """The base of what goes wrong between a process whose runs can be controlled and one that wants to."""


@attrs.define(eq=False, slots=False)
class ControlUnavailableError(ControlError):
    """There is no place for a control socket. Raised by `open_control`; the system and its runs are not touched."""

    problems: tuple[str, ...]
    """What is wrong with each place that was tried."""

    def __str__(self) -> str:
        return f"No control socket can be made: {'; '.join(self.problems)}"


@attrs.define(eq=False, slots=False)
class ControlRefusedError(ControlError):
    """The process that was asked has said no."""

    code: str
    """Why, one of `flujo_actors.control.protocol.RefusalCode`."""
    message: str
    """Why, as one sentence."""

    def __str__(self) -> str:
        return self.message


@attrs.define(eq=False, slots=False)
class ControlLostError(ControlError):
    """The process that was asked has gone, or has closed its control socket."""

    pid: int
    """The process."""

    def __str__(self) -> str:
        return f"Process {self.pid} has ended, or is not to be controlled any more"


@attrs.define(eq=False, slots=False)
class ControlFailedError(ControlError):
    """The process that was asked is there, and cannot be talked to."""

    pid: int
    """The process."""
    problem: str
    """What is wrong, as a predicate."""

    def __str__(self) -> str:
        return f"Process {self.pid} {self.problem}"


@attrs.define(eq=False, slots=False)
class MissingExtraError(FlujoError, ImportError):
    """A module was imported whose dependencies are an extra that is not installed."""

    module: str
    """What was imported."""
    extra: str
    """The extra that it needs."""
    missing: str
    """What could not be found."""

    def __str__(self) -> str:
        return f"{self.module} needs {self.missing}, which is not installed: pip install 'flujo_actors[{self.extra}]'"


class StorageError(FlujoError):
    """The base of the errors of storage backends."""


@attrs.define(eq=False, slots=False)
class DatabaseUnusableError(StorageError):
    """A database file that cannot be used. Nothing in it was changed."""

    path: Path
    """The file."""
    problem: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return f"Database {self.path}: {self.problem}"


@attrs.define(eq=False, slots=False)
class DatabaseFailedError(StorageError):
    """A database that was opened well and failed in use: a full disk, a lock of another process, a damaged file.

    The transaction it failed in has changed nothing.
    """

    path: Path
    """The file."""
    problem: str
    """What is wrong."""

    def __str__(self) -> str:
        return f"Database {self.path}: {self.problem}"


class DatabaseLockedError(DatabaseFailedError):
    """Another process has locked the database for longer than was waited. Trying again later may help."""


@attrs.define(eq=False, slots=False)
class DuplicateRunError(StorageError, ValueError):
    """A run was recorded as started under an id that the backend has already."""

    run_id: str
    """The id."""

    def __str__(self) -> str:
        return f"Run {self.run_id} is recorded already; run ids are used once"


@attrs.define(eq=False, slots=False)
class UnknownRunError(StorageError, LookupError):
    """Something was recorded for a run that the backend does not know."""

    run_id: str
    """The id that was asked for."""

    def __str__(self) -> str:
        return f"Run {self.run_id} is not recorded here; record its start first"
