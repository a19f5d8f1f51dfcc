"""Other agents in a pipeline that is there already."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from flujo_actors import (
    AnyStep,
    BaseStep,
    CacheStep,
    ConditionalStep,
    DynamicParallelRouterStep,
    LoopStep,
    MapStep,
    ParallelStep,
    Pipeline,
    RefinementCheck,
    RetryPolicy,
    Step,
    StepDefinitionError,
    refine_until,
    run_pipeline,
    step,
)
from flujo_actors.testing import Raise, Reply, ScriptedAgent, with_agents


@step(retry=RetryPolicy(max_attempts=3), timeout=5.0)
async def model(question: str) -> str:
    raise AssertionError("a test has asked the model")


@step
def count(text: str) -> int:
    return len(text)


def yes(*arguments: Any) -> bool:
    return True


@attrs.frozen(slots=False)
class Several(BaseStep[Any, Any, Any]):
    """A composite step of somebody else's, which keeps its steps in lists."""

    parts: list[AnyStep]

    @property
    def children(self) -> tuple[tuple[str, AnyStep], ...]:
        return tuple((part.name, part) for part in self.parts)


def test_the_step_asks_the_new_agent_and_the_pipeline_stays_as_it_was() -> None:
    pipeline = model >> count
    agent = ScriptedAgent(Raise(OSError("busy")), Raise(OSError("busy")), Reply("four"))
    tested = with_agents(pipeline, {"model": agent})
    assert run_pipeline(tested, "?").unwrap() == 4
    assert agent.inputs == ["?", "?", "?"]  # tried as often as the step's own policy says
    assert pipeline == model >> count
    assert [each.timeout for _, each in tested.walk()] == [None, 5.0, None]


def test_nothing_changes_where_nothing_is_named() -> None:
    pipeline = ParallelStep[str, Any, object]("fan", {"a": model, "b": count})
    assert with_agents(pipeline, {}) == pipeline


EVERYWHERE: dict[str, AnyStep] = {
    "itself": model,
    "pipeline": Pipeline[Any, Any, Any]("p", [count, model]),
    "fallback": count.with_fallback(model),
    "loop": LoopStep[Any, Any, Any]("loop", model, exit_condition=yes),
    "map": MapStep[Any, Any, Any]("map", model, over=yes),
    "cache": CacheStep[Any, Any, Any]("cache", model),
    "parallel": ParallelStep[Any, Any, Any]("fan", {"a": count, "b": model}),
    "conditional": ConditionalStep[Any, Any, Any]("if", yes, {True: model}),
    "default branch": ConditionalStep[Any, Any, Any]("if", yes, {True: count}, default_branch=model),
    "router": DynamicParallelRouterStep[Any, Any, Any]("route", model, {"a": count}),
    "routed": DynamicParallelRouterStep[Any, Any, Any]("route", count, {"a": model}),
    "generator": refine_until("refine", model, count),
    "critic": refine_until("refine", count, model),
    "a step of another class": Several("several", [count, model]),
    "deep inside": LoopStep[Any, Any, Any](
        "loop", ParallelStep[Any, Any, Any]("fan", {"a": count.with_fallback(model)}), exit_condition=yes
    ),
}


@pytest.mark.parametrize("pipeline", EVERYWHERE.values(), ids=EVERYWHERE)
def test_a_step_is_found_wherever_it_stands(pipeline: AnyStep) -> None:
    agent = ScriptedAgent(then=Reply("x"))
    tested = with_agents(pipeline, {"model": agent})
    assert type(tested) is type(pipeline)
    found = [each for _, each in tested.walk() if isinstance(each, Step)]
    assert [each.agent for each in found if each.name == "model"] == [agent]
    assert all(each.agent is count.agent for each in found if each.name == "count")
    assert [path for path, _ in tested.walk()] == [path for path, _ in pipeline.walk()]


def test_a_name_that_stands_in_several_places_is_replaced_in_all() -> None:
    agent = ScriptedAgent(Reply("a"), Reply("b"))
    assert run_pipeline(with_agents(model >> model, {"model": agent}), "?").unwrap() == "b"


def test_a_refinement_runs_with_scripts() -> None:
    critic = Step[str, RefinementCheck, object]("critic", lambda text: RefinementCheck(is_complete=True))
    pipeline = refine_until("shorten", model, critic, max_refinements=3)
    writer = ScriptedAgent(Reply("long"), Reply("short"))
    checks = ScriptedAgent(
        Reply(RefinementCheck(is_complete=False, feedback="too long")), Reply(RefinementCheck(is_complete=True))
    )
    assert run_pipeline(with_agents(pipeline, {"model": writer, "critic": checks}), "text").unwrap() == "short"
    assert [each["feedback"] for each in writer.inputs] == [None, "too long"]


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="no step that calls an agent is called 'modell'; there are count, model"):
        with_agents(model >> count, {"modell": ScriptedAgent(Reply(1))})


def test_what_is_no_agent_is_refused() -> None:
    with pytest.raises(StepDefinitionError, match="3 is no agent"):
        with_agents(model, {"model": 3})
