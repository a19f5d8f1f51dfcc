"""The strict and the lenient reader, and the validators, as plain functions."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.fallback.lenient import Decoded, decode_leniently, parse_leniently
from flujo_actors.demos.fallback.strict import parse_strictly
from flujo_actors.demos.fallback.tables import BrokenDataError, Table, UnfinishedDataError
from flujo_actors.demos.fallback.validators import has_distinct_columns, has_even_rows

SIGNS = st.text(st.sampled_from("ab1 .{}[]:,;\t\"'\\\n"))


def leniently(name: str, data: str | bytes) -> Table:
    return parse_leniently(name, decode_leniently(data.encode() if isinstance(data, str) else data))


@pytest.mark.parametrize(
    ("name", "text", "table"),
    [
        ("a.csv", 'a,b\n1,"x, ""y"""\n', Table(("a", "b"), (("1", 'x, "y"'),))),
        ("a.tsv", "a\tb\n1\tx\n", Table(("a", "b"), (("1", "x"),))),
        ("a.json", '[{"a": 1, "b": null}, {"a": 2}]', Table(("a", "b"), ((1, None), (2,)))),
        ("a.json", '{"a": [1]}', Table(("a",), (([1],),))),
        ("a.JSONL", '{"a": 1}\n{"a": 2}\n', Table(("a",), ((1,), (2,)))),
    ],
)
def test_what_is_as_its_format_asks_for_is_read_by_both_readers(name: str, text: str, table: Table) -> None:
    assert parse_strictly(name, text) == table
    if has_even_rows(table).is_valid:
        assert leniently(name, text) == table


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", "", "it is empty"),
        ("a.csv", 'a,b\n"x"y,1\n', "line 2: ',' expected after '\"'"),
        ("a.json", " ", "it is empty"),
        ("a.json", "[1]", "it is neither an object nor a list of objects"),
        ("a.json", '{"a": 1} x', "Extra data (line 1, column 10)"),
        ("a.json", '{"a": NaN}', "NaN is no value of JSON"),
        ("a.json", '{"a": 1, "a": 2}', "a key is there twice: 'a'"),
        ("a.json", "[" * 100_000, "it nests too deeply"),
        ("a.jsonl", '{"a": 1}\n\n{"a": 2}', "line 2: it is empty"),
        ("a.jsonl", '{"a": 1\n{"a": 2}', "line 1: Expecting ',' delimiter (line 1, column 8)"),
        ("a.txt", "x", "its name ends in none of .csv, .tsv, .json, .jsonl"),
    ],
)
def test_what_is_not_is_refused_by_the_strict_reader(name: str, text: str, problem: str) -> None:
    with pytest.raises(BrokenDataError, match=re.escape(problem)) as caught:
        parse_strictly(name, text)
    assert type(caught.value) is BrokenDataError


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.csv", 'a,b\n1,"x\n', "line 2: unexpected end of data"),
        ("a.json", '[{"a": "x', "Unterminated string starting at (line 1, column 8)"),
        ("a.json", '[{"a": 1},\n', "line 2"),
        ("a.json", "{", "Expecting property name"),
        ("a.jsonl", '{"a": 1}\n{"a": ', "line 2: Expecting value"),
    ],
)
def test_what_ends_in_the_middle_is_told_from_what_is_broken(name: str, text: str, problem: str) -> None:
    with pytest.raises(UnfinishedDataError, match=re.escape(problem)):
        parse_strictly(name, text)


