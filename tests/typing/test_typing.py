"""Both type checkers accept the pipelines that are right and find every mistake in those that are not."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
REFUSED = HERE / "refused.py"


def check(*command: str) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed: install the group `lint`")
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env={**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def mypy(cache: Path, *files: Path) -> subprocess.CompletedProcess[str]:
    # A cache of its own: the project's may be in use by a run beside this one.
    return check("mypy", "--strict", "--warn-unused-ignores", f"--cache-dir={cache}", *map(str, files))


def pyright(*files: Path) -> subprocess.CompletedProcess[str]:
    # The files are named, the options are those of pyproject.toml: strict, and unnecessary ignores are errors.
    return check("pyright", "--pythonpath", sys.executable, *map(str, files))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mypy")


def test_mypy_accepts_what_is_right_and_finds_every_mistake(cache: Path) -> None:
    done = mypy(cache, HERE)
    assert done.returncode == 0, done.stdout


def test_pyright_accepts_what_is_right_and_finds_every_mistake() -> None:
    done = pyright(HERE)
    assert done.returncode == 0, done.stdout


def test_the_ignores_are_all_that_keeps_the_mistakes_quiet(cache: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.py"
    bare.write_text(re.sub(r"# type: ignore.*", "", REFUSED.read_text(encoding="utf-8")), encoding="utf-8")
    wrong_lines = {
        number
        for number, line in enumerate(REFUSED.read_text(encoding="utf-8").splitlines(), 1)
        if "# type: ignore" in line
    }
    done = mypy(cache, bare)
    assert {int(number) for number in re.findall(r"bare\.py:(\d+): error", done.stdout)} == wrong_lines
