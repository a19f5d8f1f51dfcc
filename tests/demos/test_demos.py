from __future__ import annotations

import pytest

from flujo_actors.demos import DEMOS, Demo

EACH = pytest.mark.parametrize("demo", DEMOS.values(), ids=DEMOS.keys())


@EACH
def test_a_demo_says_in_one_line_what_it_does(demo: Demo) -> None:
    assert demo.summary
    assert "\n" not in demo.summary


@EACH
def test_a_demos_pipeline_has_its_name_and_no_problems(demo: Demo) -> None:
    assert demo.pipeline.name == demo.name
    assert demo.pipeline.check() == ()
