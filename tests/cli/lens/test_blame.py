from __future__ import annotations

import json
from pathlib import Path

import pytest

from flujo_actors.spans import SpanStatus
from flujo_actors.storage import SQLiteBackend
from tests.cli.conftest import Flujo
from tests.cli.lens.conftest import steady
from tests.stored_runs import SpanMaker, store

MOON = "Agent execution failed with ValueError: the moon is not made of cheese"

CHAIN = f"""\
run RUN-ID  article  DATE AND TIME  3.00 s  $0.024, 180 tokens  failed
✗ review (ParallelStep)  agent: branch 'facts' failed: {MOON}
  caused by ✗ review/facts (Step)  attempt 2 of 2  agent: {MOON}
      attempt 1  600.0 ms  agent: {MOON}
      Traceback (most recent call last):
"""


def test_a_failure_is_followed_down_to_the_attempt_and_its_traceback(flujo: Flujo, article: list[str]) -> None:
    shown = steady(flujo("lens", "blame", "latest").out)
    assert shown.startswith(CHAIN)
    assert shown.endswith(
        '        File "…/traced_run.py", line N, in check_facts\n'
        '          raise ValueError("the moon is not made of cheese")\n'
        "      ValueError: the moon is not made of cheese\n"
    )


def test_a_run_that_completed_is_blamed_for_nothing_but_what_it_got_over(flujo: Flujo, article: list[str]) -> None:
    _, verdict, first, *_ = flujo("lens", "blame", "latest~1").out.splitlines()
    assert verdict == "it completed; these failures it got over:"
    assert first.startswith("✓ fetch (Step)  attempt 1 of 2  agent: Agent execution failed with ConnectionError")


def test_a_run_in_which_nothing_failed_says_so(flujo: Flujo) -> None:
    flujo("run", "flow.py", "--input", "3")
    assert flujo("lens", "blame", "latest").out.splitlines()[1:] == ["it completed, and nothing failed"]


def test_a_cancelled_run_says_why_and_what_was_running(flujo: Flujo) -> None:
    flujo("run", "flow.py:waiting", "--input", "3", "--timeout", "0.05")
    _, first, *_ = flujo("lens", "blame", "latest").out.splitlines()
    assert first == "✗ pipeline_run (Pipeline)  timeout: Timed out after 0.05 s"


def test_a_run_whose_process_died_says_what_it_was_in_the_middle_of(flujo: Flujo, folder: Path) -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, None, status=SpanStatus.INTERRUPTED)
    maker.add("done", 0.0, 2.0, parent=root)
    maker.add("undone", 2.0, None, parent=root, status=SpanStatus.INTERRUPTED)
    with SQLiteBackend(folder / "runs.db") as backend:
        store(backend, "died", maker.spans, status=SpanStatus.INTERRUPTED)
    assert flujo("lens", "blame", "died").out.splitlines()[1:] == ["its process died while running undone"]


def test_a_failure_as_json_is_a_list_from_the_run_down(flujo: Flujo, article: list[str]) -> None:
    answer = json.loads(flujo("lens", "blame", "latest", "--json").out)
    top, leaf = answer["failures"]
    assert (answer["run_id"], top["depth"], top["step"], leaf["depth"]) == (article[1], 0, "review", 1)
    assert (leaf["step"], leaf["attempt"], leaf["exception_type"]) == ("review/facts", 2, "ValueError")
    assert [attempt["number"] for attempt in leaf["attempts"]] == [1, 2]
    assert "traceback" in leaf


@pytest.fixture
def writing(folder: Path) -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, 4.0)
    maker.add("first", 0.0, 1.0, parent=root, writes=["notes"])
    maker.add("second", 1.0, 3.0, parent=root, writes=["notes['k'].deep", "lines[3]"])
    with SQLiteBackend(folder / "runs.db") as backend:
        store(backend, "writing", maker.spans)


def test_the_steps_that_wrote_a_value_are_listed_newest_first(flujo: Flujo, writing: None) -> None:
    assert flujo("lens", "blame", "writing", "notes['k']").out == (
        "step       ended  wrote\n✓ second  +3.00 s  notes['k'].deep\n✓ first   +1.00 s  notes\n"
    ).replace("step       ended", "step        ended")
    assert flujo("lens", "blame", "writing", "seen").out == "no step wrote seen\n"


def test_the_steps_that_wrote_a_value_as_json(flujo: Flujo, writing: None) -> None:
    second, first = json.loads(flujo("lens", "blame", "writing", "notes.k", "--json").out)
    assert (second["path"], second["writes"]) == ("second", ["notes['k'].deep"])
    assert (first["path"], first["inside"]) == ("first", False)


def test_a_step_that_wrote_more_than_the_trace_names_is_named_with_a_doubt(flujo: Flujo, folder: Path) -> None:
    maker = SpanMaker()
    maker.add("", 0.0, 1.0, writes=["a", "…"])
    with SQLiteBackend(folder / "runs.db") as backend:
        store(backend, "much", maker.spans)
    _, line = flujo("lens", "blame", "much", "b").out.splitlines()
    assert line.endswith("…      perhaps: it wrote more than the trace names")


def test_a_trace_that_does_not_hold_what_steps_wrote_says_so(flujo: Flujo, folder: Path) -> None:
    maker = SpanMaker()
    maker.add("", 0.0, 1.0)
    with SQLiteBackend(folder / "runs.db") as backend:
        store(backend, "older", maker.spans)
    outcome = flujo("lens", "blame", "older", "seen")
    assert outcome.code == 2
    assert outcome.error_line == "flujo: the trace of run older does not hold what its steps wrote to the context"


def test_what_is_no_path_is_refused(flujo: Flujo, writing: None) -> None:
    outcome = flujo("lens", "blame", "writing", "notes[")
    assert outcome.code == 2
    assert outcome.error_line == "flujo: 'notes[' is not a path such as a.b['k'][3]"
