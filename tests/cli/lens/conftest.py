"""Databases with runs in them, and outputs without what differs from run to run."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from flujo_actors.storage import SQLiteBackend
from tests.stored_runs import run_article


@pytest.fixture(scope="session")
def article_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the runs of docs/samples/traced_run.py; not to be changed."""
    path = tmp_path_factory.mktemp("article") / "runs.db"
    run_article(SQLiteBackend(path))
    return path


@pytest.fixture
def article(folder: Path, article_database: Path) -> list[str]:
    """The user's database holds a run that completed and one that failed. Their ids, in that order."""
    shutil.copy(article_database, folder / "runs.db")
    with SQLiteBackend(folder / "runs.db") as backend:
        return [run.run_id for run in reversed(backend.list_runs())]


def steady(output: str) -> str:
    """The output with the ids of runs, dates and the paths of files replaced by words."""
    output = re.sub(r"\b[0-9a-f]{32}\b", "RUN-ID", output)
    output = re.sub(r"^[0-9a-f]{12}\b", "RUN-ID      ", output, flags=re.MULTILINE)
    output = re.sub(r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b", "DATE AND TIME", output)
    return re.sub(r'File "[^"]*/([^"/]+)", line \d+', r'File "…/\1", line N', output)
