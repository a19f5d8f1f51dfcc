"""What stored spans show of inputs, outputs and writes."""

# pyright: reportUnknownLambdaType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest

from flujo_actors import (
    CacheStep,
    ContextMap,
    LoopStep,
    ParallelStep,
    Pipeline,
    RetryPolicy,
    Step,
    open_system,
    run_pipeline,
    step,
)
from flujo_actors.storage import MemoryBackend, SQLiteBackend
from tests.test_laws import nodes

ONCE = RetryPolicy(max_attempts=1)


@attrs.define
class Notes:
    count: int = 0
    lines: list[str] = attrs.Factory(list[str])
    words: dict[str, int] = attrs.Factory(dict[str, int])
    known: ContextMap[str, int] = attrs.Factory(ContextMap[str, int])


@attrs.define
class Login:
    user: str
    password: str


def attributes(result: Any) -> dict[str, dict[str, Any]]:
    return {node["attributes"]["path"]: node["attributes"] for node in nodes(result.trace_tree)}


def test_every_stored_span_shows_input_and_output(tmp_path: Path) -> None:
    double = Step[Any, Any, Any]("double", lambda number: number * 2)
    loop = LoopStep[Any, Any, Any]("grow", double, exit_condition=lambda number, context: number > 4)
    backend = SQLiteBackend(tmp_path / "runs.db")
    result = run_pipeline(loop >> Step[Any, Any, Any]("text", hex), 2, storage=backend)
    assert {path: (shown["input"], shown["output"]) for path, shown in attributes(result).items()} == {
        "": (2, "0x8"),
        "grow": (2, 8),
        "grow[1]/double": (2, 4),
        "grow[2]/double": (4, 8),
        "text": (8, "0x8"),
    }
    assert backend.get_trace(result.run_id) == result.trace_tree


def test_an_input_is_shown_as_it_was_when_the_step_began() -> None:
    def spoil(data: list[int]) -> list[int]:
        data.append(3)
        return data

    result = run_pipeline(Step[Any, Any, Any]("spoil", spoil), [1], storage=MemoryBackend())
    shown = attributes(result)["spoil"]
    assert (shown["input"], shown["output"]) == ([1], [1, 3])


def test_a_failed_step_shows_the_output_that_it_keeps_and_no_other() -> None:
    refused = Step[Any, Any, Any]("refused", lambda data: "kept", validators=[lambda output: False], retry=ONCE)
    assert attributes(run_pipeline(refused, 1, storage=MemoryBackend()))["refused"]["output"] == "kept"

    def fail(data: Any) -> None:
        raise ValueError("boom")

    failed = run_pipeline(Step[Any, Any, Any]("fail", fail, retry=ONCE), 1, storage=MemoryBackend())
    assert "output" not in attributes(failed)["fail"]


def test_a_fallback_shows_the_input_that_it_was_given() -> None:
    def fail(data: Any) -> None:
        raise ValueError("boom")

    primary = Step[Any, Any, Any]("primary", fail, retry=ONCE)
    result = run_pipeline(
        primary.with_fallback(Step[Any, Any, Any]("other", lambda data: data)), "in", storage=MemoryBackend()
    )
    assert (attributes(result)["primary/other"]["input"], attributes(result)["primary"]["output"]) == ("in", "in")


def test_secrets_are_hidden_wherever_they_stand_and_never_reach_the_file(tmp_path: Path) -> None:
    @step
    def sign_in(login: Login) -> dict[str, Any]:
        return {"user": login.user, "session": {"auth_token": "t0ps3cret"}}

    backend = SQLiteBackend(tmp_path / "runs.db")
    result = run_pipeline(sign_in, Login("ann", "hunter2hunter2"), storage=backend)
    shown = attributes(result)["sign_in"]
    assert shown["input"] == {"user": "ann", "password": "(hidden)"}
    assert shown["output"] == {"user": "ann", "session": {"auth_token": "(hidden)"}}
    assert result.unwrap()["session"] == {"auth_token": "t0ps3cret"}
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"hunter2hunter2" not in written
    assert b"t0ps3cret" not in written


async def test_a_system_hides_what_it_is_told_to() -> None:
    async with open_system(storage=MemoryBackend(), redact=["user"]) as system:
        result = await system.run(Step[Any, Any, Any]("a", lambda data: None), {"user": "ann", "password": "1234"})
    assert attributes(result)["a"]["input"] == {"user": "(hidden)", "password": "1234"}


async def test_a_rule_for_hiding_that_means_nothing_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="redact is a collection of names"):
        async with open_system(redact="password"):
            pytest.fail("it opened")


def test_without_storage_spans_show_no_values() -> None:
    result = run_pipeline(Step[Any, Any, Any]("a", lambda data: data), 1)
    assert {"input", "output", "writes"}.isdisjoint(attributes(result)["a"])


def test_spans_name_the_paths_at_which_an_agent_wrote() -> None:
    async def write(data: Any, *, context: Notes) -> None:
        context.count += 1
        context.lines.append("x")
        context.words["a"] = 1
        context.known["b"] = 2

    async def read(data: Any, *, context: Notes) -> int:
        return len(context.lines) + context.known["b"]

    steps = [Step[Any, Any, Any]("write", write), Step[Any, Any, Any]("read", read)]
    result = run_pipeline(Pipeline[Any, Any, Any]("p", steps), None, context=Notes(), storage=MemoryBackend())
    shown = attributes(result)
    assert sorted(shown["write"]["writes"]) == ["count", "known['b']", "lines", "words['a']"]
    assert "writes" not in shown["read"]


def test_branches_and_cached_bodies_name_what_they_wrote_and_merge_as_without() -> None:
    def writer(name: str) -> Any:
        async def write(data: Any, *, context: Notes) -> None:
            context.known[name] = 1
            context.lines.append(name)

        return CacheStep[Any, Any, Any](name, Step[Any, Any, Any]("write", write))

    fan = ParallelStep[Any, Any, Any]("fan", {"a": writer("a"), "b": writer("b")})
    result = run_pipeline(fan, None, context=Notes(), storage=MemoryBackend())
    shown = attributes(result)
    assert sorted(shown["fan/a/write"]["writes"]) == ["known['a']", "lines"]
    assert (result.context.lines, dict(result.context.known)) == (["a", "b"], {"a": 1, "b": 1})


def test_of_very_many_paths_some_are_named() -> None:
    async def write(data: Any, *, context: Notes) -> None:
        context.words.update({str(number): number for number in range(1000)})

    result = run_pipeline(Step[Any, Any, Any]("w", write), None, context=Notes(), storage=MemoryBackend())
    assert len(attributes(result)["w"]["writes"]) == 51
    assert attributes(result)["w"]["writes"][-1] == "…"


def test_what_an_attempt_wrote_that_failed_is_not_named() -> None:
    tries = iter([True, False])

    async def write(data: Any, *, context: Notes) -> None:
        if next(tries):
            context.count = 5
            raise ValueError("boom")
        context.lines.append("x")

    result = run_pipeline(Step[Any, Any, Any]("w", write), None, context=Notes(), storage=MemoryBackend())
    assert attributes(result)["w"]["writes"] == ["lines"]
