"""What `flujo_actors.testing` drags along: no test framework, and nothing into programs that do not import it."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

USE_IT_WITHOUT_PYTEST: Final = """
import sys
sys.modules.update(dict.fromkeys(["pytest", "_pytest", "pytest_trio", "hypothesis"]))  # as if not installed
from flujo_actors import Step
from flujo_actors.testing import Reply, ScriptedAgent, assert_trace, run_in_mock_time
result = run_in_mock_time(Step("ask", ScriptedAgent(Reply("yes", after=60))), None)
assert_trace(result, "pipeline_run: completed\\n  ask: completed")
print(result.unwrap())
"""

WHAT_A_PROGRAM_IMPORTS: Final = """
import sys
import flujo_actors, flujo_actors.cli
print(*sys.modules, sep="\\n")
"""


def printed_by(script: str) -> list[str]:
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_it_works_without_a_test_framework() -> None:
    assert printed_by(USE_IT_WITHOUT_PYTEST) == ["yes"]


def test_a_program_that_does_not_import_it_imports_neither_it_nor_what_it_needs() -> None:
    modules = set(printed_by(WHAT_A_PROGRAM_IMPORTS))
    assert "flujo_actors.system" in modules
    assert modules & {"flujo_actors.testing", "trio.testing", "pytest"} == set()
