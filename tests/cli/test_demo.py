from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Flujo


def test_the_list_names_each_demo_with_what_it_does(flujo: Flujo) -> None:
    outcome = flujo("demo", "list")
    assert outcome.code == 0
    assert outcome.out.startswith("documents  ")


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


def test_an_unknown_demo_gives_one_line_that_names_the_demos(flujo: Flujo) -> None:
    outcome = flujo("demo", "nonsense")
    assert outcome.code == 2
    assert outcome.error_line == "flujo: there is no demo 'nonsense'; there are: documents"


def test_a_missing_folder_fails_the_run_with_a_clear_text(flujo: Flujo) -> None:
    outcome = flujo("demo", "documents", "nowhere")
    assert outcome.code == 1
    assert "'nowhere' does not exist" in outcome.err
