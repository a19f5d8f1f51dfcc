from __future__ import annotations

import pytest

from flujo_actors import MapStep, Step, run_pipeline
from flujo_actors.cli.text import as_json_value, duration, moment


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 µs"),
        (0.00035, "350 µs"),
        (0.0009996, "1.0 ms"),
        (0.0123, "12.3 ms"),
        (0.9999, "999.9 ms"),
        (0.99999, "1.00 s"),
        (59.99, "59.99 s"),
        (59.999, "1 min 0 s"),
        (200.4, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7260.0, "2 h 1 min"),
        (float("inf"), "inf s"),
    ],
)
def test_a_duration_is_written_in_the_unit_that_suits_it_also_after_rounding(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_failed_item_in_an_output_is_shown_without_what_concerns_the_runtime_alone() -> None:
    def numbers(data: None, context: object) -> list[int]:
        return [0, 2]

    def divide(number: int) -> float:
        return 1 / number

    by_each = MapStep[None, float, object]("map", Step("divide", divide), over=numbers, on_item_failure="ignore")
    failed, half = as_json_value(run_pipeline(by_each, None).output)
    assert half == 0.5
    assert (failed["name"], failed["failure"]["exception_type"]) == ("divide", "ZeroDivisionError")
    assert not {"branch", "exception"} & {*failed, *failed["failure"]}


@pytest.mark.parametrize(("wall", "text"), [(1e15, "1e+15 s"), (-1e15, "-1e+15 s"), (float("inf"), "inf s")])
def test_a_moment_that_no_calendar_has_is_written_as_a_number(wall: float, text: str) -> None:
    assert moment(wall) == text
