from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.documents.todos import Todo, find_todos


@pytest.mark.parametrize(
    ("line", "todo"),
    [
        ("TODO: write this", ("TODO", "write this")),
        ("TODO write this", ("TODO", "write this")),
        ("- **FIXME**: wrong number", ("FIXME", "wrong number")),
        ("<!-- XXX - check the source -->", ("XXX", "check the source")),
        ("# TODO(ann): later", ("TODO", "(ann) later")),
        ("// FIXME", ("FIXME", "")),
        ("see [TODO] here", ("TODO", "here")),
        ("TODO FIXME both", ("TODO", "FIXME both")),
    ],
)
def test_a_marker_is_found_with_what_is_to_be_done(line: str, todo: tuple[str, str]) -> None:
    assert [(found.marker, found.text) for found in find_todos(line)] == [todo]


@pytest.mark.parametrize(
    "line",
    ["todo: small", "TODOs are listed", "see TODO.md", "docs/TODO", "the `TODO` marker", "TODO_LIST", "XXXL", "MYTODO"],
)
def test_a_marker_that_is_only_mentioned_or_part_of_a_name_is_no_todo(line: str) -> None:
    assert find_todos(line) == ()


def test_lines_are_counted_from_one_and_only_newlines_end_them() -> None:
    text = "first\u2028still first\x0cstill\nTODO: second\n\n```\n# FIXME: in code\n```\n"
    assert find_todos(text) == (Todo("TODO", 2, "second"), Todo("FIXME", 5, "in code"))


def test_a_long_task_is_cut() -> None:
    (todo,) = find_todos("TODO " + "x" * 101)
    assert todo.text == "x" * 99 + "…"


@given(st.lists(st.text(st.characters(exclude_characters="\n"))))
def test_any_text_has_at_most_one_todo_per_line(lines: list[str]) -> None:
    found = find_todos("\n".join(lines))
    numbers = [todo.line for todo in found]
    assert numbers == sorted(set(numbers))
    assert all(todo.marker in lines[todo.line - 1] for todo in found)
