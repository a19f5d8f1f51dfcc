"""Control sockets in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


def open_files() -> int:
    """How many files this process has open, where the platform says so."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


@pytest.fixture(autouse=True)
def _own_session(session_folder: Path) -> None:
    """Nothing of these tests lies where the user's own sockets are."""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The path of a database; there need not be one."""
    return tmp_path / "runs.db"


@pytest.fixture
def _nothing_left(session_folder: Path) -> Iterator[None]:
    """After the test there are as many open files as before, and no socket."""
    before = open_files()
    yield
    assert [path.name for path in session_folder.rglob("*") if path.is_socket()] == []
    assert open_files() == before
