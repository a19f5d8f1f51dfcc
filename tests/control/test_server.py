"""The control server over real sockets: what its clients get."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from flujo_actors import (
    ParallelStep,
    SpanStatus,
    Step,
    System,
    UsageMeter,
    open_system,
)
from flujo_actors import run as run_module
from flujo_actors.control import conversation, open_control
from flujo_actors.control.addresses import open_listener
from flujo_actors.control.client import (
    ANSWER_TIMEOUT_S,
    Answers,
    ControlledRun,
    Survey,
    find_runs,
    open_conversation,
    open_watch,
)
from flujo_actors.control.protocol import (
    ActorsShown,
    CancelAccepted,
    CancelRun,
    Ended,
    EventTold,
    ListRuns,
    RefusalCode,
    Request,
    ShowRun,
    WatchRun,
)
from flujo_actors.errors import ControlLostError
from flujo_actors.events import ChunkProduced, StepEnded, StepStarted
from flujo_actors.storage import MemoryBackend
from tests.control.talking import ask, controlled, fan, gated, refusal_of, sleeping, wait_until_all_run

pytestmark = pytest.mark.usefixtures("_nothing_left")

only_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


async def only_run(database: Path) -> ControlledRun:
    (run,) = (await find_runs(database)).runs
    return run


class TestListing:
    async def test_a_run_is_listed_with_what_it_has_spent_and_how_many_actors_it_has(self, database: Path) -> None:
        async def spend(data: Any, *, usage: UsageMeter) -> None:
            usage.charge(cost_usd=0.25, prompt_tokens=7)
            await trio.sleep_forever()

        async with controlled(database) as (system, address):
            run = await system.start(Step("spend", spend), 1)
            await wait_until_all_run()
            (status,) = (await ask(address, ListRuns())).runs
            assert (status.run_id, status.pipeline, status.status) == (run.run_id, "spend", SpanStatus.RUNNING)
            assert (status.actors, status.total_cost_usd, status.total_tokens) == (2, 0.25, 7)
            assert status.started_at == run.record.started_at
            assert status.ended_at is None

    async def test_a_run_that_is_cleaning_up_is_listed_as_cancelling(self, database: Path) -> None:
        gate = trio.Event()

        async def stubborn(data: Any) -> None:
            with trio.CancelScope(shield=True):
                await gate.wait()

        async with controlled(database) as (system, address):
            run = await system.start(Step("stubborn", stubborn), 1)
            await wait_until_all_run()
            run.cancel()
            (status,) = (await ask(address, ListRuns())).runs
            assert status.cancelling
            gate.set()
            await run.wait()
            assert (await ask(address, ListRuns())).runs == ()

    async def test_runs_of_tasks_of_the_host_are_listed_and_those_inside_agents_are_not(self, database: Path) -> None:
        async def outer(data: Any, *, resources: System) -> Any:
            return await resources.run(sleeping("inner"), data)

        async with controlled(database) as (system, address), trio.open_nursery() as nursery:

            async def host() -> None:
                await system.run(Step("outer", outer), 1, resources=system)

            nursery.start_soon(host)
            await wait_until_all_run()
            (status,) = (await ask(address, ListRuns())).runs
            assert (status.pipeline, status.actors) == ("outer", 4)
            nursery.cancel_scope.cancel()

    async def test_only_runs_of_a_beginning_may_be_asked_for(self, database: Path) -> None:
        async with controlled(database) as (system, address):
            runs = [await system.start(sleeping(), 1) for _ in range(20)]
            listed = await ask(address, ListRuns(runs[7].run_id[:9]))
            assert [status.run_id for status in listed.runs] == [runs[7].run_id]

    async def test_of_very_many_runs_the_first_are_listed_and_the_rest_counted(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(conversation, "RUNS_LIMIT", 3)
        async with controlled(database) as (system, address):
            runs = [await system.start(sleeping(), 1) for _ in range(5)]
            listed = await ask(address, ListRuns())
            assert [status.run_id for status in listed.runs] == [run.run_id for run in runs[:3]]
            assert listed.left_out == 2
            assert "has 2 further runs" in (await find_runs(database)).problems[0]


class TestFindingRuns:
    async def test_a_hundred_runs_of_several_systems_are_found_through_their_database(self, database: Path) -> None:
        async with (
            controlled(database) as (one, _),
            controlled(database) as (two, _),
            controlled(database.with_name("other.db")) as (other, _),
        ):
            runs = [await system.start(fan("a", "b"), 1) for system in (one, two) for _ in range(50)]
            await other.start(sleeping(), 1)
            await wait_until_all_run()
            found = await find_runs(database)
            assert [each.status.run_id for each in found.runs] == [run.run_id for run in runs]
            assert {each.status.actors for each in found.runs} == {4}
            assert found.problems == ()

    async def test_a_process_that_does_not_answer_is_named(self, database: Path, mock_clock: MockClock) -> None:
        found: list[Survey] = []

        async def find() -> None:
            found.append(await find_runs(database))

        async with controlled(database) as (system, _):
            await system.start(sleeping(), 1)
            listener, path = open_listener(database)
            with trio.socket.from_stdlib_socket(listener) as dumb:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(find)
                    asked, _ = await dumb.accept()
                    await trio.testing.wait_all_tasks_blocked()  # so that the other one has answered
                    mock_clock.jump(ANSWER_TIMEOUT_S)
                asked.close()
            path.unlink()
        (survey,) = found
        assert len(survey.runs) == 1
        assert survey.problems == (f"Process {os.getpid()} does not answer; an agent may block it",)


class TestWatching:
    async def test_a_late_watcher_sees_who_is_there_then_what_happens_then_the_end(self, database: Path) -> None:
        gate = trio.Event()
        async with controlled(database) as (system, address):
            run = await system.start(gated(gate) >> Step("last", repr), 1)
            await wait_until_all_run()
            async with open_conversation(address, WatchRun(run.run_id)) as answers:
                first = await answers.next()
                assert isinstance(first, ActorsShown)
                assert [actor.path for actor in first.actors] == ["", "gated"]
                gate.set()
                seen: list[tuple[type[object], str]] = []
                while not isinstance(answer := await answers.next(), Ended):
                    assert isinstance(answer, EventTold)
                    assert isinstance(answer.event, StepStarted | StepEnded)
                    seen.append((type(answer.event), answer.event.path))
                assert seen == [(StepEnded, "gated"), (StepStarted, "last"), (StepEnded, "last"), (StepEnded, "")]
                assert answer.run.status is SpanStatus.COMPLETED
                assert answer.run.ended_at is not None
                with pytest.raises(ControlLostError):
                    await answers.next()

    async def test_the_watcher_s_events_begin_with_the_actors_that_are_there(self, database: Path) -> None:
        async with controlled(database) as (system, _):
            run = await system.start(fan("a", "b"), 1)
            await wait_until_all_run()
            async with open_watch(await only_run(database), chunks=False) as watch:
                events = [await watch.receive() for _ in range(4)]
                run.cancel(reason="enough")
                events += [event async for event in watch]
            assert [event.path for event in events if isinstance(event, StepStarted)] == ["", "fan", "fan/a", "fan/b"]
            assert sorted(event.path for event in events if isinstance(event, StepEnded)) == [
                "",
                "fan",
                "fan/a",
                "fan/b",
            ]
            assert watch.ended is not None
            assert watch.ended.status is SpanStatus.CANCELLED
            assert str(watch.ended.error).startswith("the pipeline: Cancelled: enough (while running fan/")

    @pytest.mark.parametrize("with_chunks", [True, False])
    async def test_chunks_are_told_to_those_who_want_them(self, with_chunks: bool, database: Path) -> None:
        gate = trio.Event()

        async def stream(data: Any) -> AsyncGenerator[str, None]:
            await gate.wait()
            yield "a"
            yield "b"

        async with controlled(database) as (system, _):
            await system.start(Step("stream", stream), 1)
            await wait_until_all_run()
            async with open_watch(await only_run(database), chunks=with_chunks) as watch:
                await watch.receive()
                gate.set()
                chunks = [event.chunk async for event in watch if isinstance(event, ChunkProduced)]
            assert chunks == (["a", "b"] if with_chunks else [])

    async def test_what_the_system_hides_is_hidden_in_chunks_too(self, database: Path) -> None:
        async def stream(data: Any) -> AsyncGenerator[dict[str, str], None]:
            while True:
                yield {"pin": "1234", "text": "a"}
                await trio.sleep(0.01)

        pipeline = Step[Any, Any, object]("stream", stream, stream_output="last")
        async with (
            open_system(storage=MemoryBackend(), redact=["pin"]) as system,
            open_control(system, database),
        ):
            run = await system.start(pipeline, 1)
            async with open_watch(await only_run(database), chunks=True) as watch:
                while not isinstance(event := await watch.receive(), ChunkProduced):
                    pass
            run.cancel()
            assert event.chunk == {"pin": "(hidden)", "text": "a"}

    async def test_the_actors_may_be_asked_for_alone(self, database: Path) -> None:
        async with controlled(database) as (system, address):
            run = await system.start(fan("a"), 1)
            await wait_until_all_run()
            shown = await ask(address, ShowRun(run.run_id))
            assert [actor.path for actor in shown.actors] == ["", "fan", "fan/a"]
            assert shown.actors[2].attributes == {"branch": "a"}

    @pytest.mark.parametrize("request_", [ShowRun("ffff"), WatchRun("ffff"), CancelRun("ffff")], ids=repr)
    async def test_a_run_that_is_not_going_on_is_unknown(self, request_: Request, database: Path) -> None:
        async with controlled(database) as (_, address):
            code, message = await refusal_of(address, request_)
            assert code == RefusalCode.UNKNOWN_RUN
            assert message == f"no run 'ffff' is going on in process {os.getpid()}"


class TestCancelling:
    @pytest.mark.parametrize("path", [None, ""])
    async def test_a_run_is_stopped_and_its_end_told(self, path: str | None, database: Path) -> None:
        async with controlled(database) as (system, address):
            run = await system.start(fan("a", "b"), 1)
            await wait_until_all_run()
            async with open_conversation(address, CancelRun(run.run_id, path, "enough")) as answers:
                assert await answers.next() == CancelAccepted()
                ended = await answers.next()
            assert isinstance(ended, Ended)
            assert (ended.run.status, ended.run.run_id) == (SpanStatus.CANCELLED, run.run_id)
            assert "Cancelled: enough" in str((await run.wait()).failure)

    @pytest.mark.parametrize("by", ["path", "span id"])
    async def test_a_part_is_stopped_and_the_rest_goes_on(self, by: str, database: Path) -> None:
        async with controlled(database) as (system, address):
            run = await system.start(fan("a", "b"), 1)
            await wait_until_all_run()
            (actor,) = [each for each in (await ask(address, ShowRun(run.run_id))).actors if each.path == "fan/a"]
            request = CancelRun(run.run_id, actor.path if by == "path" else actor.span_id)
            async with open_conversation(address, request) as answers:
                assert await answers.next() == CancelAccepted()
                ended = await answers.next()
            assert isinstance(ended, Ended)
            assert ended.run.status is SpanStatus.RUNNING
            assert [each.path for each in (await ask(address, ShowRun(run.run_id))).actors] == ["", "fan", "fan/b"]

    @pytest.mark.parametrize("path", [None, "fan", "fan/a"])
    async def test_the_end_is_told_when_everything_has_cleaned_up(self, path: str | None, database: Path) -> None:
        gate, order = trio.Event(), list[str]()

        async def stubborn(data: Any) -> None:
            try:
                await trio.sleep_forever()
            finally:
                with trio.CancelScope(shield=True):
                    await gate.wait()
                order.append("cleaned up")

        branches = {"a": Step("a", stubborn), "b": sleeping()}
        pipeline = ParallelStep[Any, Any]("fan", branches, on_branch_failure="ignore")
        async with controlled(database) as (system, address):
            run = await system.start(pipeline, 1)
            await wait_until_all_run()

            async def wait(answers: Answers) -> None:
                await answers.next()
                order.append("told")

            async with open_conversation(address, CancelRun(run.run_id, path)) as answers:
                assert await answers.next() == CancelAccepted()
                (status,) = (await ask(address, ListRuns())).runs
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(wait, answers)
                    await wait_until_all_run()
                    gate.set()
            assert status.cancelling == (path is None)
        assert order == ["cleaned up", "told"]

    async def test_the_end_is_told_however_many_events_are_missed(
        self, database: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(run_module, "EVENT_BUFFER", 2)
        pipeline = ParallelStep[Any, Any](
            "all", {"a": fan(*map(str, range(50))), "b": sleeping()}, on_branch_failure="ignore"
        )
        async with controlled(database) as (system, address):
            run = await system.start(pipeline, 1)
            await wait_until_all_run()
            async with open_conversation(address, CancelRun(run.run_id, "all/a")) as answers:
                await answers.next()
                ended = await answers.next()
            assert isinstance(ended, Ended)
            assert ended.run.status is SpanStatus.RUNNING
            assert [actor.path for actor in (await ask(address, ShowRun(run.run_id))).actors] == ["", "all", "all/b"]

    async def test_who_does_not_want_to_wait_is_told_at_once(self, database: Path) -> None:
        async with controlled(database) as (system, address):
            run = await system.start(sleeping(), 1)
            await wait_until_all_run()
            async with open_conversation(address, CancelRun(run.run_id, wait=False)) as answers:
                assert await answers.next() == CancelAccepted()
                with pytest.raises(ControlLostError):
                    await answers.next()

    async def test_where_nothing_is_running_nothing_is_cancelled(self, database: Path) -> None:
        async with controlled(database) as (system, address):
            run = await system.start(fan("a"), 1)
            await wait_until_all_run()
            code, message = await refusal_of(address, CancelRun(run.run_id, "fan/x" + "x" * 9000))
            assert code == RefusalCode.NOT_RUNNING
            assert message.startswith("nothing is running at 'fan/xxx")
            assert len(message) < 3000
            assert len((await ask(address, ShowRun(run.run_id))).actors) == 3
