"""The demo from end to end: real files, through the runtime, to what is printed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flujo_actors import SpanStatus, open_system
from flujo_actors.demos.inventory import INVENTORY
from flujo_actors.demos.inventory.kinds import Kind
from flujo_actors.events import StepEnded
from tests.demos.conftest import make_file, printed, run_demo, spans_named
from tests.demos.test_analysers import png

PRINTED = """\
mine: 9 files, 8.3 kB, 3 problems (2 table, 2 Python, 1 JSON, 1 database, 1 text, 1 empty, 1 image)
File             Kind      Size  What is in it
a/copy.csv      table  11 bytes  3 lines, 3 words; 2 rows of 2 columns (2 whole number), 1 empty cell
a/data.json      JSON   6 bytes  1 line, 1 word
a/table.csv     table  11 bytes  3 lines, 3 words; 2 rows of 2 columns (2 whole number), 1 empty cell
bad.py         Python   8 bytes  1 line, 2 words
data.db      database    8.2 kB  1 table, rows: t 3
good.py        Python  26 bytes  2 lines, 4 words; 1 function, longest f (1 line), 1 without docstring
notes.txt        text   3 bytes
nothing         empty         -
photo.csv       image  33 bytes  PNG, 640 x 480 pixels

Problems
mine/a/data.json is not valid JSON: Expecting value: line 2 column 1 (char 6)
mine/bad.py is not valid Python: invalid syntax (line 1)
mine/notes.txt is not UTF-8 text: byte 0xe4 at byte offset 0 (line 1)
mine/photo.csv is not what its name says, but of the kind image

Same content
mine/a/copy.csv = mine/a/table.csv

Left out: .git (hidden)"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_file(tmp_path, "a/table.csv", "a,b\n1,2\n3,\n")
    make_file(tmp_path, "a/copy.csv", "a,b\n1,2\n3,\n")
    make_file(tmp_path, "a/data.json", '{"a":\n')
    make_file(tmp_path, "good.py", '"""Good."""\ndef f(): pass\n')
    make_file(tmp_path, "bad.py", "x = = 1\n")
    make_file(tmp_path, "notes.txt", b"\xe4b\n")
    make_file(tmp_path, "nothing", "")
    make_file(tmp_path, "photo.csv", png(640, 480))
    make_file(tmp_path, ".git/config", "x")
    with closing(sqlite3.connect(tmp_path / "data.db")) as database:
        database.execute("CREATE TABLE t (a)")
        database.execute("INSERT INTO t VALUES (1), (2), (3)")
        database.commit()
    return tmp_path


