from __future__ import annotations

import json
from pathlib import Path

import pytest

from flujo_actors.demos import DEMOS
from flujo_actors.storage import SQLiteBackend
from tests.cli.conftest import Flujo

EACH = pytest.mark.parametrize("name", DEMOS)


def test_the_list_names_each_demo_with_what_it_does(flujo: Flujo) -> None:
    outcome = flujo("demo", "list")
    assert outcome.code == 0
    assert [line.split()[0] for line in outcome.out.splitlines()] == ["documents", "inventory", "summary", "fallback"]


def test_the_documents_demo_reports_on_a_folder(flujo: Flujo, folder: Path) -> None:
    (folder / "text.md").write_text("# Title\n\nFive words stand in here. TODO: more.\n\n[gone](missing.md)\n")
    outcome = flujo("demo", "documents", ".", "--trace")
    assert outcome.code == 0
    assert "text.md" in outcome.out
    assert "missing.md" in outcome.out
    assert "└── ✓ write_report" in outcome.out


def test_the_documents_demo_as_json_has_the_report_as_data(flujo: Flujo, folder: Path) -> None:
    (folder / "text.md").write_text("# Title\n\nText.\n")
    result = json.loads(flujo("demo", "documents", str(folder), "--json").out)
    assert result["status"] == "completed"
    assert "text.md" in json.dumps(result["output"])


def test_the_inventory_demo_shows_what_the_chosen_analysers_found_and_where_one_failed(
    flujo: Flujo, folder: Path
) -> None:
    (folder / "good.json").write_text('{"a": [1, 2]}')
    (folder / "bad.json").write_text('{"a": [1, 2]')
    outcome = flujo("demo", "inventory", ".", "--trace")
    assert outcome.code == 0
    assert "1 line, 3 words; 1 key, 2 values, 2 levels deep" in outcome.out
    assert "bad.json is not valid JSON: Expecting ',' delimiter: line 1 column 13 (char 12)" in outcome.out
    assert "✓ choose_analysers" in outcome.out
    assert "✗ json" in outcome.out


def test_the_inventory_demo_as_json_has_the_totals_of_all_branches(flujo: Flujo, folder: Path) -> None:
    (folder / "data.json").write_text('{"a": [1, 2]}')
    result = json.loads(flujo("demo", "inventory", "data.json", "--json").out)
    assert result["output"]["files"][0]["findings"]["json"] == {"depth": 2, "keys": 1, "values": 2}
    assert (result["context"]["keys"], result["context"]["size"]) == (1, 13)


def test_the_summary_demo_shows_the_rounds_and_the_trace_has_them(flujo: Flujo) -> None:
    outcome = flujo("demo", "summary", "--trace")
    assert outcome.code == 0
    rounds = outcome.out.count("✓ judge")
    assert f"The critic was content after {rounds} rounds" in outcome.out
    assert rounds > 2


def test_the_summary_demo_as_json_has_the_summary(flujo: Flujo, folder: Path) -> None:
    (folder / "text.txt").write_text("A cat sat on the mat.")
    result = json.loads(flujo("demo", "summary", "text.txt", "--json").out)
    assert result["output"]["text"] == "A cat sat on the mat."


def test_the_fallback_demo_shows_who_read_what_and_what_it_cost(flujo: Flujo, folder: Path) -> None:
    (folder / "data.json").write_text("[{'a': 1}]")
    outcome = flujo("demo", "fallback", ".", "--trace")
    assert outcome.code == 0
    assert "Agent execution failed with BrokenDataError: Expecting property name" in outcome.out
    assert "-> 1 text in single quotes" in outcome.out
    assert "1 attempt  4 tokens\n" in outcome.out
    assert "✓ read_leniently" in outcome.out
    assert "✓ completed in" in outcome.err
    assert "4 tokens" in outcome.err


def test_the_fallback_demo_as_json_has_what_its_results_tell(flujo: Flujo, folder: Path) -> None:
    (folder / "data.json").write_text("[{'a': 1}]")
    result = json.loads(flujo("demo", "fallback", ".", "--json").out)
    assert result["output"]["files"][0]["reader"] == "lenient"
    assert (result["context"], result["total_tokens"]) == ({"files": 1, "records": 1, "repairs": 1}, 4)


def test_an_unknown_demo_gives_one_line_that_names_the_demos(flujo: Flujo) -> None:
    outcome = flujo("demo", "nonsense")
    assert outcome.code == 2
    assert outcome.error_line == (
        "flujo: there is no demo 'nonsense'; there are: documents, inventory, summary, fallback"
    )


@EACH
def test_what_does_not_exist_fails_the_run_with_a_clear_line(flujo: Flujo, name: str) -> None:
    outcome = flujo("demo", name, "nowhere")
    assert outcome.code == 1
    assert outcome.out == ""
    (line,) = [line for line in outcome.err.splitlines() if "'nowhere'" in line and "failed in" not in line]
    assert line.endswith("'nowhere' does not exist")


@EACH
def test_a_failed_run_as_json_has_no_output_but_its_failure(flujo: Flujo, name: str) -> None:
    outcome = flujo("demo", name, "nowhere", "--json")
    result = json.loads(outcome.out)
    assert (outcome.code, result["status"], result["output"]) == (1, "failed", None)
    assert result["failure"]["message"].startswith("'nowhere' ")


@EACH
def test_garbage_is_reported_in_one_line_and_never_a_traceback(flujo: Flujo, folder: Path, name: str) -> None:
    (folder / "garbage.csv").write_bytes(bytes(range(256)))
    outcome = flujo("demo", name, "garbage.csv")
    assert outcome.code in {0, 1}
    assert "Traceback" not in outcome.out + outcome.err
    assert "internal error" not in outcome.err
    assert [line for line in (outcome.out + outcome.err).splitlines() if "binary" in line or "is not UTF-8" in line]


@EACH
def test_a_run_that_takes_too_long_is_stopped_with_a_clear_line(flujo: Flujo, name: str) -> None:
    outcome = flujo("demo", name, "--timeout", "0.000001")
    assert outcome.code == 1
    assert any(line.startswith("the pipeline: Timed out after 1e-06 s") for line in outcome.err.splitlines())


@EACH
def test_a_demo_works_on_its_default_input_and_is_stored(flujo: Flujo, folder: Path, name: str) -> None:
    assert flujo("demo", name).code == 0
    with SQLiteBackend(folder / "runs.db") as backend:
        assert [(run.pipeline, str(run.status)) for run in backend.list_runs()] == [(name, "completed")]
