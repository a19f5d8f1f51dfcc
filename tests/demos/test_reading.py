from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.files import reading
from flujo_actors.demos.files.reading import File, ReadingError, decode, read_text
from flujo_actors.demos.texts.documents import Document, read_document
from flujo_actors.demos.texts.markup import Markup


def test_a_document_is_read_with_its_markup(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.md").write_bytes("# Größe\r\nx\ry\n".encode())
    assert read_document(File(str(tmp_path), "sub/a.md")) == Document("sub/a.md", Markup.MARKDOWN, "# Größe\nx\ny\n")


def test_a_suffix_that_is_not_known_stands_for_plain_text(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("x")
    assert read_document(File(str(tmp_path), "notes")).markup is Markup.PLAIN


def test_a_byte_order_mark_is_no_text() -> None:
    assert decode(b"\xef\xbb\xbfabc", "a.md") == "abc"


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"abc\nd\xff\n", "is not UTF-8 text: byte 0xff at byte offset 5 (line 2)"),
        (b"\xef\xbb\xbfab\xe4c", "is not UTF-8 text: byte 0xe4 at byte offset 5 (line 1)"),
        ("Größe".encode("latin-1"), "is not UTF-8 text: byte 0xf6 at byte offset 2 (line 1)"),
        ("ab".encode("utf-16"), "is not UTF-8 text: byte 0xff at byte offset 0 (line 1); it looks like UTF-16"),
        (b"ab\n\n\0", "is a binary file: NUL at byte offset 4 (line 3)"),
    ],
)
def test_what_is_not_utf_8_text_is_refused_with_the_first_wrong_byte(data: bytes, problem: str) -> None:
    with pytest.raises(ReadingError) as caught:
        decode(data, "a.md")
    assert caught.value.problem == problem
    assert str(caught.value) == f"'a.md' {problem}"


def test_a_huge_file_is_refused_without_being_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "LARGEST_FILE", 1_000)
    (tmp_path / "fits.txt").write_bytes(b"x" * 1_000)
    (tmp_path / "huge.txt").write_bytes(b"x" * 1_001)
    assert len(read_text(File(str(tmp_path), "fits.txt"))) == 1_000
    with pytest.raises(ReadingError, match=r"'huge.txt' is larger than 1,000 bytes, the most that is read"):
        read_text(File(str(tmp_path), "huge.txt"))


@pytest.mark.parametrize("name", ["none.md", ".", "a\0b.md", "x" * 5_000])
def test_what_cannot_be_opened_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ReadingError, match="cannot be read: "):
        read_text(File(str(tmp_path), name))


@given(st.binary())
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    problem, text = None, ""
    try:
        text = decode(data, "a.md")
    except ReadingError as error:
        problem = error.problem
    assert problem is None or "byte offset" in problem
    assert not set("\r\0").intersection(text)
