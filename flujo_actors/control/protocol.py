"""What the two sides say to each other: one JSON object a line. docs/explanation/control.md describes it.

A client sends one request. It gets answers, of which the last one closes the conversation.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

import attrs
from attrs.validators import instance_of, optional

from flujo_actors.capture import USUAL, Capture
from flujo_actors.control.encoding import CONVERTER, ActorEntry, event_from_json, event_to_json
from flujo_actors.errors import ControlRefusedError
from flujo_actors.events import RunEvent
from flujo_actors.spans import SpanStatus
from flujo_actors.storage import RunRecord

VERSION: Final = 1
"""Stands in every line. What an older or newer version would understand differently gets another number."""

REQUEST_LIMIT: Final = 16 * 1024
"""Bytes that a request may have."""

ANSWER_LIMIT: Final = 32 * 1024 * 1024
"""Bytes that an answer may have. They are a few hundred as a rule, and some hundred thousand for many actors."""


class RefusalCode(enum.StrEnum):
    """Why a request is refused."""

    BAD_REQUEST = "bad_request"
    """It is no request at all."""
    UNSUPPORTED_VERSION = "unsupported_version"
    UNKNOWN_RUN = "unknown_run"
    """No run of this id is going on in the process."""
    NOT_RUNNING = "not_running"
    """The run is going on, and nothing is running at the path that was named."""
    BUSY = "busy"
    """Too many clients are being answered."""
    INTERNAL = "internal"
    """A bug. The process has logged it, and its runs go on."""


@attrs.frozen
class ListRuns:
    """Which runs are going on?"""

    prefix: str = attrs.field(default="", validator=instance_of(str))
    """Only those whose id begins with this."""


@attrs.frozen
class ShowRun:
    """What are the actors of a run doing now?"""

    run_id: str = attrs.field(validator=instance_of(str))


@attrs.frozen
class WatchRun:
    """The actors of a run as they are now, and what happens from now on until its end."""

    run_id: str = attrs.field(validator=instance_of(str))
    chunks: bool = attrs.field(default=False, validator=instance_of(bool))
    """Whether what streaming agents make is told, too."""


@attrs.frozen
class CancelRun:
    """Stop a run, or a part of it."""

    run_id: str = attrs.field(validator=instance_of(str))
    path: str | None = attrs.field(default=None, validator=optional(instance_of(str)))
    """The part, as `Run.cancel` takes it; `None` for the run."""
    reason: str = attrs.field(default="cancelled from outside its process", validator=instance_of(str))
    """Why, for the failure's text."""
    wait: bool = attrs.field(default=True, validator=instance_of(bool))
    """Whether to tell when it has ended."""


Request: TypeAlias = ListRuns | ShowRun | WatchRun | CancelRun

_REQUESTS: Final[Mapping[str, type[Request]]] = {
    "list": ListRuns,
    "show": ShowRun,
    "watch": WatchRun,
    "cancel": CancelRun,
}


@attrs.frozen
class RunStatus:
    """A run as it stands."""

    run_id: str
    pipeline: str
    status: SpanStatus
    cancelling: bool
    """Whether it was cancelled, and cleans up."""
    started_at: float
    """Wall clock, seconds since the epoch."""
    ended_at: float | None
    """Wall clock, seconds since the epoch; `None` while it is going on."""
    actors: int
    """How many are alive."""
    total_cost_usd: float
    """US dollars spent so far."""
    total_tokens: int
    """Tokens spent so far."""
    error: str | None
    """Why it did not complete, as one sentence."""

    @classmethod
    def of(cls, record: RunRecord, *, actors: int = 0, cancelling: bool = False) -> RunStatus:
        """What a record says, and what it does not."""
        return cls(
            run_id=record.run_id,
            pipeline=USUAL.show(record.pipeline),
            status=record.status,
            cancelling=cancelling,
            started_at=record.started_at,
            ended_at=record.ended_at,
            actors=actors,
            total_cost_usd=record.total_cost_usd,
            total_tokens=record.total_tokens,
            error=USUAL.show(record.error),
        )


