from __future__ import annotations

from pathlib import Path

import pytest

from flujo_actors.demos.documents.neighbours import Neighbours


def test_files_and_folders_exist_and_broken_paths_do_not(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a b.md").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    around = Neighbours(str(tmp_path / "sub"), {})
    assert around.exists(".")
    assert around.exists("..")
    assert around.exists("../a b.md")
    assert not any(around.exists(path) for path in ("none", "../loop", "a\0b", "x" * 5_000, "../a b.md/x"))


def test_what_may_not_be_seen_is_taken_to_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(Path, "stat", refuse)
    assert Neighbours(str(tmp_path), {}).exists("secret/a.md")


def test_anchors_of_a_file_outside_the_report_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# Set up\n")
    around = Neighbours(str(tmp_path), {"known.md": frozenset({"x"})})
    assert around.anchors("known.md") == frozenset({"x"})
    assert around.anchors("a.md") == frozenset({"set-up"})
    (tmp_path / "a.md").unlink()
    assert around.anchors("a.md") == frozenset({"set-up"})


def test_anchors_of_other_and_of_broken_files_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "a.rst").write_text("Set up\n======\n")
    (tmp_path / "b.md").write_bytes(b"\xff")
    (tmp_path / "c.md").mkdir()
    around = Neighbours(str(tmp_path), {})
    assert [around.anchors(name) for name in ("a.rst", "b.md", "c.md", "none.md")] == [None] * 4
