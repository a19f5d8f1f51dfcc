"""The demo "inventory": what is in a folder of mixed files, which you can check by eye.

For each file a router looks what it really is, by its content and its name, and chooses the analysers that it needs.
These run side by side, and add to one typed context. A file that is broken is reported, and ends nothing. Nothing
leaves the machine and nothing is changed.

In reading order: `pipeline` has the steps, `analysers` those that run side by side, `context` what they share; `kinds`
tells what a file is; `fingerprints`, `text_files`, `python_code`, `tables`, `nested_data`, `images` and `databases`
each look at one kind of content, as plain functions that give `findings`; `report` is what comes out and `rendering`
shows it.
"""

from __future__ import annotations

from typing import Final

from flujo_actors.demos.demo import Demo
from flujo_actors.demos.inventory.context import Inventory
from flujo_actors.demos.inventory.pipeline import pipeline
from flujo_actors.demos.inventory.rendering import render, to_json
from flujo_actors.demos.inventory.report import InventoryReport

INVENTORY: Final = Demo(
    name="inventory",
    summary="What is in a folder of mixed files: code, texts, tables, data, images, databases, copies",
    default_input=".",
    pipeline=pipeline,
    new_context=Inventory,
    render=render,
    to_json=to_json,
)

__all__ = ["INVENTORY", "Inventory", "InventoryReport"]
