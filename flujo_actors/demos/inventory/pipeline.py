"""The pipeline: find the files; for each, several at once, let a router choose who analyses it; then the report.

    find_files >> files: for each file, inspect: choose_analysers, then those side by side >> write_report

A file that is broken fails the analysers that cannot make sense of it, never the run.
"""

from __future__ import annotations

from typing import Final

from flujo_actors import BranchFailureStrategy, DynamicParallelRouterStep, MapStep, step
from flujo_actors.demos.files import finding
from flujo_actors.demos.files.finding import Selection
from flujo_actors.demos.files.reading import File
from flujo_actors.demos.files.steps import ONCE, in_thread
from flujo_actors.demos.inventory.analysers import ANALYSERS, ANALYSERS_FOR
from flujo_actors.demos.inventory.context import Inventory
from flujo_actors.demos.inventory.kinds import kind_of, read_head
from flujo_actors.demos.inventory.report import InventoryReport, Outcome, report_on

FILES_AT_ONCE: Final = 8


@step(retry=ONCE)
async def find_files(asked: str, *, context: Inventory) -> Selection:
    """Find all files in a folder, or the one that was asked for."""
    context.selection = await finding.find_files(asked, lambda name: True)
    return context.selection


@step(retry=ONCE)
async def choose_analysers(file: File, *, context: Inventory) -> list[str]:
    """Look what a file is, and choose who is to analyse it: nobody, when it is empty."""
    kind = kind_of(file.name, await in_thread(read_head, file))
    context.kinds[file.name] = kind
    return list(ANALYSERS_FOR[kind])


@step
def write_report(outcomes: list[Outcome], *, context: Inventory) -> InventoryReport:
    """Put the report together."""
    report = report_on(context.selection, context.kinds, context.copies, outcomes)
    context.problems = report.problems
    return report


inspect: Final = DynamicParallelRouterStep[File, Outcome, Inventory](
    "inspect", choose_analysers, ANALYSERS, on_branch_failure=BranchFailureStrategy.IGNORE
)
"""From a file to a dict of analyser and finding."""

inspect_files: Final = MapStep[Selection, list[Outcome], Inventory](
    "files",
    inspect,
    over=lambda selection, context: selection.files,
    max_concurrency=FILES_AT_ONCE,
    on_item_failure="ignore",
)
"""The same for each file that was found, in order."""

pipeline: Final = (find_files >> inspect_files >> write_report).named("inventory")
"""From the path of a file or folder to an `InventoryReport`."""
