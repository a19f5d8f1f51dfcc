"""Pipelines with scripted agents, right and wrong. Checked by mypy and pyright, never run."""

from __future__ import annotations

from typing import Any, assert_type

import attrs

from flujo_actors import Pipeline, PipelineResult, Step
from flujo_actors.testing import (
    Chunks,
    Raise,
    Reply,
    ReplyWith,
    ScriptedAgent,
    ScriptedStream,
    in_mock_time,
    run_in_mock_time,
    with_agents,
)


@attrs.define
class Notes:
    lines: list[str]


async def parse(text: str) -> int:
    return int(text)


async def note(text: str, *, context: Notes) -> str:
    return f"{text} {context}"


def upper(text: str) -> str:
    return text.upper()


parsing = Step("parse", parse)

# What an agent gives is inferred from its script; what it takes where a function takes it, or it is said.
assert_type(ScriptedAgent(Reply("a"), Raise(ValueError("b")), Reply("c", after=2.0)), ScriptedAgent[Any, str])
assert_type(ScriptedAgent(ReplyWith(upper)), ScriptedAgent[str, str])
assert_type(ScriptedAgent(then=Reply(3)), ScriptedAgent[Any, int])
asking = ScriptedAgent[int, str](Raise(OSError("busy")), then=Reply("yes", cost_usd=0.01))
assert_type(asking.inputs, list[int])

# A step that asks one is a step of these types.
assert_type(Step("ask", asking), Step[int, str, object])
assert_type(parsing >> Step("ask", asking), Pipeline[str, str, object])
assert_type(Step("note", note) >> Step("ask", ScriptedAgent(Reply(1))), Pipeline[str, int, Notes])
assert_type(Step("say", ScriptedStream[str, str](Chunks(["a", "b"], every=1.0))), Step[str, str, object])

# Runs in virtual time are of the types of runs; replacing agents changes no types.
assert_type(run_in_mock_time(parsing >> Step("ask", asking), "1"), PipelineResult[str, None])
assert_type(run_in_mock_time(Step("note", note), "1", context=Notes([])), PipelineResult[str, Notes])
assert_type(with_agents(parsing, {"parse": ScriptedAgent(Reply(1))}), Step[str, int, object])
assert_type(in_mock_time(parse)("1"), int)

# A script whose turns are of another type than the agent's, or that is none.
ScriptedAgent[int, str](Reply(1))  # type: ignore[arg-type]
ScriptedAgent("a", "b")  # type: ignore[arg-type]
ScriptedAgent(Chunks(["a"]))  # type: ignore[arg-type]
ScriptedStream(Reply("a"))  # type: ignore[arg-type]
Reply("a", after="2")  # type: ignore[arg-type]
Raise(ValueError)  # type: ignore[arg-type]

# A pipeline that the scripted agent does not fit into.
parsing >> Step("ask", ScriptedAgent[str, str](Reply("a")))  # type: ignore[arg-type]
Step("ask", asking) >> Step("again", asking)  # type: ignore[arg-type]
run_in_mock_time(parsing, 1)  # type: ignore[misc]
