"""The demo from end to end: real files, through the runtime, to what is printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from trio.testing import MockClock

from flujo_actors import PipelineResult, SpanStatus, open_system
from flujo_actors.demos.fallback import FALLBACK, ReadingReport, Tally
from flujo_actors.demos.fallback.report import FileReport
from flujo_actors.events import AttemptFailed
from tests.demos.conftest import make_file, printed, run_demo, spans_named

PRINTED = """\
mine: 5 files: 1 read strictly, 3 leniently, 1 not
File         Reader  Records  Columns  Attempts  Words read
cut.json    lenient        2        1     3 + 1          12
empty.csv         -        0        0     1 + 1           0
good.csv     strict        2        2         1           3
old.csv     lenient        1        2     1 + 1           3
uneven.csv  lenient        2        2     1 + 1           6
All                        7                             24

Read leniently
mine/cut.json Agent execution failed with UnfinishedDataError: Expecting value (line 1, column 17)
    -> 1 end missing, 1 object filled up
mine/old.csv Agent execution failed with ReadingError: 'old.csv' is not UTF-8 text: byte 0xf6 at byte offset 2 (line 1)
    -> encoded in Windows-1252, separated by ';'
mine/uneven.csv Validation failed after max retries: several columns are called a; row 1 has 1 of 2 values
    -> 1 column named, 1 row filled up

Not read
mine/empty.csv Original error: Agent execution failed with BrokenDataError: it is empty; Fallback error: \
Agent execution failed with BrokenDataError: it is empty

Left out: .hidden.csv (hidden)"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_file(tmp_path, "good.csv", "a,b\n1,2\n3,4\n")
    make_file(tmp_path, "old.csv", b"Gr\xf6\xdfe;b\n1 x;2\n")
    make_file(tmp_path, "uneven.csv", "a,a\n1\n2,3\n")
    make_file(tmp_path, "cut.json", '[{"a": 1}, {"a":')
    make_file(tmp_path, "empty.csv", "")
    make_file(tmp_path, ".hidden.csv", "a\n")
    make_file(tmp_path, "other.txt", "no data")
    return tmp_path


def report_of(result: PipelineResult[object, Tally]) -> dict[str, FileReport]:
    report: ReadingReport = FALLBACK.conclude(result)
    return {file.name: file for file in report.files}


async def test_each_file_is_read_strictly_or_else_leniently(folder: Path) -> None:
    files = report_of(await run_demo(FALLBACK, folder))
    assert {name: file.reader for name, file in files.items()} == {
        "cut.json": "lenient",
        "empty.csv": None,
        "good.csv": "strict",
        "old.csv": "lenient",
        "uneven.csv": "lenient",
    }
    assert files["good.csv"] == FileReport("good.csv", "strict", ("a", "b"), 2, (), None, 1, 0, words=3)


async def test_the_report_tells_the_primarys_error_and_what_all_attempts_cost(folder: Path) -> None:
    files = report_of(await run_demo(FALLBACK, folder))
    cut, old = files["cut.json"], files["old.csv"]
    assert cut.error == "Agent execution failed with UnfinishedDataError: Expecting value (line 1, column 17)"
    # Three words (`[{"a":`, `1},`, `{"a":`) in three attempts of the strict reader, then in one of the lenient one.
    assert (cut.strict_attempts, cut.lenient_attempts, cut.words) == (3, 1, 12)
    # What cannot be decoded was not read.
    assert (old.strict_attempts, old.lenient_attempts, old.words) == (1, 1, 3)


async def test_a_validators_no_is_one_attempt_and_says_all_that_is_wrong(folder: Path) -> None:
    uneven = report_of(await run_demo(FALLBACK, folder))["uneven.csv"]
    assert uneven.error == (
        "Validation failed after max retries: several columns are called a; row 1 has 1 of 2 values"
    )
    assert uneven.strict_attempts == 1


async def test_when_both_readers_fail_the_file_is_reported_with_both_errors(folder: Path) -> None:
    empty = report_of(await run_demo(FALLBACK, folder))["empty.csv"]
    assert empty.error == (
        "Original error: Agent execution failed with BrokenDataError: it is empty; "
        "Fallback error: Agent execution failed with BrokenDataError: it is empty"
    )


async def test_the_context_has_what_the_successful_reader_of_each_file_counted(folder: Path) -> None:
    result = await run_demo(FALLBACK, folder)
    # The strict reader had counted the two records of uneven.csv, too, before the validators refused them.
    assert result.context == Tally(files=4, records=2 + 1 + 2 + 2, repairs=2 + 2 + 2)
    assert result.total_tokens == 12 + 0 + 3 + 3 + 6
    assert result.total_cost_usd == 0


