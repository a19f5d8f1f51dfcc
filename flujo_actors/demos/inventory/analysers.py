"""The analysers: steps that run side by side on one file. Each gives a finding, and adds to the context's totals.

What an analyser that fails has written is dropped with its branch; its failure stands where its finding would.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flujo_actors import AnyStep, step
from flujo_actors.demos.files.reading import File
from flujo_actors.demos.files.steps import ONCE, in_thread
from flujo_actors.demos.inventory.context import Inventory
from flujo_actors.demos.inventory.databases import DatabaseFinding, examine_database
from flujo_actors.demos.inventory.fingerprints import Fingerprint, take_fingerprint
from flujo_actors.demos.inventory.images import ImageFinding, examine_image
from flujo_actors.demos.inventory.kinds import Kind
from flujo_actors.demos.inventory.nested_data import DataFinding, examine_json, examine_toml
from flujo_actors.demos.inventory.python_code import PythonFinding, examine_python
from flujo_actors.demos.inventory.tables import TableFinding, examine_table
from flujo_actors.demos.inventory.text_files import TextFinding, measure_text


@step(retry=ONCE)
async def fingerprint(file: File, *, context: Inventory) -> Fingerprint:
    """Take the size and the fingerprint."""
    found = await in_thread(take_fingerprint, file)
    context.size += found.size
    context.copies.setdefault(found.sha256, []).append(file.name)
    return found


@step(retry=ONCE)
async def text(file: File, *, context: Inventory) -> TextFinding:
    """Count lines and words."""
    found = await in_thread(measure_text, file)
    context.words += found.words
    return found


@step(retry=ONCE)
async def python(file: File, *, context: Inventory) -> PythonFinding:
    """Look at Python source."""
    found = await in_thread(examine_python, file)
    context.functions += found.functions
    return found


@step(retry=ONCE)
async def table(file: File, *, context: Inventory) -> TableFinding:
    """Look at rows and columns."""
    found = await in_thread(examine_table, file)
    context.rows += found.rows
    return found


@step(retry=ONCE)
async def json(file: File, *, context: Inventory) -> DataFinding:
    """Look at nested data in JSON."""
    found = await in_thread(examine_json, file)
    context.keys += found.keys
    return found


@step(retry=ONCE)
async def toml(file: File, *, context: Inventory) -> DataFinding:
    """Look at nested data in TOML."""
    found = await in_thread(examine_toml, file)
    context.keys += found.keys
    return found


@step(retry=ONCE)
async def image(file: File) -> ImageFinding:
    """Read an image's header."""
    return await in_thread(examine_image, file)


@step(retry=ONCE)
async def database(file: File, *, context: Inventory) -> DatabaseFinding:
    """Count the rows of a database."""
    found = await in_thread(examine_database, file)
    context.rows += sum(found.rows.values())
    return found


ANALYSERS: Final[Mapping[str, AnyStep]] = {
    analyser.name: analyser for analyser in (fingerprint, text, python, table, json, toml, image, database)
}
"""All analysers by name."""

ANALYSERS_FOR: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.PYTHON: ("fingerprint", "text", "python"),
    Kind.TEXT: ("fingerprint", "text"),
    Kind.TABLE: ("fingerprint", "text", "table"),
    Kind.JSON: ("fingerprint", "text", "json"),
    Kind.TOML: ("fingerprint", "text", "toml"),
    Kind.IMAGE: ("fingerprint", "image"),
    Kind.DATABASE: ("fingerprint", "database"),
    Kind.BINARY: ("fingerprint",),
    Kind.EMPTY: (),
}
"""Those that a file of a kind needs."""
