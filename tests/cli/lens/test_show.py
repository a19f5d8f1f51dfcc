from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Flujo
from tests.cli.lens.conftest import steady

FAILED_RUN = """\
run       RUN-ID
pipeline  article
status    failed
started   DATE AND TIME
ended     DATE AND TIME
duration  3.00 s
spent     $0.024, 180 tokens
spans     13: 10 completed, 3 failed

slowest steps              own time  of the run    in all       own spending
✗ review/facts               1.20 s         40%    1.20 s
✓ fetch                    600.0 ms         20%  600.0 ms  $0.004, 80 tokens
"""

FAILURE = """\
failure
✗ review (ParallelStep)  agent: branch 'facts' failed: Agent execution failed with ValueError: the moon is not made of \
cheese
  caused by ✗ review/facts (Step)  attempt 2 of 2  agent: Agent execution failed with ValueError: the moon is not made \
of cheese
      attempt 1  600.0 ms  agent: Agent execution failed with ValueError: the moon is not made of cheese
"""


def test_a_run_is_shown_with_its_record_its_steps_and_its_failure(flujo: Flujo, article: list[str]) -> None:
    shown = steady(flujo("lens", "show", "latest").out)
    assert shown.startswith(FAILED_RUN)
    assert shown.endswith(FAILURE)
    assert "\ncostliest steps" in shown


def test_a_run_that_completed_names_the_failures_it_got_over(flujo: Flujo, article: list[str]) -> None:
    shown = flujo("lens", "show", "latest~1").out
    assert "failures that the run got over" in shown
    assert "the source did not answer" in shown


def test_a_run_as_json_has_the_same(flujo: Flujo, article: list[str]) -> None:
    run = json.loads(flujo("lens", "show", "latest", "--json").out)
    assert (run["run_id"], run["status"], run["spans"]) == (article[1], "failed", {"failed": 3, "completed": 10})
    assert run["slowest"][0]["path"] == "review/facts"
    assert run["costliest"][0]["own_cost_usd"] == 0.01
    assert run["seconds"] == pytest.approx(3.0)
    assert [failure["step"] for failure in run["failures"]] == ["review", "review/facts"]
