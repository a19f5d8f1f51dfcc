from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import attrs
import pytest

from flujo_actors.spans import SpanStatus, build_trace
from flujo_actors.storage import SQLiteBackend
from tests.cli.conftest import Flujo
from tests.cli.lens.conftest import steady
from tests.stored_runs import SpanMaker, failure, store

FAILED = "agent: Agent execution failed with ValueError: the moon is not made of cheese"

TREE = f"""\
run RUN-ID  article  DATE AND TIME  3.00 s  $0.024, 180 tokens  failed
✗ pipeline_run  3.00 s  $0.024, 180 tokens  {FAILED.replace(": ", ": branch 'facts' failed: ", 1)}
├── ✓ fetch  600.0 ms  2 attempts  $0.004, 80 tokens
├── ✓ draft  1.20 s  $0.02, 100 tokens
│   ├── ✓ pipeline  600.0 ms  iteration 1  $0.01, 45 tokens
│   │   ├── ✓ write  500.0 ms  $0.01, 45 tokens
│   │   └── ✓ measure  100.0 ms
│   └── ✓ pipeline  600.0 ms  iteration 2  $0.01, 55 tokens
│       ├── ✓ write  500.0 ms  $0.01, 55 tokens
│       └── ✓ measure  100.0 ms
└── ✗ review  1.20 s  {FAILED.replace(": ", ": branch 'facts' failed: ", 1)}
    ├── ✓ opinion  800.0 ms  2 attempts
    │   └── ✓ ask_colleague  400.0 ms
    └── ✗ facts  1.20 s  2 attempts  {FAILED}
"""


def test_a_trace_is_a_tree_of_the_steps_with_what_went_wrong(flujo: Flujo, article: list[str]) -> None:
    assert steady(flujo("lens", "trace", "latest").out) == TREE


def test_bars_show_when_each_step_and_each_of_its_attempts_ran(flujo: Flujo, article: list[str]) -> None:
    lines = flujo("lens", "trace", "latest", "--bars").out.splitlines()[1:]
    bars = {line.split()[-1]: line for line in lines}
    assert all("━" in line or "╺" in line for line in lines), bars
    root, fetch, draft, *_ = lines
    assert root.count("━") == 50
    assert fetch.index("━") < draft.index("━")
    assert fetch.count("━") == pytest.approx(50 * 0.2, abs=1)


def test_a_tree_can_be_cut_below_a_depth(flujo: Flujo, article: list[str]) -> None:
    _, root, *below = flujo("lens", "trace", "latest", "--depth", "1").out.splitlines()
    assert [line.split()[2] for line in below] == ["fetch", "draft", "review"]
    assert "2 steps inside" in below[1]
    assert "steps inside" not in root


def test_a_tree_can_be_of_what_failed_only(flujo: Flujo, article: list[str]) -> None:
    lines = flujo("lens", "trace", "latest", "--failed").out.splitlines()[1:]
    assert [line.replace("└── ", "").split()[1] for line in lines] == ["pipeline_run", "review", "facts"]
    assert flujo("lens", "trace", "latest~1", "--failed").out.splitlines()[1:] == ["nothing failed"]
    assert json.loads(flujo("lens", "trace", "latest~1", "--failed", "--json").out) is None


def test_a_trace_as_json_is_what_the_backend_gives(flujo: Flujo, folder: Path, article: list[str]) -> None:
    with SQLiteBackend(folder / "runs.db") as backend:
        stored = backend.get_trace(article[1])
    assert json.loads(flujo("lens", "trace", "latest", "--json").out) == stored


def test_a_trace_as_json_has_a_line_for_each_span(flujo: Flujo, article: list[str]) -> None:
    lines = flujo("lens", "trace", "latest", "--json").out.splitlines()
    assert [json.loads(line.partition(', "children":')[0] + "}")["name"] for line in lines][-2:] == [
        "ask_colleague",
        "facts",
    ]


def test_a_trace_as_json_can_be_cut_too(flujo: Flujo, article: list[str]) -> None:
    root = json.loads(flujo("lens", "trace", "latest", "--depth", "1", "--json").out)
    assert [(child["name"], child["children"]) for child in root["children"]] == [
        ("fetch", []),
        ("draft", []),
        ("review", []),
    ]


