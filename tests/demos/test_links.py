from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flujo_actors.demos.documents.links import DeadLink, dead_links
from flujo_actors.demos.texts.markup import Link


@attrs.frozen
class Known:
    """A world of few files."""

    files: dict[str, frozenset[str] | None]

    def exists(self, path: str) -> bool:
        return path in self.files

    def anchors(self, path: str) -> frozenset[str] | None:
        return self.files[path]


WORLD = Known(
    {
        "guide/start.md": frozenset({"set-up"}),
        "guide/more.md": frozenset({"größe"}),
        "guide": None,
        "guide/pic.png": None,
        "README.md": frozenset(),
        ".": None,
    }
)


def problem_of(target: str) -> str | None:
    found = dead_links("guide/start.md", [Link(target, 7)], WORLD)
    assert all(dead.target == target and dead.line == 7 for dead in found)
    return found[0].problem if found else None


@pytest.mark.parametrize(
    "target",
    [
        "more.md", "./more.md", "../README.md", "..", "../", ".", "pic.png", "pic.png#L3", "more.md#größe", "more.md#",
        "#set-up", "#", "#top", "start.md#set-up", "more.md?raw=true#größe", "../guide/../guide/more.md",
    ],
)  # fmt: skip
def test_a_link_to_what_is_there_is_alive(target: str) -> None:
    assert problem_of(target) is None


@pytest.mark.parametrize(
    "target",
    [
        "https://example.org/none.md", "HTTP://example.org", "mailto:ann@example.org", "tel:1", "//cdn.example.org/x",
        "/site/absolute.md", "",
    ],
)  # fmt: skip
def test_a_link_that_is_not_relative_is_not_judged(target: str) -> None:
    assert problem_of(target) is None


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("none.md", "no file 'guide/none.md'"),
        ("../none.md#set-up", "no file 'none.md'"),
        ("../../none", "no file '../none'"),
        ("MORE.md", "no file 'guide/MORE.md'"),
        ("#none", "no heading '#none' in 'guide/start.md'"),
        ("#Set-up", "no heading '#Set-up' in 'guide/start.md'"),
        ("more.md#none", "no heading '#none' in 'guide/more.md'"),
        ("../README.md#x", "no heading '#x' in 'README.md'"),
    ],
)
def test_a_link_to_what_is_missing_is_dead(target: str, problem: str) -> None:
    assert problem_of(target) == problem


def test_dead_links_keep_their_order_and_their_repetitions() -> None:
    links = [Link("b", 1), Link("README.md", 2), Link("a", 3), Link("b", 3)]
    assert dead_links("x.md", links, WORLD) == (
        DeadLink("b", 1, "no file 'b'"),
        DeadLink("a", 3, "no file 'a'"),
        DeadLink("b", 3, "no file 'b'"),
    )


@given(st.lists(st.text()))
def test_any_target_can_be_judged(targets: list[str]) -> None:
    found = dead_links("a/b.md", [Link(target, 1) for target in targets], Known({"a/b.md": frozenset()}))
    assert len(found) <= len(targets)
