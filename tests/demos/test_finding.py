from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from flujo_actors.demos.files.finding import Note, Selection, displayable, find_file, find_files
from flujo_actors.demos.files.reading import File, ReadingError
from flujo_actors.demos.texts.markup import is_document


async def select_documents(asked: str) -> Selection:
    return await find_files(asked, is_document)


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x", encoding="utf-8")


async def test_documents_in_all_folders_are_found_sorted_and_other_files_are_not(tmp_path: Path) -> None:
    write(tmp_path, "b.md", "a.TXT", "deep/er/c.rst", "deep/d.markdown", "code.py", "noext")
    found = await select_documents(str(tmp_path))
    assert found.names == ("a.TXT", "b.md", "deep/d.markdown", "deep/er/c.rst")
    assert (found.unread, found.left_out, found.is_one_file) == ((), (), False)


async def test_hidden_and_foreign_folders_are_left_out_and_named(tmp_path: Path) -> None:
    write(tmp_path, ".git/a.md", "node_modules/b.md", "sub/venv/c.md", "sub/.hidden.md", "sub/.config", "d.md")
    found = await select_documents(str(tmp_path))
    assert found.names == ("d.md",)
    assert found.left_out == (
        Note(".git", "hidden"),
        Note("node_modules", "filled by a tool"),
        Note("sub/.hidden.md", "hidden"),
        Note("sub/venv", "filled by a tool"),
    )


async def test_a_hidden_folder_that_is_asked_for_is_searched(tmp_path: Path) -> None:
    write(tmp_path, ".notes/a.md")
    assert (await select_documents(str(tmp_path / ".notes"))).names == ("a.md",)


async def test_links_are_named_and_not_followed_so_that_loops_end(tmp_path: Path) -> None:
    write(tmp_path, "real/a.md")
    (tmp_path / "real" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "loop.md").symlink_to("loop.md")
    (tmp_path / "again.md").symlink_to("real/a.md")
    (tmp_path / "broken").symlink_to("nowhere")
    found = await select_documents(str(tmp_path))
    assert found.names == ("real/a.md",)
    assert {note.name for note in found.left_out} == {"again.md", "loop.md", "real/up"}
    assert {note.text for note in found.left_out} == {"a link, not followed"}


async def test_a_pipe_with_a_documents_name_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.md")
    assert (await select_documents(str(tmp_path))).left_out == (Note("pipe.md", "not a regular file"),)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
async def test_a_name_that_is_not_text_is_noted(tmp_path: Path) -> None:
    write(tmp_path, os.fsdecode(b"\xff.md"))
    found = await select_documents(str(tmp_path))
    assert found.unread == (Note("\\xff.md", "has a name that is not valid text"),)
    assert displayable(os.fsdecode(b"a\xff")) == "a\\xff"


async def test_a_folder_that_cannot_be_opened_is_noted_and_the_others_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "closed/a.md", "open/b.md")
    scandir = os.scandir

    def refuse(path: Path) -> Any:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = await select_documents(str(tmp_path))
    assert found.names == ("open/b.md",)
    assert found.unread == (Note("closed", "cannot be opened: Permission denied"),)
    with pytest.raises(ReadingError, match=re.escape("closed' cannot be opened: Permission denied")):
        await select_documents(str(tmp_path / "closed"))


async def test_a_file_that_is_asked_for_is_selected_whatever_its_suffix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "sub/notes")
    monkeypatch.chdir(tmp_path)
    found = await select_documents("sub/notes")
    assert (found.asked, found.folder, found.names) == ("sub/notes", str(tmp_path / "sub"), ("notes",))
    assert found.is_one_file


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ("none", "does not exist"),
        ("a\0b", "cannot be opened: "),
        ("x.md/y", "cannot be opened: Not a"),
    ],
)
async def test_what_is_not_there_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str, problem: str
) -> None:
    write(tmp_path, "x.md")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReadingError, match=re.escape(f"{asked!r} {problem}")):
        await select_documents(asked)


async def test_what_is_neither_file_nor_folder_is_an_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ReadingError, match="is neither a file nor a folder"):
        await select_documents(str(tmp_path / "pipe"))


async def test_one_file_is_found_and_what_is_none_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "sub/a.md")
    os.mkfifo(tmp_path / "pipe")
    assert await find_file(str(tmp_path / "sub" / "a.md")) == File(str(tmp_path / "sub"), "a.md")
    with pytest.raises(ReadingError, match="sub' is a folder, not a file"):
        await find_file(str(tmp_path / "sub"))
    with pytest.raises(ReadingError, match="pipe' is not a regular file"):
        await find_file(str(tmp_path / "pipe"))


async def test_a_search_can_be_cancelled(tmp_path: Path) -> None:
    write(tmp_path, "a/b/c.md")
    with trio.CancelScope() as scope:
        scope.cancel()
        await select_documents(str(tmp_path))
    assert scope.cancelled_caught
