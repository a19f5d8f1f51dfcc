from __future__ import annotations

import json
from pathlib import Path

from flujo_actors.storage import SQLiteBackend
from tests.cli.conftest import Flujo
from tests.cli.lens.conftest import steady
from tests.stored_runs import SpanMaker, store

DIFFERENCES = """\
A  run RUN-ID  article  DATE AND TIME  2.60 s  $0.024, 178 tokens  completed
B  run RUN-ID  article  DATE AND TIME  3.00 s  $0.024, 180 tokens  failed
step                          status                       duration             change    cost     tokens  att\
empts  differs
review/facts                  completed → failed  600.0 ms → 1.20 s  +600.0 ms (+100%)                        \
1 → 2  input
pipeline_run                  completed → failed    2.60 s → 3.00 s   +400.0 ms (+15%)  $0.024  178 → 180     \
       input, output
review                        completed → failed  800.0 ms → 1.20 s   +400.0 ms (+50%)                        \
       input, output
"""


def test_what_differs_is_listed_with_what_changed_its_outcome_first(flujo: Flujo, article: list[str]) -> None:
    outcome = flujo("lens", "diff", "latest~1", "latest")
    assert outcome.code == 0
    assert steady(outcome.out).startswith(DIFFERENCES)


def test_a_run_does_not_differ_from_itself(flujo: Flujo, article: list[str]) -> None:
    outcome = flujo("lens", "diff", "latest", "latest")
    assert (outcome.code, outcome.out.splitlines()[2:]) == (0, ["no differences"])


def two_runs(folder: Path) -> None:
    first, second = SpanMaker(), SpanMaker()
    for maker, seconds, output in ((first, 5.0, {"price": 3}), (second, 5.2, {"price": 4})):
        root = maker.add("", 0.0, 10.0)
        maker.add("slow", 0.0, seconds, parent=root)
        maker.add("value", 6.0, 7.0, parent=root, output=output)
    group = first.add("old", 7.0, 8.0, parent=first.spans[0].span_id)
    first.add("old/step", 7.0, 8.0, parent=group)
    second.add("new", 7.0, 8.0, parent=second.spans[0].span_id)
    with SQLiteBackend(folder / "runs.db") as backend:
        store(backend, "aaa", first.spans)
        store(backend, "bbb", second.spans)


def test_steps_of_one_run_only_and_values_that_differ_are_shown(flujo: Flujo, folder: Path) -> None:
    two_runs(folder)
    assert flujo("lens", "diff", "a", "b", "--values").out.splitlines()[2:] == [
        "only in A  old and what is inside it",
        "only in B  new",
        "step          duration           change  differs",
        "slow   5.00 s → 5.20 s  +200.0 ms (+4%)",
        "value           1.00 s                   output",
        "value output",
        '  A  {"price": 3}',
        '  B  {"price": 4}',
    ]


def test_small_differences_of_time_are_left_out_below_a_threshold(flujo: Flujo, folder: Path) -> None:
    two_runs(folder)
    assert "slow" in flujo("lens", "diff", "a", "b", "--threshold", "1.9").out
    assert "slow" not in flujo("lens", "diff", "a", "b", "--threshold", "2.1").out


def test_differences_as_json(flujo: Flujo, folder: Path) -> None:
    two_runs(folder)
    answer = json.loads(flujo("lens", "diff", "a", "b", "--json").out)
    assert answer["runs"] == ["aaa", "bbb"]
    assert [each["path"] for each in answer["only_in_a"]] == ["old"]
    assert [each["path"] for each in answer["only_in_b"]] == ["new"]
    value = next(each for each in answer["differences"] if each["path"] == "value")
    assert value["values"] == {"output": [{"price": 3}, {"price": 4}]}
    assert value["status"] == ["completed", "completed"]