@pytest.mark.parametrize(
    ("name", "data", "table"),
    [
        ("a.csv", "a;b\n1;2,5\n", Table(("a", "b"), (("1", "2,5"),), ("separated by ';'",))),
        ("a.csv", "a,b\n\n1,2\n,\n", Table(("a", "b"), (("1", "2"),), ("2 rows dropped as blank",))),
        ("a.csv", "a,b\n1\n", Table(("a", "b"), (("1", ""),), ("1 row filled up",))),
        ("a.csv", "a,b\n1,2,3\n", Table(("a", "b"), (("1", "2,3"),), ("1 row joined at its end",))),
        ("a.csv", "a,,a\n1,2,3\n", Table(("a", "column 2", "a 2"), (("1", "2", "3"),), ("2 columns named",))),
        ("a.csv", "Gr\xf6\xdfe\n1\n".encode("cp1252"), Table(("Größe",), (("1",),), ("encoded in Windows-1252",))),
        ("a.csv", "a,b\n1,é\n".encode("utf-16"), Table(("a", "b"), (("1", "é"),), ("encoded in UTF-16",))),
        ("a.csv", "\N{BYTE ORDER MARK}a\n1\n", Table(("a",), (("1",),))),
        ("a.json", "[{a: 1}, 2, {'b': 3}]", Table(("a", "b"), ((1, None), (None, 3)), (
            "1 word without quotes", "1 text in single quotes", "1 value dropped, being no object",
            "2 objects filled up",
        ))),
        ("a.json", '[{"a": 1}, {"a": 2', Table(("a",), ((1,), (None,)), ("1 end missing", "1 object filled up"))),
        ("a.jsonl", '{"a": 1}\n\n{"a": 2', Table(("a",), ((1,), (None,)), ("1 end missing", "1 object filled up"))),
    ],
)  # fmt: skip
def test_what_people_and_programs_leave_is_read_leniently_and_said_so(
    name: str, data: str | bytes, table: Table
) -> None:
    found = leniently(name, data)
    assert (found.columns, found.rows, set(found.repairs)) == (table.columns, table.rows, set(table.repairs))


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.csv", " \n,\n", "it is empty"),
        ("a.csv", "a\n" + "x" * 200_000, "field larger than field limit (131072)"),
        ("a.csv", b"GIF89a\0", "it is no text but a binary file"),
        ("a.json", "", "there is no object in it"),
        ("a.json", "[1, 2]", "there is no object in it"),
        ("a.json", "[1 2]", "it cannot be mended: Expecting ',' delimiter"),
        ("a.json", "[" * 100_000 + "]" * 100_000, "it cannot be mended: maximum recursion depth exceeded"),
        ("a.txt", "x", "its name ends in none of .csv, .tsv, .json, .jsonl"),
    ],
)
def test_what_is_something_else_is_refused_by_the_lenient_reader_too(
    name: str, data: str | bytes, problem: str
) -> None:
    with pytest.raises(BrokenDataError, match=re.escape(problem)):
        leniently(name, data)


@pytest.mark.parametrize(
    ("columns", "feedback"),
    [
        (("a", "b"), None),
        (("a", " "), "a column has no name"),
        (("a", "b", "a", "b"), "several columns are called a, b"),
        (("", ""), "a column has no name; several columns are called "),
    ],
)
def test_columns_need_a_name_of_their_own(columns: tuple[str, ...], feedback: str | None) -> None:
    result = has_distinct_columns(Table(columns, ()))
    assert (result.is_valid, result.feedback) == (feedback is None, feedback)


@pytest.mark.parametrize(
    ("rows", "feedback"),
    [
        ((), None),
        (((1, 2),), None),
        (((1, 2), ()), "row 2 has 0 of 2 values"),
        (((1,), (1, 2), (1, 2, 3)), "row 1 has 1 of 2 values, and 1 more are uneven"),
    ],
)
def test_rows_need_a_value_for_each_column(rows: tuple[tuple[int, ...], ...], feedback: str | None) -> None:
    result = has_even_rows(Table(("a", "b"), rows))
    assert (result.is_valid, result.feedback) == (feedback is None, feedback)


@given(SIGNS, st.sampled_from(["a.csv", "a.tsv", "a.json", "a.jsonl"]))
def test_of_any_text_the_lenient_reader_makes_an_even_table_or_refuses_it(text: str, name: str) -> None:
    try:
        table = parse_leniently(name, Decoded(text, "UTF-8"))
    except BrokenDataError:
        return
    assert has_even_rows(table).is_valid


@given(SIGNS, st.sampled_from(["a.csv", "a.tsv", "a.json", "a.jsonl"]))
def test_of_any_text_the_strict_reader_makes_a_table_or_refuses_it(text: str, name: str) -> None:
    try:
        table = parse_strictly(name, text)
    except BrokenDataError:
        return
    assert table.repairs == ()
