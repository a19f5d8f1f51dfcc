"""What went wrong, in OpenTelemetry: statuses, exceptions, retries, fallbacks, cancellations."""

# pyright: reportUnknownLambdaType=false

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode
from trio.testing import MockClock

from flujo_actors import (
    AnyStep,
    LoopStep,
    ParallelStep,
    Pipeline,
    RetryPolicy,
    Step,
    UsageLimitExceededError,
    UsageLimits,
    UsageMeter,
    ValidationResult,
    open_system,
)
from flujo_actors.storage import MemoryBackend, RunRecord
from flujo_actors.telemetry import OpenTelemetryObserver
from tests.telemetry.conftest import Exported, attributes, events

ONCE = RetryPolicy(max_attempts=1)


class QuotaError(Exception):
    """An error of a user's own."""


def step(name: str, agent: Any = lambda data: data, **options: Any) -> AnyStep:
    return Step[Any, Any, Any](name, agent, **options)


async def fail(data: Any) -> None:
    raise QuotaError("come back later")


def status(span: ReadableSpan) -> tuple[StatusCode, str | None]:
    return span.status.status_code, span.status.description


async def test_the_status_of_what_went_well_is_left_unset(exported: Exported) -> None:
    await exported.run(step("a"))
    assert {status(span) for span in exported.spans} == {(StatusCode.UNSET, None)}
    assert {attributes(span)["flujo.status"] for span in exported.spans} == {"completed"}


async def test_a_step_that_failed_is_an_error_with_its_feedback_and_type_and_so_is_what_is_around_it(
    exported: Exported,
) -> None:
    await exported.run(Pipeline("p", [step("a", fail, retry=ONCE), step("never")]))
    feedback = "Agent execution failed with QuotaError: come back later"
    for path in ("a", ""):
        assert status(exported.at(path)) == (StatusCode.ERROR, feedback)
        described = attributes(exported.at(path))
        assert described["error.type"] == f"{__name__}.QuotaError"
        assert described["flujo.status"] == "failed"
        assert described["flujo.failure.domain"] == "agent"
        assert described["flujo.failure.step"] == "a"
        assert described["flujo.failure.message"] == "come back later"
    assert len(exported.spans) == 2


async def test_the_exception_is_an_event_of_the_step_that_raised_it_and_of_no_other(exported: Exported) -> None:
    inner = Pipeline[Any, Any, Any]("inner", [step("a", fail, retry=ONCE)])
    await exported.run(Pipeline("p", [LoopStep("loop", inner, exit_condition=lambda output, context: True)]))
    recorded = {attributes(span)["flujo.path"]: events(span) for span in exported.spans}
    [(name, exception)] = recorded.pop("loop[1]/inner/a")
    assert name == "exception"
    assert exception["exception.type"] == f"{__name__}.QuotaError"
    assert exception["exception.message"] == "come back later"
    assert exception["exception.stacktrace"].startswith("Traceback (most recent call last):\n")
    assert 'raise QuotaError("come back later")' in exception["exception.stacktrace"]
    assert [name for others in recorded.values() for name, _ in others if name == "exception"] == []


async def test_builtin_exceptions_are_named_without_their_module_as_the_sdk_does(exported: Exported) -> None:
    await exported.run(step("a", lambda data: data["key"], retry=ONCE), {})
    assert attributes(exported.at("a"))["error.type"] == "KeyError"


async def test_a_failure_without_an_exception_is_typed_by_its_domain(exported: Exported) -> None:
    refuse = step("a", validators=[lambda output: ValidationResult(is_valid=False, feedback="too short")])
    await exported.run(refuse)
    span = exported.at("a")
    assert status(span) == (StatusCode.ERROR, "Validation failed after max retries: too short")
    assert attributes(span)["error.type"] == "validator"
    assert attributes(span)["flujo.failure.phase"].startswith("validator")
    assert events(span) == []


async def test_a_step_that_ran_out_of_time_is_an_error_of_the_type_timeout(
    exported: Exported, autojump_clock: MockClock
) -> None:
    await exported.run(step("a", trio.sleep, timeout=2.0, retry=ONCE), 60)
    assert status(exported.at("a")) == (StatusCode.ERROR, "Timed out after 2.0 s")
    assert attributes(exported.at("a"))["error.type"] == "timeout"


