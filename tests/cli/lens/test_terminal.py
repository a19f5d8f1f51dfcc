"""The lens on a terminal: coloured, and cut to its width."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.lens.terminal import Terminal, on_terminal


def shown(*words: str, folder: Path, columns: int = 100) -> Terminal:
    with on_terminal(*words, folder=folder, columns=columns) as terminal:
        assert terminal.read_to_end() == 0
    return terminal


def test_a_trace_on_a_terminal_has_colours_and_bars(folder: Path, article: list[str]) -> None:
    terminal = shown("lens", "trace", "latest", folder=folder)
    assert "\x1b[31m✗" in terminal.shown
    assert "\x1b[32m━" in terminal.shown
    lines = terminal.text.splitlines()
    assert [line.split("━")[0].strip() for line in lines[1:3]] == ["✗ pipeline_run", "├── ✓ fetch"]


def test_the_bar_of_a_step_has_the_colours_of_its_attempts(folder: Path, article: list[str]) -> None:
    terminal = shown("lens", "trace", "latest", folder=folder)
    fetch = next(line for line in terminal.shown.splitlines() if "fetch" in line)
    assert fetch.index("\x1b[31m") < fetch.index("━") < fetch.rindex("\x1b[32m")


@pytest.mark.parametrize("columns", [40, 100])
@pytest.mark.parametrize(
    "words",
    [["list"], ["trace", "latest"], ["spans", "latest"], ["diff", "latest~1", "latest"], ["stats"]],
    ids=lambda words: words[0],
)
def test_no_line_of_a_tree_or_a_table_is_wider_than_the_terminal(
    folder: Path, article: list[str], words: list[str], columns: int
) -> None:
    terminal = shown("lens", *words, folder=folder, columns=columns)
    lines = [line for line in terminal.text.splitlines() if "run " not in line]
    assert len(lines) >= 2
    assert max(map(len, lines)) <= columns


def test_a_narrow_terminal_has_no_room_for_bars(folder: Path, article: list[str]) -> None:
    assert "━" not in shown("lens", "trace", "latest", folder=folder, columns=60).text
    assert "━" in shown("lens", "trace", "latest", "--bars", folder=folder, columns=60).text


def test_an_export_is_not_poured_over_a_terminal(folder: Path, article: list[str]) -> None:
    with on_terminal("lens", "export", "latest", "--format", "html", folder=folder) as terminal:
        assert terminal.read_to_end() == 2
    assert terminal.text == ("flujo: that would fill the terminal; name a file with --output, or redirect the output\n")
