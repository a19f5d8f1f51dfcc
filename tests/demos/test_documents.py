"""The demo from end to end: real files, through the runtime, to what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from flujo_actors.demos.documents import DOCUMENTS, ReportContext
from flujo_actors.demos.documents.rendering import to_json
from flujo_actors.demos.documents.report import Totals
from flujo_actors.demos.texts.readability import Readability
from tests.demos.conftest import printed, run_demo

GUIDE = """\
# Guide

The cat sat on the mat. TODO: name the cat

### Too deep

See [start](start.md#go), [none](none.md), [here](#guide) and [there](start.md#stop).
"""
# By hand: Guide (1) + The cat sat on the mat. (6) + TODO: name the cat (4) + Too deep (2)
# + See start, none, here and there. (6) = 19 words, of which the
# 6 + 4 + 6 in three sentences are running text. Each has one syllable but TODO, which has two.
# 206.835 - 1.015 * 16 / 3 - 84.6 * 17 / 16 = 111.53, 0.39 * 16 / 3 + 11.8 * 17 / 16 - 15.59 = -0.97.

PRINTED = """\
mine: 3 documents, 24 words, 6 problems
Document       Words  Headings    Ease  Grade  Dead links  TODOs
docs/guide.md     19         2  ~111.5  ~-1.0           2      1
docs/start.md      2         2       -      -           0      0
notes.txt          3         0  ~120.7  ~-3.2           0      1
All               24         4  ~113.9  ~-1.7           2      2

Words: of the text, without code blocks.
Ease: Flesch reading ease, 60 to 70 is plain English, more is easier. Grade: school years.
~ rough: fewer than 100 words in sentences.

Problems
mine/old.txt is not UTF-8 text: byte 0xf6 at byte offset 2 (line 1)
mine/docs/guide.md:3: TODO name the cat
mine/docs/guide.md:5: heading skips to level 3: Too deep
mine/docs/guide.md:7: dead link none.md (no file 'docs/none.md')
mine/docs/guide.md:7: dead link start.md#stop (no heading '#stop' in 'docs/start.md')
mine/notes.txt:1: FIXME

Left out: .git (hidden)"""


def times_of_change(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "guide.md").write_text(GUIDE)
    (tmp_path / "docs" / "start.md").write_text("# Start\n\n## Go\n")
    (tmp_path / "notes.txt").write_text("One two. FIXME\n")
    (tmp_path / "old.txt").write_bytes(b"Gr\xf6\xdfe\n")
    (tmp_path / ".git").mkdir()
    return tmp_path


async def test_a_folder_is_reported_on_file_by_file(folder: Path) -> None:
    result = await run_demo(DOCUMENTS, folder)
    assert result.success
    report = result.unwrap()
    guide, start, notes = report.files
    assert [file.name for file in report.files] == ["docs/guide.md", "docs/start.md", "notes.txt"]
    assert (guide.words.words, guide.headings.by_level) == (19, (1, 0, 1))
    assert guide.readability == Readability(words=16, sentences=3, syllables=17)
    assert [(link.target, link.line, link.problem) for link in guide.dead_links] == [
        ("none.md", 7, "no file 'docs/none.md'"),
        ("start.md#stop", 7, "no heading '#stop' in 'docs/start.md'"),
    ]
    assert [(todo.marker, todo.line, todo.text) for todo in guide.todos] == [("TODO", 3, "name the cat")]
    assert [(heading.text, heading.line) for heading in guide.headings.skipping] == [("Too deep", 5)]
    assert (start.words.words, start.readability, start.problems) == (2, None, 0)
    assert (notes.words.words, notes.todos[0].marker) == (3, "FIXME")


async def test_a_file_that_is_not_utf_8_is_noted_and_the_others_are_reported_on(folder: Path) -> None:
    report = (await run_demo(DOCUMENTS, folder)).unwrap()
    assert [(note.name, note.text) for note in report.unread] == [
        ("old.txt", "is not UTF-8 text: byte 0xf6 at byte offset 2 (line 1)")
    ]
    assert len(report.files) == 3


async def test_the_context_has_the_totals_of_the_report(folder: Path) -> None:
    result = await run_demo(DOCUMENTS, folder)
    assert result.context == ReportContext(files=3, words=24, problems=6)
    assert result.unwrap().totals == Totals(
        files=3,
        words=24,
        headings=4,
        dead_links=2,
        todos=2,
        problems=6,
        readability=Readability(words=19, sentences=5, syllables=20),
    )


async def test_the_folder_is_as_it_was_before(folder: Path) -> None:
    before = times_of_change(folder)
    await run_demo(DOCUMENTS, folder)
    assert times_of_change(folder) == before


async def test_links_of_a_single_file_reach_its_neighbours(folder: Path) -> None:
    report = (await run_demo(DOCUMENTS, folder / "docs" / "guide.md")).unwrap()
    (guide,) = report.files
    assert [link.problem for link in guide.dead_links] == ["no file 'none.md'", "no heading '#stop' in 'start.md'"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none.md", "does not exist"),
        ("old.txt", "is not UTF-8 text: byte 0xf6 at byte offset 2 (line 1)"),
    ],
)
async def test_a_single_file_that_cannot_be_read_fails_the_run_at_once(folder: Path, name: str, problem: str) -> None:
    result = await run_demo(DOCUMENTS, folder / name)
    assert not result.success
    assert result.failure is not None
    assert result.failure.message == f"{str(folder / name)!r} {problem}"
    assert result.failure.attempt == 1


async def test_a_report_is_printed_with_whole_rows_when_nobody_folds_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    text = printed(DOCUMENTS, await run_demo(DOCUMENTS, Path(folder.name)), width=20)
    assert text.replace(folder.name, "mine") == PRINTED


async def test_on_a_terminal_long_file_names_are_folded_to_fit(folder: Path) -> None:
    long_name = "a" * 60 + ".txt"
    (folder / long_name).write_text("x")
    text = printed(DOCUMENTS, await run_demo(DOCUMENTS, folder), terminal=True)
    assert long_name not in text
    assert max(map(len, text.partition("Words: of")[0].splitlines()[1:])) <= 80


async def test_a_folder_without_documents_is_said_to_have_none(tmp_path: Path) -> None:
    (tmp_path / ".hidden").mkdir()
    result = await run_demo(DOCUMENTS, tmp_path)
    assert result.unwrap().totals == Totals()
    assert printed(DOCUMENTS, result) == (
        f"No documents in {tmp_path}: there is no file that ends in one of .md, .markdown, .rst, .txt\n\n"
        "Left out: .hidden (hidden)"
    )


async def test_escape_sequences_and_markup_in_files_are_printed_as_text(tmp_path: Path) -> None:
    (tmp_path / "[red]a.md").write_text("TODO: \x1b[31m[bold]red\u202e\n")
    assert "[red]a.md:1: TODO \\x1b[31m[bold]red\\u202e" in printed(
        DOCUMENTS, await run_demo(DOCUMENTS, tmp_path), terminal=True
    )


async def test_json_has_the_whole_report_with_its_scores(folder: Path) -> None:
    data = to_json((await run_demo(DOCUMENTS, folder)).unwrap())
    assert json.loads(json.dumps(data)) == data
    assert data["totals"] | {"readability": None} == {
        "files": 3, "words": 24, "headings": 4, "dead_links": 2, "todos": 2, "problems": 6, "readability": None,
    }  # fmt: skip
    assert data["files"][0]["readability"] == {
        "words": 16, "sentences": 3, "syllables": 17, "reading_ease": 111.53, "grade": -0.97, "is_rough": True,
    }  # fmt: skip
    assert data["files"][1]["readability"] is None
    assert data["left_out"] == [{"name": ".git", "text": "hidden"}]