async def test_an_attempt_that_is_tried_again_is_an_event_with_its_exception_and_no_error_of_the_step(
    exported: Exported,
) -> None:
    tries = iter([True, False])

    async def fail_once(data: Any) -> Any:
        return await fail(data) if next(tries) else data

    await exported.run(step("a", fail_once, retry=RetryPolicy(backoff=0.01, jitter=0)))
    span = exported.at("a")
    assert status(span) == (StatusCode.UNSET, None)
    assert "error.type" not in attributes(span)
    [(name, retry)] = events(span)
    assert name == "flujo.retry"
    assert (retry["flujo.attempt"], retry["flujo.delay_s"]) == (2, 0.01)
    assert (retry["flujo.failure.domain"], retry["exception.type"]) == ("agent", f"{__name__}.QuotaError")
    assert "come back later" in retry["exception.stacktrace"]


async def test_every_attempt_s_failure_stands_in_the_span_once(exported: Exported) -> None:
    await exported.run(step("a", fail, retry=RetryPolicy(max_attempts=3)))
    assert [name for name, _ in events(exported.at("a"))] == ["flujo.retry", "flujo.retry", "exception"]


async def test_a_fallback_is_a_span_below_and_what_it_stands_in_for_an_event(exported: Exported) -> None:
    await exported.run(step("a", fail, retry=ONCE, fallback=step("b")))
    span = exported.at("a")
    assert exported.parent_of(exported.at("a/b")) is span
    assert status(span) == (StatusCode.UNSET, None)
    [(name, fell_back)] = events(span)
    assert (name, fell_back["flujo.fallback"]) == ("flujo.fallback", "a/b")
    assert fell_back["exception.message"] == "come back later"
    assert attributes(span)["flujo.metadata.fallback_triggered"] is True


async def test_when_the_fallback_fails_too_each_exception_stands_where_it_was_raised(exported: Exported) -> None:
    async def fail_otherwise(data: Any) -> None:
        raise OSError("unplugged")

    await exported.run(step("a", fail, retry=ONCE, fallback=step("b", fail_otherwise, retry=ONCE)))
    assert [(name, each["exception.message"]) for name, each in events(exported.at("a"))] == [
        ("flujo.fallback", "come back later")
    ]
    assert [(name, each["exception.message"]) for name, each in events(exported.at("a/b"))] == [
        ("exception", "unplugged")
    ]
    code, description = status(exported.at("a"))
    assert code is StatusCode.ERROR
    assert description is not None
    assert description.startswith("Original error: ")


async def test_what_is_stopped_on_purpose_is_no_error_and_says_who_stopped_it(exported: Exported) -> None:
    async with open_system(observers=[OpenTelemetryObserver(exported.provider)]) as system:
        run = await system.start(step("sleep", trio.sleep), 1000)
        await trio.testing.wait_all_tasks_blocked()
        run.cancel(reason="enough")
        await run.wait()
    for span in exported.spans:
        assert status(span) == (StatusCode.UNSET, None)
        described = attributes(span)
        assert (described["flujo.status"], described["flujo.failure.domain"]) == ("cancelled", "cancelled")
        assert described["flujo.failure.message"] == "enough"
        assert "error.type" not in described
    assert len(exported.spans) == 2


async def test_a_run_that_the_host_cancels_is_exported_too(exported: Exported, autojump_clock: MockClock) -> None:
    with trio.move_on_after(1):
        await exported.run(ParallelStep("fan", {"a": step("a", trio.sleep), "b": step("b", trio.sleep)}), 1000)
    statuses = {attributes(span)["flujo.path"]: attributes(span)["flujo.status"] for span in exported.spans}
    assert statuses == dict.fromkeys(["", "fan", "fan/a", "fan/b"], "cancelled")


async def test_a_run_that_an_agent_ends_with_the_program_is_an_error(exported: Exported) -> None:
    async def leave(data: Any) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        await exported.run(step("a", leave))
    assert status(exported.at("")) == (StatusCode.ERROR, "the runtime stopped with SystemExit: 3")
    assert attributes(exported.at(""))["flujo.status"] == "failed"


