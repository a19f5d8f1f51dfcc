"""The documentation's samples are files; they run, and print what they are said to print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SAMPLES = sorted((ROOT / "docs" / "samples").glob("*.py"))
TESTED_ELSEWHERE = {"server": "tests/test_server_sample.py"}
"""Samples that do not print something and end, with the tests that run them."""
TESTS = [sample for sample in SAMPLES if sample.stem.startswith("test_")]
PROGRAMS = [sample for sample in SAMPLES if sample not in TESTS and sample.stem not in TESTED_ELSEWHERE]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("sample", PROGRAMS, ids=lambda sample: sample.stem)
def test_a_sample_prints_what_stands_beside_it(sample: Path) -> None:
    done = subprocess.run([sys.executable, sample], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == sample.with_suffix(".out").read_text()


@pytest.mark.parametrize(("sample", "tests"), TESTED_ELSEWHERE.items())
def test_a_sample_that_does_not_print_and_end_has_tests_of_its_own(sample: str, tests: str) -> None:
    assert f"{sample}.py" in (ROOT / tests).read_text()


@pytest.mark.parametrize("plugins", [[], ["-p", "no:trio"]], ids=["with pytest-trio", "without"])
@pytest.mark.parametrize("sample", TESTS, ids=lambda sample: sample.stem)
def test_a_sample_of_tests_passes_with_any_configuration(sample: Path, plugins: list[str], tmp_path: Path) -> None:
    alone = ["--rootdir", str(tmp_path), "--config-file", os.devnull, "-p", "no:cacheprovider", *plugins]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--quiet", *alone, sample], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert f"{sample.read_text().count('def test_')} passed" in done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_in_a_page_is_part_of_a_sample(page: Path) -> None:
    sources = [sample.read_text() for sample in SAMPLES]
    for block in blocks(page, "python"):
        assert any(block.strip() in source for source in sources), block


def test_the_readme_shows_an_example_of_twenty_lines() -> None:
    (example,) = blocks(ROOT / "README.md", "python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 20
