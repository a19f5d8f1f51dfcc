from __future__ import annotations

import json

from tests.cli.conftest import Flujo

STATISTICS = """\
2 runs
name           count  failed     total      mean       p50       p95    cost  tokens
pipeline_run       2       1    5.60 s    2.80 s    2.60 s    3.00 s  $0.048     358
draft              2            2.40 s    1.20 s    1.20 s    1.20 s   $0.04     198
pipeline           4            2.40 s  600.0 ms  600.0 ms  600.0 ms   $0.04     198
review             2       1    2.00 s    1.00 s  800.0 ms    1.20 s
write              4            2.00 s  500.0 ms  500.0 ms  500.0 ms   $0.04     198
facts              2       1    1.80 s  900.0 ms  600.0 ms    1.20 s
opinion            2            1.60 s  800.0 ms  800.0 ms  800.0 ms
fetch              2            1.20 s  600.0 ms  600.0 ms  600.0 ms  $0.008     160
ask_colleague      2          800.0 ms  400.0 ms  400.0 ms  400.0 ms
measure            4          400.0 ms  100.0 ms  100.0 ms  100.0 ms
"""


def test_the_spans_of_all_runs_are_added_up_by_name(flujo: Flujo, article: list[str]) -> None:
    assert flujo("lens", "stats").out == STATISTICS


def test_one_run_or_those_that_fit_can_be_added_up(flujo: Flujo, article: list[str]) -> None:
    one = flujo("lens", "stats", "latest").out
    assert one.startswith("1 run\n")
    assert flujo("lens", "stats", "--status", "failed").out == one
    assert flujo("lens", "stats", "--until", "1h").out == "no runs\n"


def test_a_run_and_a_choice_of_runs_exclude_each_other(flujo: Flujo, article: list[str]) -> None:
    outcome = flujo("lens", "stats", "latest", "--status", "failed")
    assert outcome.code == 2
    assert outcome.error_line == "flujo: name a run, or say which runs by options, not both"


def test_statistics_as_json(flujo: Flujo, article: list[str]) -> None:
    statistics = json.loads(flujo("lens", "stats", "--json").out)
    assert statistics["runs"] == 2
    assert statistics["names"][0]["name"] == "pipeline_run"
    assert (statistics["names"][0]["count"], statistics["names"][0]["failed"]) == (2, 1)