async def test_a_run_that_failed_because_its_end_could_not_be_stored_has_failed_here_too(exported: Exported) -> None:
    class Refusing(MemoryBackend):
        def record_run_end(self, run: RunRecord) -> None:
            raise OSError("the disk is gone")

    observers = [OpenTelemetryObserver(exported.provider)]
    async with open_system(storage=Refusing(), on_storage_failure="fail", observers=observers) as system:
        result = await system.run(step("a"), 1)
    assert result.failure is not None
    root = exported.at("")
    assert status(root) == (StatusCode.ERROR, result.failure.feedback)
    assert attributes(root)["flujo.status"] == "failed"
    assert attributes(root)["error.type"] == "storage"
    assert root.end_time == max(span.end_time or 0 for span in exported.spans)
    assert status(exported.at("a")) == (StatusCode.UNSET, None)


async def test_a_step_around_a_part_that_was_stopped_has_failed_of_that(exported: Exported) -> None:
    pipeline: AnyStep = Pipeline("p", [Pipeline("q", [step("sleep", trio.sleep)])])
    async with open_system(observers=[OpenTelemetryObserver(exported.provider)]) as system:
        run = await system.start(pipeline, 1000)
        await trio.testing.wait_all_tasks_blocked()
        run.cancel("q/sleep", reason="enough")
        await run.wait()
    assert status(exported.at("q/sleep")) == (StatusCode.UNSET, None)
    assert status(exported.at("q")) == (StatusCode.ERROR, "Cancelled: enough")
    assert attributes(exported.at("q"))["error.type"] == "cancelled"


async def test_a_usage_limit_is_the_error_of_the_run_and_what_it_stopped_was_stopped(exported: Exported) -> None:
    async def spend(data: Any, *, usage: UsageMeter) -> None:
        usage.charge(cost_usd=2)
        await trio.sleep_forever()

    with pytest.raises(UsageLimitExceededError):
        await exported.run(step("a", spend), usage_limits=UsageLimits(total_cost_usd_limit=1))
    assert status(exported.at("")) == (StatusCode.ERROR, "Cost limit of $1 exceeded")
    assert attributes(exported.at(""))["error.type"] == "usage_limit"
    assert status(exported.at("a")) == (StatusCode.UNSET, None)
    assert attributes(exported.at("a"))["flujo.cost_usd"] == 2


async def test_a_merge_conflict_is_an_event_of_the_step_that_merges(exported: Exported) -> None:
    @attrs.define
    class Notes:
        count: int = 0

    def write(value: int) -> Any:
        async def agent(data: Any, *, context: Notes) -> None:
            context.count = value

        return agent

    fan: AnyStep = ParallelStep("fan", {"a": step("a", write(1)), "b": step("b", write(2))})
    await exported.run(Pipeline("p", [fan]), context=Notes())
    names = [name for name, _ in events(exported.at("fan"))]
    assert names == ["flujo.merge_conflict", "exception"]
    assert attributes(exported.at("fan"))["error.type"] == "flujo_actors.errors.MergeConflictError"


async def test_texts_that_utf_8_cannot_write_are_replaced(exported: Exported) -> None:
    async def agent(data: Any) -> None:
        raise ValueError("no such file: caf\udce9 é")

    await exported.run(step("a", agent, retry=ONCE))
    span = exported.at("a")
    assert attributes(span)["flujo.failure.message"] == "no such file: caf? é"
    [(_, exception)] = events(span)
    assert exception["exception.message"] == "no such file: caf? é"
    assert "é" in (span.status.description or "")


async def test_texts_that_no_exporter_could_send_are_abridged(exported: Exported) -> None:
    def quote(data: Any) -> None:
        raise ValueError("x" * 1_000_000)

    await exported.run(step("a", quote, retry=ONCE))
    span = exported.at("a")
    [(_, exception)] = events(span)
    texts = (
        attributes(span)["flujo.failure.message"],
        exception["exception.message"],
        exception["exception.stacktrace"],
        span.status.description or "",
    )
    for text in texts:
        assert len(text) < 8300
        assert "characters left out" in text