async def test_the_trace_has_the_attempts_and_the_fallback_below_the_step_that_failed(folder: Path) -> None:
    result = await run_demo(FALLBACK, folder)
    spans = {span["attributes"]["item"]: span for span in spans_named(result.trace_tree, "read_strictly")}
    cut, empty, good = spans[1], spans[2], spans[3]
    assert [attempt["status"] for attempt in cut["attributes"]["attempts"]] == ["failed"] * 3
    assert [(child["name"], child["status"]) for child in cut["children"]] == [("read_leniently", "completed")]
    assert cut["attributes"]["prompt_tokens"] == 12
    assert (empty["status"], empty["children"][0]["status"]) == ("failed", "failed")
    assert (good["status"], good["children"]) == ("completed", [])


async def test_a_file_that_was_just_being_written_is_read_strictly_in_the_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    file = make_file(tmp_path, "growing.json", '[{"a": 1}, {"a":')
    async with open_system() as system:
        run = await system.start(FALLBACK.pipeline, str(tmp_path), context=FALLBACK.new_context())
        async for event in run.events():
            if isinstance(event, AttemptFailed):
                make_file(tmp_path, file.name, '[{"a": 1}, {"a": 2}]')
        result = await run.wait()
    growing = report_of(result)[file.name]
    assert (growing.reader, growing.records, growing.strict_attempts, growing.error) == ("strict", 2, 2, None)


async def test_a_report_is_printed_with_who_read_what_and_why(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder.parent)
    text = printed(FALLBACK, await run_demo(FALLBACK, folder.name), width=20)
    assert text.replace(folder.name, "mine") == PRINTED


async def test_a_single_file_is_read_whatever_its_name(folder: Path) -> None:
    result = await run_demo(FALLBACK, folder / "other.txt")
    assert report_of(result)["other.txt"].reader is None
    assert "its name ends in none of .csv, .tsv, .json, .jsonl" in printed(FALLBACK, result)


async def test_a_folder_without_data_is_said_to_have_none(tmp_path: Path) -> None:
    assert printed(FALLBACK, await run_demo(FALLBACK, tmp_path)) == (
        f"No data in {tmp_path}: there is no file that ends in one of .csv, .tsv, .json, .jsonl"
    )


async def test_what_does_not_exist_fails_the_run_at_once(tmp_path: Path) -> None:
    result = await run_demo(FALLBACK, tmp_path / "none")
    assert result.failure is not None
    assert (result.failure.message, result.failure.attempt) == (f"{str(tmp_path / 'none')!r} does not exist", 1)


async def test_escape_sequences_in_data_are_printed_as_text(tmp_path: Path) -> None:
    make_file(tmp_path, "[red]a.csv", "\x1b[31m[bold],\x1b[31m[bold]\n1,2\n")
    text = printed(FALLBACK, await run_demo(FALLBACK, tmp_path), terminal=True)
    assert "several columns are called \\x1b[31m[bold]" in text
    assert "[red]a.csv" in text


async def test_the_samples_show_every_outcome() -> None:
    files = report_of(await run_demo(FALLBACK, FALLBACK.default_input))
    assert {file.reader for file in files.values()} == {"strict", "lenient", None}
    assert {file.strict_attempts for file in files.values()} == {1, 3}


async def test_json_has_the_whole_report(folder: Path) -> None:
    data = FALLBACK.to_json(FALLBACK.conclude(await run_demo(FALLBACK, folder)))
    assert json.loads(json.dumps(data))["files"][3] == {
        "name": "old.csv",
        "reader": "lenient",
        "columns": ["Größe", "b"],
        "records": 1,
        "repairs": ["encoded in Windows-1252", "separated by ';'"],
        "error": "Agent execution failed with ReadingError: 'old.csv' is not UTF-8 text: "
        "byte 0xf6 at byte offset 2 (line 1)",
        "strict_attempts": 1,
        "lenient_attempts": 1,
        "words": 3,
    }


async def test_a_run_can_be_cancelled_while_it_waits_to_try_again(tmp_path: Path, mock_clock: MockClock) -> None:
    del mock_clock  # it stands still, and so does the wait
    make_file(tmp_path, "cut.json", "[1, 2,")
    async with open_system() as system:
        run = await system.start(FALLBACK.pipeline, str(tmp_path), context=FALLBACK.new_context())
        async for event in run.events():
            if isinstance(event, AttemptFailed):
                run.cancel(reason="enough")
        result = await run.wait()
    assert result.status is SpanStatus.CANCELLED
    assert result.total_tokens == 2
    assert spans_named(result.trace_tree, "read_leniently") == []
