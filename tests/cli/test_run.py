from __future__ import annotations

import json
from pathlib import Path

import pytest

from flujo_actors.storage import SQLiteBackend
from tests.cli.conftest import Flujo

TYPED = """
import math
import sys
import pydantic
from flujo_actors import step

class Order(pydantic.BaseModel):
    item: str
    count: int = 1

@step
def join(data: list[str]) -> str:
    return "+".join(data)

@step
def look_up(data: dict[str, int]) -> int:
    return len(data)

@step
def grow(data: Order) -> Order:
    return Order(item=data.item, count=data.count + 1)

@step
def odd_values(data: str) -> dict[str, float]:
    return {"nan": math.nan, "inf": math.inf}

@step
def lone_surrogate(data: str) -> str:
    return "\\ud800"

@step
def leave(data: str) -> str:
    sys.exit(0)
"""
COSTLY = """
from flujo_actors import Pipeline, UsageLimits, step

@step
def spend(data, *, usage):
    usage.charge(cost_usd=2.5)

pipeline = Pipeline("p", [spend], usage_limits=UsageLimits(total_cost_usd_limit=1))
"""
BOM_FREE_LATIN_1 = "Füße".encode("latin-1")


def test_the_output_goes_to_standard_output_and_all_else_to_standard_error(flujo: Flujo) -> None:
    outcome = flujo("run", "flow.py:pipeline", "--input", "3")
    assert (outcome.code, outcome.out) == (0, "12\n")
    assert "double#2: completed in" in outcome.err


def test_the_database_and_the_run_are_named_after_each_run(flujo: Flujo, folder: Path) -> None:
    outcome = flujo("run", "flow.py", "--input", "3")
    assert f"in {folder / 'runs.db'}" in outcome.err
    with SQLiteBackend(folder / "runs.db") as backend:
        (run,) = backend.list_runs()
    assert run.run_id in outcome.err


def test_a_pipeline_is_taken_by_the_name_pipeline_when_only_a_file_is_named(flujo: Flujo) -> None:
    assert flujo("run", "flow.py", "--input", "3").out == "12\n"


def test_a_single_step_runs_too(flujo: Flujo) -> None:
    assert flujo("run", "flow.py:shout", "--input", "hello").out == "HELLO\n"


def test_text_input_is_taken_as_it_is_and_a_file_after_an_at_sign(flujo: Flujo, folder: Path) -> None:
    (folder / "input.txt").write_text("from a file")
    assert flujo("run", "flow.py:shout", "--input", "@input.txt").out == "FROM A FILE\n"
    assert flujo("run", "flow.py:shout", "--input", "@@home").out == "@HOME\n"


def test_input_of_another_annotated_type_is_made_from_json(flujo: Flujo) -> None:
    assert flujo("run", "flow.py:total", "--input", '{"item": "nut", "count": 7}').out == "7 x nut\n"


def test_an_output_that_is_no_text_is_printed_as_json(flujo: Flujo) -> None:
    outcome = flujo("run", "flow.py:give_order", "--input", "nut")
    assert json.loads(outcome.out) == {"item": "nut", "count": 1}


def test_json_has_the_whole_result_and_nothing_else(flujo: Flujo, folder: Path) -> None:
    outcome = flujo("run", "flow.py", "--input", "3", "--json", "--trace")
    result = json.loads(outcome.out)
    assert outcome.err == ""
    assert (result["status"], result["output"], result["context"]) == ("completed", 12, {"seen": 2})
    assert [child["name"] for child in result["trace"]["children"]] == ["double", "double#2"]
    assert result["database"] == str(folder / "runs.db")


def test_a_failed_pipeline_exits_with_1_and_says_which_step_failed_and_why(flujo: Flujo) -> None:
    outcome = flujo("run", "flow.py:broken", "--input", "3")
    assert (outcome.code, outcome.out) == (1, "")
    assert "explode: attempt 1 failed, trying again" in outcome.err
    assert "explode: Agent execution failed with ValueError: boom in two lines" in outcome.err


