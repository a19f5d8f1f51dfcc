"""For the tests of those who use flujo_actors: scripted agents, virtual time, assertions on traces and events.

Depends on nothing that the library does not depend on, and on no test framework. The layout:

    turns, agents      agents that answer from a script, and note how they were called
    replacing          other agents in a pipeline that is there already
    mock_time          runs, and whole tests, in virtual time
    traces, events     what a run has done, and what it tells while it goes on
"""

from flujo_actors.testing.agents import RecordedCall, ScriptedAgent, ScriptedStream, ScriptEndedError
from flujo_actors.testing.events import RecordedEvents, record_events
from flujo_actors.testing.mock_time import in_mock_time, run_in_mock_time
from flujo_actors.testing.replacing import with_agents
from flujo_actors.testing.traces import Trace, TracedStep, assert_trace
from flujo_actors.testing.turns import Chunks, Raise, Reply, ReplyWith

__all__ = [  # noqa: RUF022 - grouped by what they are for
    # Agents
    "Chunks",
    "Raise",
    "RecordedCall",
    "Reply",
    "ReplyWith",
    "ScriptEndedError",
    "ScriptedAgent",
    "ScriptedStream",
    "with_agents",
    # Time
    "in_mock_time",
    "run_in_mock_time",
    # What a run has done
    "RecordedEvents",
    "Trace",
    "TracedStep",
    "assert_trace",
    "record_events",
]
