from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.fallback.mending import mend

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)
RECORDS = st.lists(st.fixed_dictionaries({"name": st.text(), "size": st.integers()}), min_size=1)
SIGNS = st.text(st.sampled_from("ab1 .-{}[]:,\"'\\/#*\n"))


def mended(text: str) -> Any:
    return json.loads(mend(text).text, strict=False)


@pytest.mark.parametrize(
    ("text", "value", "repairs"),
    [
        ('{"a": 1, // one\n "b": [2, # two\n 3]}', {"a": 1, "b": [2, 3]}, {"comment dropped": 2}),
        ("/* all */ [1]", [1], {"comment dropped": 1}),
        ("[1, 2,]", [1, 2], {"comma too many": 1}),
        ('{"a": 1,}', {"a": 1}, {"comma too many": 1}),
        ("{'it\\'s': 'a \"b\"'}", {"it's": 'a "b"'}, {"text in single quotes": 2}),
        ("{name: red, size: 3}", {"name": "red", "size": 3}, {"word without quotes": 3}),
        ("[True, None, NaN]", [True, None, None], {"constant of another language": 3}),
        ('{"a": "// no comment, \'really\'"}', {"a": "// no comment, 'really'"}, {}),
    ],
)
def test_what_people_write_becomes_json(text: str, value: Any, repairs: dict[str, int]) -> None:
    assert mended(text) == value
    assert mend(text).repairs == repairs


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("[", "[]"),
        ("[1, 2", "[1]"),
        ("[1, 2 ", "[1, 2]"),
        ('[1, {"a": 2, "b', '[1, {"a": 2}]'),
        ('[1, {"a": 2, "b": ', '[1, {"a": 2}]'),
        ('[1, {"a": tru', "[1, {}]"),
        ('{"a": {"b": [1, "x", "y', '{"a": {"b": [1, "x"]}}'),
        ('{"a": {"b": 1}, ', '{"a": {"b": 1}}'),
    ],
)
def test_what_ends_in_the_middle_ends_after_its_last_complete_value(text: str, ended: str) -> None:
    assert mended(text) == json.loads(ended)
    assert mend(text).repairs == {"end missing": 1}


@pytest.mark.parametrize("text", ["", "[1 2]", "{1}", "]", "][", '{"a" 1}', "[1}", '"a'])
def test_what_else_is_wrong_stays_wrong(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        mended(text)


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_json_stays_as_it_is(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert mended(text) == value
    assert not mend(text).repairs


@given(RECORDS, st.data())
def test_of_records_that_are_cut_off_anywhere_the_complete_ones_are_kept(
    records: list[dict[str, Any]], data: st.DataObject
) -> None:
    pieces = [json.dumps(record) for record in records]
    whole = data.draw(st.integers(0, len(records) - 1))
    cut = pieces[whole][: data.draw(st.integers(0, len(pieces[whole]) - 1))]
    kept = mended(f"[{', '.join([*pieces[:whole], cut])}")
    assert kept[:whole] == records[:whole]
    assert all(record.items() <= records[whole].items() for record in kept[whole:])


@given(SIGNS)
def test_any_text_can_be_taken_apart(text: str) -> None:
    assert mend(text).repairs.total() >= 0