def test_what_stands_in_an_error_cannot_control_the_terminal(flujo: Flujo) -> None:
    assert "\x1b" not in flujo("run", "flow.py:broken", "--input", "3").err


def test_a_failed_pipeline_as_json_says_so_in_its_failure(flujo: Flujo) -> None:
    outcome = flujo("run", "flow.py:broken", "--input", "3", "--json")
    failure = json.loads(outcome.out)["failure"]
    assert outcome.code == 1
    assert (failure["domain"], failure["step"], failure["attempt"]) == ("agent", "explode", 2)
    assert "ValueError: boom" in failure["traceback"]


def test_a_run_that_breaches_a_usage_limit_has_failed_and_is_shown_as_one(flujo: Flujo, folder: Path) -> None:
    (folder / "costly.py").write_text(COSTLY)
    outcome = flujo("run", "costly.py", "--input", "x")
    assert outcome.code == 1
    assert "Cost limit of $1 exceeded" in outcome.err
    assert f"in {folder / 'runs.db'}" in outcome.err
    outcome = flujo("run", "costly.py", "--input", "x", "--json")
    assert outcome.code == 1
    result = json.loads(outcome.out)
    assert (result["status"], result["total_cost_usd"]) == ("failed", 2.5)
    assert result["failure"]["domain"] == "usage_limit"


def test_a_timeout_bounds_the_run(flujo: Flujo) -> None:
    outcome = flujo("run", "flow.py:waiting", "--input", "3", "--timeout", "0.05")
    assert outcome.code == 1
    assert "Timed out after 0.05 s" in outcome.err


def test_a_context_is_made_of_the_class_that_the_steps_ask_for(flujo: Flujo) -> None:
    assert json.loads(flujo("run", "flow.py", "--input", "3", "--json").out)["context"] == {"seen": 2}