def size_of_files(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def test_each_file_is_told_by_its_content_and_analysed(folder: Path) -> None:
    report = (await run_demo(INVENTORY, folder)).unwrap()
    assert {file.name: (file.kind, [*file.findings]) for file in report.files} == {
        "a/copy.csv": (Kind.TABLE, ["fingerprint", "text", "table"]),
        "a/data.json": (Kind.JSON, ["fingerprint", "text"]),
        "a/table.csv": (Kind.TABLE, ["fingerprint", "text", "table"]),
        "bad.py": (Kind.PYTHON, ["fingerprint", "text"]),
        "data.db": (Kind.DATABASE, ["fingerprint", "database"]),
        "good.py": (Kind.PYTHON, ["fingerprint", "text", "python"]),
        "notes.txt": (Kind.TEXT, ["fingerprint"]),
        "nothing": (Kind.EMPTY, []),
        "photo.csv": (Kind.IMAGE, ["fingerprint", "image"]),
    }
    assert [file.name for file in report.files if file.is_misnamed] == ["photo.csv"]
    assert report.copies == (("a/copy.csv", "a/table.csv"),)


async def test_the_context_has_the_totals_that_all_branches_added_up(folder: Path) -> None:
    context = (await run_demo(INVENTORY, folder)).context
    # Of two tables, of the JSON and the Python file that are broken too, and of the sound Python file.
    assert context.words == 3 + 3 + 1 + 2 + 4
    assert context.rows == 2 + 2 + 3
    assert context.functions == 1
    assert context.keys == 0
    assert context.size == size_of_files(folder) - len("x")  # but for .git/config
    assert context.problems == 3
    assert context.kinds["nothing"] is Kind.EMPTY


async def test_the_trace_has_the_choice_and_the_branches_of_each_file(folder: Path) -> None:
    result = await run_demo(INVENTORY, folder)
    inspected = {span["attributes"]["item"]: span for span in spans_named(result.trace_tree, "inspect")}
    assert sorted(inspected) == list(range(1, 10))
    router, branches = inspected[4]["children"]  # bad.py
    assert (router["name"], router["status"]) == ("choose_analysers", "completed")
    assert {branch["attributes"]["branch"]: branch["status"] for branch in branches["children"]} == {
        "fingerprint": "completed",
        "text": "completed",
        "python": "failed",
    }
    assert [span["name"] for span in inspected[8]["children"]] == ["choose_analysers"]  # nothing


async def test_a_report_is_printed_with_what_is_in_each_file_and_what_is_wrong(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    text = printed(INVENTORY, await run_demo(INVENTORY, folder.name), width=20)
    assert text.replace(folder.name, "mine") == PRINTED


async def test_a_file_that_may_not_be_read_is_reported_and_the_others_are_analysed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_path = Path.open

    def refuse(path: Path, mode: str) -> object:
        if path.name == "good.py":
            raise PermissionError(13, "Permission denied", str(path))
        return open_path(path, mode)

    monkeypatch.setattr(Path, "open", refuse)
    report = (await run_demo(INVENTORY, folder)).unwrap()
    refused = next(file for file in report.files if file.name == "good.py")
    assert (refused.kind, refused.findings, refused.problems) == (None, {}, ("cannot be read: Permission denied",))
    assert report.problems == 4


async def test_a_single_file_is_looked_at_whatever_its_name(folder: Path) -> None:
    result = await run_demo(INVENTORY, folder / "nothing")
    assert printed(INVENTORY, result).startswith(f"{folder / 'nothing'}: 1 file, 0 bytes, 0 problems (1 empty)")


async def test_an_empty_folder_has_no_files(tmp_path: Path) -> None:
    assert printed(INVENTORY, await run_demo(INVENTORY, tmp_path)) == f"No files in {tmp_path}"


async def test_what_does_not_exist_fails_the_run_at_once(tmp_path: Path) -> None:
    result = await run_demo(INVENTORY, tmp_path / "none")
    assert result.failure is not None
    assert (result.failure.message, result.failure.attempt) == (f"{str(tmp_path / 'none')!r} does not exist", 1)


async def test_of_very_many_files_the_first_are_shown(tmp_path: Path) -> None:
    for number in range(103):
        make_file(tmp_path, f"{number:03}", str(number))
    text = printed(INVENTORY, await run_demo(INVENTORY, tmp_path))
    assert "099" in text
    assert text.endswith("… and 3 more, which --json shows")


async def test_escape_sequences_in_names_of_things_are_printed_as_text(tmp_path: Path) -> None:
    make_file(tmp_path, "[red]a", "x")
    with closing(sqlite3.connect(tmp_path / "data.db")) as database:
        database.execute('CREATE TABLE "\x1b[31m[bold]" (a)')
    text = printed(INVENTORY, await run_demo(INVENTORY, tmp_path), width=200, terminal=True)
    assert "1 table, rows: \\x1b[31m[bold] 0" in text
    assert "[red]a" in text


async def test_json_has_every_finding(folder: Path) -> None:
    data = INVENTORY.to_json((await run_demo(INVENTORY, folder)).unwrap())
    assert json.loads(json.dumps(data)) == data | {"copies": [["a/copy.csv", "a/table.csv"]]}
    image = data["files"][-1]
    assert image["findings"]["image"] == {"format": "PNG", "width": 640, "height": 480}
    assert (image["kind"], image["is_misnamed"], image["findings"]["fingerprint"]["size"]) == ("image", True, 33)


async def test_a_run_can_be_cancelled_between_two_files(tmp_path: Path) -> None:
    for number in range(100):
        make_file(tmp_path, f"{number}.py", "x = 1\n")
    async with open_system() as system:
        run = await system.start(INVENTORY.pipeline, str(tmp_path), context=INVENTORY.new_context())
        async for event in run.events():
            if isinstance(event, StepEnded) and event.path == "files[1]/inspect":
                run.cancel(reason="enough")
        result = await run.wait()
    assert result.status is SpanStatus.CANCELLED
    assert result.failure is not None
    assert result.failure.feedback == "Cancelled: enough"
    assert 0 < len(spans_named(result.trace_tree, "inspect")) < 100
