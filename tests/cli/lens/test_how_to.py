"""docs/how-to/read-a-trace.md shows what the commands print."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.conftest import Flujo
from tests.cli.lens.conftest import steady

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "read-a-trace.md"

BLOCKS = re.findall(r"^```console\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

SHOWN = [tuple(part.split("\n", 1)) for block in BLOCKS for part in block.split("$ ")[1:]]
"""Each command on the page, and what the page says that it prints; `…` on a line stands for lines that are left out."""


def test_the_page_shows_commands() -> None:
    assert len(SHOWN) >= 8


@pytest.mark.parametrize(("command", "printed"), SHOWN, ids=[command for command, _ in SHOWN])
def test_a_command_on_the_page_prints_what_stands_below_it(
    flujo: Flujo, article: list[str], command: str, printed: str
) -> None:
    program, *words = shlex.split(command)
    assert program == "flujo"
    shown = re.split(r"^ *…\n", steady(printed), flags=re.MULTILINE)
    actual = steady(flujo(*words).out)
    assert re.fullmatch("(?:.*\n)*".join(map(re.escape, shown)), actual), actual
