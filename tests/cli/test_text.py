from __future__ import annotations

import pytest

from flujo_actors.cli.text import duration


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
    ],
)
def test_a_duration_is_written_in_the_unit_that_suits_it_also_after_rounding(seconds: float, text: str) -> None:
    assert duration(seconds) == text
