from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.inventory.kinds import HEAD, Kind, kind_of, read_head
from tests.demos.conftest import make_file

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.py", b"x = 1", Kind.PYTHON),
        ("A.CSV", b"a,b", Kind.TABLE),
        ("a.tsv", b"a\tb", Kind.TABLE),
        ("a.json", b"{", Kind.JSON),
        ("a.toml", b"a = 1", Kind.TOML),
        ("a.md", b"# a", Kind.TEXT),
        ("a.png", PNG, Kind.IMAGE),
        ("a.jpg", b"\xff\xd8\xff\xe0", Kind.IMAGE),
        ("a.gif", b"GIF89a", Kind.IMAGE),
        ("a.db", b"SQLite format 3\0\x10\0", Kind.DATABASE),
        ("a.bin", b"\x7fELF\x02\0\0", Kind.BINARY),
        ("a.md", b"", Kind.EMPTY),
    ],
)
def test_kinds_of_files_that_are_named_for_what_they_are(name: str, head: bytes, kind: Kind) -> None:
    assert kind_of(name, head) is kind


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("photo.txt", b"\xff\xd8\xff\xe0", Kind.IMAGE),
        ("table.csv", b"SQLite format 3\0", Kind.DATABASE),
        ("code.py", b"a\0b", Kind.BINARY),
    ],
)
def test_what_a_file_begins_with_counts_more_than_its_name(name: str, head: bytes, kind: Kind) -> None:
    assert kind_of(name, head) is kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"#!/usr/bin/env python3\nx = 1", Kind.PYTHON),
        (b"#!/usr/bin/python\n", Kind.PYTHON),
        (b"#!/bin/sh\npython x", Kind.TEXT),
        (b' [{"a": 1}]\n', Kind.JSON),
        (b"[section]\nkey = 1\n", Kind.TEXT),
        (b'{"a": 1}\n{"a": 2}\n', Kind.TEXT),
        ("Größe".encode(), Kind.TEXT),
        ("Größe".encode("latin-1"), Kind.BINARY),
    ],
)
def test_the_content_tells_the_kind_where_the_name_does_not(head: bytes, kind: Kind) -> None:
    assert kind_of("noext", head) is kind


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_character_that_the_end_of_the_head_cuts_makes_no_binary(tmp_path: Path, cut: int) -> None:
    file = make_file(tmp_path, "long", "x" * (HEAD - cut) + "\N{OLD KEY}" * 10)
    assert kind_of(file.name, read_head(file)) is Kind.TEXT


@given(st.binary())
def test_any_bytes_are_of_some_kind(head: bytes) -> None:
    assert (kind_of("a", head) is Kind.EMPTY) == (head == b"")
