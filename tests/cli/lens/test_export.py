from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Flujo
from tests.cli.lens.terminal import FLUJO


@pytest.mark.parametrize("format_name", ["html", "perfetto", "otlp-json"])
def test_a_trace_is_exported_to_a_file_or_to_standard_output(
    flujo: Flujo, folder: Path, article: list[str], format_name: str
) -> None:
    written = flujo("lens", "export", "latest", "--format", format_name, "--output", "trace.out")
    assert (written.code, written.out, written.err) == (0, "", "wrote trace.out\n")
    printed = flujo("lens", "export", "latest", "--format", format_name)
    assert (printed.code, printed.err) == (0, "")
    assert printed.out == (folder / "trace.out").read_text(encoding="utf-8") + "\n"
    assert "ask_colleague" in printed.out


def test_an_export_says_which_run_it_is(flujo: Flujo, article: list[str]) -> None:
    document = json.loads(flujo("lens", "export", "latest~1", "--format", "perfetto").out)
    assert document["otherData"]["run_id"] == article[0]
    assert article[1] in flujo("lens", "export", "latest", "--format", "html").out


@pytest.mark.parametrize(("output", "problem"), [("missing/trace.html", "No such file"), (".", "is a directory")])
def test_a_file_that_cannot_be_written_gives_one_line(
    flujo: Flujo, article: list[str], output: str, problem: str
) -> None:
    outcome = flujo("lens", "export", "latest", "--format", "html", "--output", output)
    assert outcome.code == 2
    assert problem in outcome.error_line


def test_an_export_is_utf_8_whatever_the_locale_says(folder: Path, article: list[str]) -> None:
    done = subprocess.run(
        [*FLUJO, "lens", "export", "latest", "--format", "html"],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=True,
    )
    assert "✓" in done.stdout.decode("utf-8")


def test_an_unknown_format_gives_one_line_that_names_the_formats(flujo: Flujo, article: list[str]) -> None:
    outcome = flujo("lens", "export", "latest", "--format", "pdf")
    assert outcome.code == 2
    assert "'html', 'perfetto', 'otlp-json'" in outcome.error_line
