"""What each analyser of the inventory finds in real files, broken ones included."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import struct
import zlib
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.files.reading import File, ReadingError
from flujo_actors.demos.inventory.databases import DatabaseFinding, examine_database
from flujo_actors.demos.inventory.fingerprints import Fingerprint, take_fingerprint
from flujo_actors.demos.inventory.images import ImageFinding, examine_image
from flujo_actors.demos.inventory.nested_data import DataFinding, examine_json, examine_toml
from flujo_actors.demos.inventory.python_code import PythonFinding, examine_python
from flujo_actors.demos.inventory.tables import Column, examine_table, type_of
from flujo_actors.demos.inventory.text_files import TextFinding, measure_text
from flujo_actors.demos.texts.separators import separator_of
from tests.demos.conftest import make_file

SOURCE = '''\
"""A module."""


class Box:
    def open(self):
        def inner():
            pass
        return inner

    def _close(self):
        pass


async def wait():
    """Wait."""
'''


def png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def jpeg(width: int, height: int) -> bytes:
    application = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + bytes(9)
    thumbnail = b"\xff\xe1" + struct.pack(">H", 20) + b"\xff\xc0" + bytes(16)  # looks like a frame, is none
    filled = b"\xff\xff\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width)
    return b"\xff\xd8" + application + thumbnail + filled


def test_a_fingerprint_is_what_sha256sum_prints(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096
    found = take_fingerprint(make_file(tmp_path, "a", content))
    assert found == Fingerprint(1_048_576, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("one two\nthree\n", TextFinding(lines=2, words=3, longest_line=7)),
        ("no end", TextFinding(lines=1, words=2, longest_line=6)),
        ("\n\n", TextFinding(lines=2, words=0, longest_line=0)),
        ("\N{BYTE ORDER MARK}", TextFinding(lines=0, words=0, longest_line=0)),
    ],
)
def test_lines_and_words_of_a_text(tmp_path: Path, text: str, found: TextFinding) -> None:
    assert measure_text(make_file(tmp_path, "a.txt", text)) == found


def test_python_is_counted_by_its_syntax_tree(tmp_path: Path) -> None:
    found = examine_python(make_file(tmp_path, "a.py", SOURCE))
    assert found == PythonFinding(functions=4, classes=1, longest="open", longest_lines=4, undocumented=2)
    assert found.in_words == "1 class, 4 functions, longest open (4 lines), 2 without docstring"


def test_an_encoding_that_python_source_declares_is_obeyed(tmp_path: Path) -> None:
    source = '# coding: latin-1\n"""Größe."""\n'.encode("latin-1")
    assert examine_python(make_file(tmp_path, "a.py", source)).in_words == ""


def test_python_with_odd_escapes_is_examined_without_a_warning(tmp_path: Path) -> None:
    assert examine_python(make_file(tmp_path, "a.py", 'x = "\\d"\n')).functions == 0


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("x = 1\ndef f(:\n", "is not valid Python: invalid syntax (line 2)"),
        (b"x = '\xff'\n", "is not valid Python: "),
        ("x = 1\0", "is not valid Python: source code string cannot contain null bytes"),
        ("(" * 500 + ")" * 500, "is not valid Python: too many nested parentheses"),
    ],
)
def test_python_that_is_none_is_refused_with_the_reason(tmp_path: Path, source: str | bytes, problem: str) -> None:
    with pytest.raises(ReadingError, match=re.escape(problem)):
        examine_python(make_file(tmp_path, "a.py", source))


def test_a_table_has_rows_and_columns_with_types_and_empty_cells(tmp_path: Path) -> None:
    text = 'id;since;mean;name\n1;2020-01-31;1.5;"a;\nb"\n\n2;2021-12-01;;c\n3;2022-01-01;2\n4;2022-01-01;2;d;e\n'
    found = examine_table(make_file(tmp_path, "a.csv", text))
    assert (found.separator, found.rows, found.uneven_rows) == (";", 4, 2)
    assert found.columns == (
        Column("id", "whole number", 0),
        Column("since", "date", 0),
        Column("mean", "number", 1),
        Column("name", "text", 1),
    )
    assert found.in_words == (
        "4 rows of 4 columns (1 whole number, 1 date, 1 number, 1 text), 2 empty cells, 2 uneven rows"
    )


@pytest.mark.parametrize(
    ("cells", "type_name"),
    [
        (["1", "-20", ""], "whole number"),
        (["1", "2.5", "1e3", ".5"], "number"),
        (["2020-01-31", "2020-01-31T10:00:00Z"], "date"),
        (["yes", "FALSE"], "yes or no"),
        (["1", "x"], "text"),
        (["31.1.2020"], "text"),
        (["1_000"], "text"),
        (["", ""], "empty"),
    ],
)
def test_the_type_of_a_column_is_what_all_its_cells_look_like(cells: list[str], type_name: str) -> None:
    assert type_of(cells) == type_name


@pytest.mark.parametrize(
    ("text", "separator"), [("a,b;c,d\n;;;;;", ","), ("a\tb\n", "\t"), ("\na|b|c", "|"), ("single\n", ","), ("", ",")]
)
def test_the_separator_is_what_stands_most_often_in_the_first_line(text: str, separator: str) -> None:
    assert separator_of(text) == separator


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("\n \n\n".replace(" ", ""), "is not a table: it has blank lines alone"),
        ("a,b\n" + "x" * 200_000, "is not a table: field larger than field limit (131072) (line 2)"),
        (b"a,b\n\xe4,1\n", "is not UTF-8 text: byte 0xe4 at byte offset 4 (line 2)"),
    ],
)
def test_a_table_that_is_none_is_refused_with_the_reason(tmp_path: Path, content: str | bytes, problem: str) -> None:
    with pytest.raises(ReadingError, match=re.escape(problem)):
        examine_table(make_file(tmp_path, "a.csv", content))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3", DataFinding(depth=0, keys=0, values=1)),
        ("[]", DataFinding(depth=1, keys=0, values=0)),
        ('{"a": [1, {"b": null}], "c": {}}', DataFinding(depth=3, keys=3, values=2)),
    ],
)
def test_depth_keys_and_values_of_json(tmp_path: Path, text: str, found: DataFinding) -> None:
    assert examine_json(make_file(tmp_path, "a.json", text)) == found


def test_depth_keys_and_values_of_toml(tmp_path: Path) -> None:
    found = examine_toml(make_file(tmp_path, "a.toml", "a = 1\n[b.c]\nd = 2020-01-31\n"))
    assert found == DataFinding(depth=3, keys=4, values=2)
    assert found.in_words == "4 keys, 2 values, 3 levels deep"


def test_broken_json_and_toml_are_refused_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(ReadingError, match=r"is not valid JSON: .*line 2 column 1"):
        examine_json(make_file(tmp_path, "a.json", '{"a":\n}'))
    with pytest.raises(ReadingError, match=r"is not valid JSON: maximum recursion depth"):
        examine_json(make_file(tmp_path, "b.json", "[" * 100_000))
    with pytest.raises(ReadingError, match=r"is not valid TOML: .*line 2, column"):
        examine_toml(make_file(tmp_path, "a.toml", "a = 1\na = 2\n"))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (png(640, 480), ImageFinding("PNG", 640, 480)),
        (b"GIF89a" + struct.pack("<HH", 3, 70_00), ImageFinding("GIF", 3, 7000)),
        (jpeg(1920, 1080), ImageFinding("JPEG", 1920, 1080)),
    ],
)
def test_the_size_of_an_image_is_in_its_header(tmp_path: Path, content: bytes, found: ImageFinding) -> None:
    assert examine_image(make_file(tmp_path, "a", content)) == found


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (png(1, 1)[:20], "ends in the middle of the image's header"),
        (jpeg(1, 1)[:-3], "ends in the middle of the image's header"),
        (b"\xff\xd8\xff\xe0\0", "ends in the middle of the image's header"),
        (b"\xff\xd8\xff\xda", "is not a PNG, JPEG or GIF image"),
        (b"\xff\xd8\xff\xe0\0\0\0\0", "is not a PNG, JPEG or GIF image"),
        (b"BM6", "is not a PNG, JPEG or GIF image"),
    ],
)
def test_an_image_that_is_none_is_refused_with_the_reason(tmp_path: Path, content: bytes, problem: str) -> None:
    with pytest.raises(ReadingError, match=problem):
        examine_image(make_file(tmp_path, "a.png", content))


@given(st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xe0", b"GIF89a", b"\x89PNG\r\n"]))
def test_any_bytes_are_an_image_or_refused(tmp_path_factory: pytest.TempPathFactory, tail: bytes, head: bytes) -> None:
    file = make_file(tmp_path_factory.getbasetemp(), "any.png", head + tail)
    try:
        assert examine_image(file).format in {"PNG", "JPEG", "GIF"}
    except ReadingError as error:
        assert "image" in error.problem  # noqa: PT017 - either is right


def test_a_database_has_tables_with_rows_and_nothing_appears_beside_it(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a?b.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute('CREATE TABLE "odd "" name" (a INTEGER PRIMARY KEY AUTOINCREMENT)')
        database.execute('INSERT INTO "odd "" name" VALUES (1), (2)')
        database.execute("CREATE TABLE none (a)")
        database.commit()
    found = examine_database(File(str(tmp_path), "a?b.db"))
    assert found == DatabaseFinding({'odd " name': 2, "none": 0})
    assert [path.name for path in tmp_path.iterdir()] == ["a?b.db"]


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReadingError, match="is not a sound SQLite database: "):
        examine_database(make_file(tmp_path, "a.db", b"SQLite format 3\0" + b"x" * 2000))
