"""The demo "fallback": data files of yours, read strictly, or leniently where that fails.

A strict reader comes first. A lenient one is its fallback: it takes data as people and programs leave it. The report
says which of them read each file, why the strict one failed, how many attempts there were and what they cost, in words
read. Nothing leaves the machine and nothing is changed.

In reading order: `pipeline` has the steps; `strict` and `lenient`, with `mending` for broken JSON, make `tables` of
data, `validators` judge what the strict one made, all as plain functions; `report` makes of a run's result what comes
out, and `rendering` shows it.
"""

from __future__ import annotations

from typing import Final

from flujo_actors.demos.demo import Demo
from flujo_actors.demos.fallback.pipeline import Tally, pipeline
from flujo_actors.demos.fallback.rendering import render, to_json
from flujo_actors.demos.fallback.report import ReadingReport, conclude
from flujo_actors.demos.samples import SAMPLES

FALLBACK: Final = Demo(
    name="fallback",
    summary="CSV and JSON files, read strictly, or leniently where that fails, and what the failures cost",
    default_input=str(SAMPLES),
    pipeline=pipeline,
    new_context=Tally,
    conclude=conclude,
    render=render,
    to_json=to_json,
)

__all__ = ["FALLBACK", "ReadingReport", "Tally"]
