from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Flujo


def rows(output: str) -> list[str]:
    """The first word of each row below the heading."""
    return [line.split()[0] for line in output.splitlines()[1:]]


def test_spans_are_listed_in_the_order_of_their_start(flujo: Flujo, article: list[str]) -> None:
    heading, root, fetch, *_ = flujo("lens", "spans", "latest").out.splitlines()
    assert heading.split() == ["step", "status", "start", "duration", "attempts", "cost", "tokens", "failure"]
    assert root.split()[:8] == ["pipeline_run", "failed", "+0", "µs", "3.00", "s", "$0.024", "180"]
    assert fetch.split() == ["fetch", "completed", "+0", "µs", "600.0", "ms", "2", "$0.004", "80"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--status", "failed"], ["pipeline_run", "review", "review/facts"]),
        (["--status", "failed", "--status", "completed", "--limit", "1"], ["pipeline_run"]),
        (["--path", "draft[2]/**"], ["draft[2]/pipeline", "draft[2]/pipeline/write", "draft[2]/pipeline/measure"]),
        (["--path", "*"], ["pipeline_run", "fetch", "draft", "review"]),
        (["--name", "w*", "--sort", "cost", "--limit", "1"], ["draft[2]/pipeline/write"]),
        (["--sort", "duration", "--limit", "2"], ["pipeline_run", "draft"]),
    ],
)
def test_spans_are_chosen_and_sorted(flujo: Flujo, article: list[str], options: list[str], expected: list[str]) -> None:
    assert rows(flujo("lens", "spans", "latest", *options).out) == expected


def test_no_span_that_fits_is_said(flujo: Flujo, article: list[str]) -> None:
    assert flujo("lens", "spans", "latest", "--name", "nobody").out == "no spans\n"


def test_spans_as_json_are_whole(flujo: Flujo, article: list[str]) -> None:
    (span,) = json.loads(flujo("lens", "spans", "latest", "--path", "review/facts", "--json").out)
    assert span["name"] == "facts"
    assert [attempt["number"] for attempt in span["attributes"]["attempts"]] == [1, 2]
    assert "children" not in span
