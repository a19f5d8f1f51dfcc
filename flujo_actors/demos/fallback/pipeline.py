"""The pipeline: find the data; read each file strictly, and leniently where that fails for good.

    find_data >> files: for each file, read_strictly, else read_leniently

A file that ends in the middle may be one that is just being written, so it is tried again; nothing else is, because
it would fail again. What each attempt reads is charged, one token for one word, so what a failure cost can be seen.
"""

from __future__ import annotations

from typing import Annotated, Final

import attrs

from flujo_actors import Failure, MapStep, RetryPolicy, StepResult, UsageMeter, step
from flujo_actors.context import Sum
from flujo_actors.demos.fallback.lenient import decode_leniently, parse_leniently
from flujo_actors.demos.fallback.strict import parse_strictly
from flujo_actors.demos.fallback.tables import Table, UnfinishedDataError, is_data
from flujo_actors.demos.fallback.validators import has_distinct_columns, has_even_rows
from flujo_actors.demos.files.finding import Selection, find_files
from flujo_actors.demos.files.reading import File, read_bytes, read_text
from flujo_actors.demos.files.steps import ONCE, in_thread
from flujo_actors.demos.texts.words import split_words

FILES_AT_ONCE: Final = 4


@attrs.define
class Tally:
    """What was read, by whichever reader. What a reader counted that failed in the end is dropped with its writes."""

    files: Annotated[int, Sum()] = 0
    records: Annotated[int, Sum()] = 0
    repairs: Annotated[int, Sum()] = 0
    """Kinds of things that had to be mended, in each file."""


def is_unfinished(failure: Failure) -> bool:
    """Whether a failed attempt is worth another one."""
    return isinstance(failure.exception, UnfinishedDataError)


@step(retry=ONCE)
async def find_data(asked: str) -> Selection:
    """Find the data files in a folder, or the one that was asked for."""
    return await find_files(asked, is_data)


@step(retry=ONCE)
async def read_leniently(file: File, *, context: Tally, usage: UsageMeter) -> Table:
    """Read a file as it is, and say what had to be mended."""
    decoded = decode_leniently(await in_thread(read_bytes, file))
    usage.charge(prompt_tokens=len(split_words(decoded.text)))
    table = await in_thread(parse_leniently, file.name, decoded)
    context.files += 1
    context.records += len(table.rows)
    context.repairs += len(table.repairs)
    return table


@step(
    retry=RetryPolicy(max_attempts=3, backoff=0.05, retry_if=is_unfinished),
    validators=[has_distinct_columns, has_even_rows],
    fallback=read_leniently,
)
async def read_strictly(file: File, *, context: Tally, usage: UsageMeter) -> Table:
    """Read a file exactly as its format asks for."""
    text = await in_thread(read_text, file)
    usage.charge(prompt_tokens=len(split_words(text)))
    table = await in_thread(parse_strictly, file.name, text)
    context.files += 1
    context.records += len(table.rows)
    return table


read_files: Final = MapStep[Selection, list[Table | StepResult], Tally](
    "files",
    read_strictly,
    over=lambda selection, context: selection.files,
    max_concurrency=FILES_AT_ONCE,
    on_item_failure="ignore",
)
"""From the files to a list of a `Table` for each, or its `StepResult` when neither reader could make one."""

pipeline: Final = (find_data >> read_files).named("fallback")
"""From the path of a file or folder to that list; `report.conclude` makes a report of the run's result."""