def test_a_context_can_be_named_as_an_object_or_as_what_makes_one(flujo: Flujo) -> None:
    outcome = flujo("run", "flow.py", "--input", "3", "--context", "notes", "--json")
    assert json.loads(outcome.out)["context"] == {"seen": 42}
    assert flujo("run", "flow.py:demand", "--input", "x", "--context", "ten_times").out == "x" * 10 + "\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.py"], "the file missing.py does not exist; name a Python file, FILE.py:pipeline"),
        (["."], "the file . is a folder; name a Python file, FILE.py:pipeline"),
        (["notes.txt"], "notes.txt is no Python file; name one, FILE.py:pipeline"),
        (["flow.py:nothing", "--input", "3"], "flow.py has no 'nothing'; it has double, wait, shout"),
        (["flow.py:number", "--input", "3"], "'number' in flow.py is no pipeline but of class int; it has double"),
        (["raising.py"], "importing raising.py raised ZeroDivisionError: division by zero (line 2)"),
        (["syntax.py"], "importing syntax.py raised SyntaxError: '(' was never closed"),
        (["leaving.py"], "importing leaving.py raised SystemExit: 3"),
        (["flow.py", "--input", "three"], "the pipeline takes an input of type int, and this is no JSON for one"),
        (["flow.py", "--input", "3.7"], "the pipeline takes an input of type int, and this is no JSON for one: "),
        (["flow.py", "--input", "true"], "the pipeline takes an input of type int, and this is no JSON for one: "),
        (["typed.py:join", "--input", "hello world"], "the pipeline takes an input of type list[str], and this is no"),
        (["typed.py:look_up", "--input", '{"a": "b"}'], "the pipeline takes an input of type dict[str, int], and"),
        (["flow.py:total", "--input", '{"count": 7}'], "the pipeline takes an input of type Order, and this is no"),
        (["flow.py", "--input", "3", "--timeout", "nan"], "Invalid value for '--timeout'"),
        (["flow.py", "--input", "3", "--timeout", "inf"], "Invalid value for '--timeout'"),
        (["flow.py"], "the pipeline takes an input of type int; give it with --input"),
        (["flow.py", "--input", "@missing"], "the input file missing cannot be read: No such file or directory"),
        (["flow.py:shout", "--input", "@latin"], "the input file latin is not UTF-8 text: byte 0xfc at offset 1"),
        (["flow.py:empty", "--input", "3"], "Pipeline 'empty' cannot run: the pipeline: a pipeline needs at least one"),
        (["flow.py:demand", "--input", "x"], "the context of the pipeline could not be made: TypeError"),
        (["flow.py", "--input", "3", "--context", "none"], "--context: flow.py has no 'none'"),
        (["flow.py", "--input", "3", "--timeout", "0"], "Invalid value for '--timeout'"),
        (["flow.py", "--input", "3", "--db", "."], "Database {folder}: it is a folder"),
        (["flow.py", "--input", "3", "--db", "notes.txt"], "Database {folder}/notes.txt: it is not an SQLite database"),
        (["flow.py", "--speed", "9"], "No such option '--speed'"),
    ],
)
def test_bad_usage_and_bad_input_give_one_line_and_exit_code_2(
    flujo: Flujo, folder: Path, words: list[str], message: str
) -> None:
    (folder / "raising.py").write_text("x = 1\ny = x / 0\n")
    (folder / "syntax.py").write_text("f(\n")
    (folder / "leaving.py").write_text("raise SystemExit(3)\n")
    (folder / "typed.py").write_text(TYPED)
    (folder / "latin").write_bytes(BOM_FREE_LATIN_1)
    (folder / "notes.txt").write_text("not a database, but mine\n" * 100)
    outcome = flujo("run", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.error_line.startswith("flujo: " + message.replace("{folder}", str(folder)))
    assert (folder / "notes.txt").read_text() == "not a database, but mine\n" * 100


def test_debug_shows_the_traceback(flujo: Flujo, folder: Path) -> None:
    (folder / "raising.py").write_text("1 / 0\n")
    with pytest.raises(Exception, match=r"importing raising\.py") as caught:
        flujo("--debug", "run", "raising.py")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_the_files_beside_the_pipeline_can_be_imported_also_one_called_storage(flujo: Flujo, folder: Path) -> None:
    (folder / "storage.py").write_text("GREETING = 'mine'\n")
    (folder / "beside.py").write_text(
        "from flujo_actors import step\nimport storage\n"
        "@step\nasync def pipeline(data: str) -> str:\n    return storage.GREETING\n"
    )
    assert flujo("run", "beside.py", "--input", "x").out == "mine\n"


@pytest.fixture
def typed(folder: Path) -> str:
    (folder / "typed.py").write_text(TYPED)
    return "typed.py"


def test_lists_and_models_are_made_from_json(flujo: Flujo, typed: str) -> None:
    assert flujo("run", f"{typed}:join", "--input", '["a", "b"]').out == "a+b\n"
    outcome = flujo("run", f"{typed}:grow", "--input", '{"item": "nut"}')
    assert json.loads(outcome.out) == {"item": "nut", "count": 2}


def test_what_json_lacks_is_written_as_text(flujo: Flujo, typed: str) -> None:
    outcome = flujo("run", f"{typed}:odd_values", "--input", "x", "--json")
    assert json.loads(outcome.out, parse_constant=pytest.fail)["output"] == {"nan": "NaN", "inf": "Infinity"}
    assert json.loads(flujo("run", f"{typed}:lone_surrogate", "--input", "x", "--json").out)["output"] == "\ud800"
    assert flujo("run", f"{typed}:lone_surrogate", "--input", "x").out == "\\ud800\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_an_agent_that_leaves_the_process_fails_the_command_with_one_line(
    flujo: Flujo, typed: str, options: list[str]
) -> None:
    outcome = flujo("run", f"{typed}:leave", "--input", "x", *options)
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1] == "flujo: an agent ended the run with SystemExit(0); let it raise"