@attrs.frozen
class RunsListed:
    """The runs that are going on in a process, the first ones of them."""

    pid: int
    runs: tuple[RunStatus, ...]
    left_out: int
    """How many there are besides."""


@attrs.frozen
class ActorsShown:
    """The actors of a run at one moment, the first ones of them."""

    run: RunStatus
    time: float
    """The moment; wall clock, seconds since the epoch."""
    actors: tuple[ActorEntry, ...]
    """Level by level from the top, in the order of their making."""


@attrs.frozen
class EventTold:
    """Something happened in the run."""

    event: RunEvent


@attrs.frozen
class CancelAccepted:
    """What was named is being cancelled."""


@attrs.frozen
class Ended:
    """What was watched, or was to be cancelled, has ended. Nothing comes after this."""

    run: RunStatus
    """The run as it stands now, which goes on when a part of it was cancelled."""


@attrs.frozen
class Refused:
    """The answer is no. Nothing comes after this."""

    code: RefusalCode
    message: str
    """Why, and what to do, as one sentence."""


Answer: TypeAlias = RunsListed | ActorsShown | EventTold | CancelAccepted | Ended | Refused

_ANSWERS: Final[Mapping[str, type[Answer]]] = {
    "runs": RunsListed,
    "actors": ActorsShown,
    "event": EventTold,
    "cancelling": CancelAccepted,
    "ended": Ended,
    "refused": Refused,
}
_ANSWER_NAMES: Final = {kind: name for name, kind in _ANSWERS.items()}
_REQUEST_NAMES: Final = {kind: name for name, kind in _REQUESTS.items()}


def request_line(request: Request) -> bytes:
    """A request as a client sends it."""
    return _line({"version": VERSION, "request": _REQUEST_NAMES[type(request)], **attrs.asdict(request)})


def request_from(line: bytes) -> Request:
    """The request that a client has sent.

    Raises:
        ControlRefusedError: it is none that this side knows.
    """
    fields = _object_in(line)
    if fields is None:
        raise _bad_request("it is no JSON object")
    version, name = fields.pop("version", None), fields.pop("request", None)
    if version != VERSION:
        message = f"this process speaks version {VERSION} of the protocol; use the flujo_actors that it uses"
        raise ControlRefusedError(RefusalCode.UNSUPPORTED_VERSION, message)
    kind = _REQUESTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise _bad_request(f"its `request` is none of {', '.join(_REQUESTS)}")
    try:
        return kind(**fields)
    except TypeError as error:
        raise _bad_request(f"{name}: {error.args[0]}") from None


def answer_to_json(answer: Answer, capture: Capture = USUAL) -> dict[str, Any]:
    """An answer as a JSON object; `capture` shows what the user's agents made."""
    fields = event_to_json(answer.event, capture) if isinstance(answer, EventTold) else attrs.asdict(answer)
    return {"version": VERSION, "answer": _ANSWER_NAMES[type(answer)], **fields}


def answer_line(answer: Answer, capture: Capture = USUAL) -> bytes:
    """An answer as a server sends it."""
    return _line(answer_to_json(answer, capture))


def answer_from(line: bytes) -> Answer:
    """The answer that a server has sent.

    Raises:
        ValueError: it is none that this side knows.
    """
    fields = _object_in(line)
    if fields is None or fields.get("version") != VERSION:
        raise ValueError(f"no answer of version {VERSION}")
    try:
        kind = _ANSWERS[fields["answer"]]
        return EventTold(event_from_json(fields)) if kind is EventTold else CONVERTER.structure(fields, kind)
    except Exception as error:
        raise ValueError("no answer that is known") from error


def _bad_request(problem: str) -> ControlRefusedError:
    return ControlRefusedError(RefusalCode.BAD_REQUEST, f"the request is not understood: {problem}")


def _object_in(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _line(value: object) -> bytes:
    """In ASCII, so that a text holds neither an end of line nor what UTF-8 does not know."""
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"
