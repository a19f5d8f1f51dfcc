"""Control sockets in a folder of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.descriptors import open_descriptors


@pytest.fixture(autouse=True)
def _own_session(session_folder: Path) -> None:
    """Nothing of these tests lies where the user's own sockets are."""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """The path of a database; there need not be one."""
    return tmp_path / "runs.db"


@pytest.fixture
def _nothing_left(session_folder: Path) -> Iterator[None]:
    """The test leaves no open file, and no socket."""
    before = open_descriptors()
    yield
    assert [path.name for path in session_folder.rglob("*") if path.is_socket()] == []
    assert open_descriptors() - before == set()