def test_a_trace_of_twenty_thousand_spans_is_shown_with_a_line_for_each(flujo: Flujo, folder: Path) -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, 1.0)
    for number in range(100):
        group = maker.add(f"g{number}", 0.0, 1.0, parent=root)
        for step in range(199):
            maker.add(f"g{number}/s{step}", 0.0, 1.0, parent=group)
    with SQLiteBackend(folder / "runs.db") as backend:
        store(backend, "wide", maker.spans)
    assert flujo("lens", "trace", "wide").out.count("\n") == 20_002
    assert flujo("lens", "trace", "wide", "--json").out.count("\n") == 20_001
    assert flujo("lens", "spans", "wide").out.count("\n") == 20_002


def test_a_chain_of_five_thousand_steps_is_shown_in_output_that_grows_with_it_and_not_with_its_square(
    flujo: Flujo, folder: Path
) -> None:
    maker = SpanMaker()
    parent = maker.add("", 0.0, 1.0)
    for number in range(5_000):
        parent = maker.add(f"s{number}", 0.0, 1.0, parent=parent)
    with SQLiteBackend(folder / "runs.db") as backend:
        store(backend, "deep", maker.spans)
    shown = flujo("lens", "trace", "deep").out.splitlines()
    assert len(shown) == 5_002
    assert max(map(len, shown)) < 500
    assert shown[-1].startswith("⋯ ")
    assert shown[-1].endswith("└── ✓ s4999  1.00 s")
    assert flujo("lens", "trace", "deep", "--json").out.count('"children": [') == 5_001
    for command in ("show", "blame", "stats", "spans"):
        assert flujo("lens", command, "deep").code == 0


HOSTILE = "a\nb\x1b[2J\x07\u202e\ud800[red]</script>"


@pytest.mark.parametrize("command", ["show", "trace", "spans", "stats", "blame"])
def test_whatever_text_stands_in_a_span_the_terminal_is_left_alone(flujo: Flujo, folder: Path, command: str) -> None:
    maker = SpanMaker()
    more = {"phase": HOSTILE, "running": [HOSTILE], "traceback": HOSTILE, "domain": HOSTILE}
    failed = failure(HOSTILE, step=HOSTILE, **more)
    odd = {"branch": HOSTILE, "iteration": HOSTILE, "kind": HOSTILE, "failure": failed}
    root = maker.add("", 0.0, 1.0, status=SpanStatus.FAILED, failure=failed)
    maker.add(HOSTILE, 0.0, 1.0, parent=root, status=SpanStatus.FAILED, **odd)
    maker.spans[-1] = attrs.evolve(maker.spans[-1], name=HOSTILE)
    with SQLiteBackend(folder / "runs.db") as backend:
        store(backend, "hostile", maker.spans, status=SpanStatus.FAILED, pipeline=HOSTILE, error=HOSTILE)
    outcome = flujo("lens", command, "hostile")
    assert outcome.code == 0
    assert "[red]" in outcome.out
    marks = {mark for mark in outcome.out if unicodedata.category(mark) in {"Cc", "Cf", "Cs"}}
    assert marks == {"\n"}


def test_a_run_whose_process_died_shows_what_it_was_in_the_middle_of(flujo: Flujo, folder: Path) -> None:
    maker = SpanMaker()
    root = maker.add("", 0.0, None, status=SpanStatus.RUNNING)
    loop = maker.add("loop", 0.0, None, parent=root, status=SpanStatus.RUNNING)
    maker.add("loop[1]/a", 0.0, 2.0, parent=loop)
    with SQLiteBackend(folder / "runs.db") as backend:
        store(backend, "died", maker.spans, status=SpanStatus.INTERRUPTED)
    _, *tree = flujo("lens", "trace", "died").out.splitlines()
    assert tree == ["! pipeline_run  10.00 s", "└── ! loop", "    └── ✓ a  2.00 s"]
    assert build_trace(maker.spans) is not None
