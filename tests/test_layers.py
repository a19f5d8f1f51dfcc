"""The layers that the package's docstring draws: imports run downward only."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import flujo_actors

ROOT = Path(flujo_actors.__file__).parent.parent

LAYERS = [
    {"cli", "demos", "testing", "telemetry", "__main__"},
    {"control"},
    {"system", "run"},
    {"supervisors", "storage", "actors"},
    {"actor", "mailbox", "messages", "clock", "nurseries", "resources", "watching"},
    {"lens", "exports"},
    {
        "steps",
        "context",
        "results",
        "spans",
        "events",
        "observers",
        "failures",
        "caching",
        "fingerprints",
        "options",
        "snapshots",
        "capture",
        "plain",
        "limits",
        "usage",
        "errors",
        "frozen",
        "_version",
    },
]
"""From the top down, by the first name below `flujo_actors`."""

HEIGHT = {name: -level for level, names in enumerate(LAYERS) for name in names}


def files() -> dict[str, Path]:
    """Every module of the package by its dotted name; the two linked folders are read where they lie."""
    folders = {"flujo_actors": ROOT / "flujo_actors"}
    for linked in ("supervisors", "storage"):
        folders[f"flujo_actors.{linked}"] = ROOT / "flujo_actors" / linked
    found: dict[str, Path] = {}
    for package, folder in folders.items():
        for path in folder.rglob("*.py"):
            parts = [part for part in path.relative_to(folder).with_suffix("").parts if part != "__init__"]
            found[".".join([package, *parts])] = path
    return found


MODULES = files()


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports anywhere in it, those for type checkers only included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part_of(module: str) -> str:
    """The part of the package that a module belongs to, empty for the package itself."""
    return module.removeprefix("flujo_actors").removeprefix(".").partition(".")[0]


def imported_parts(module: str) -> set[str]:
    """The other parts of the package that a module imports."""
    inside = [name for name in imports(MODULES[module]) if name.startswith("flujo_actors")]
    return {part_of(name) for name in inside if part_of(name) in HEIGHT} - {part_of(module)}


def test_every_module_is_in_a_layer() -> None:
    assert {part_of(module) for module in MODULES} - {""} <= HEIGHT.keys()
    assert {"flujo_actors.supervisors.leaf", "flujo_actors.storage.sqlite", "flujo_actors.mailbox"} <= MODULES.keys()


@pytest.mark.parametrize("module", [module for module in MODULES if part_of(module)])
def test_imports_run_downward(module: str) -> None:
    upward = {part for part in imported_parts(module) if HEIGHT[part] > HEIGHT[part_of(module)]}
    assert upward == set()


@pytest.mark.parametrize(
    ("part", "foreign"),
    [
        ("supervisors", {"storage", "actors", "run", "system"}),
        ("storage", {"supervisors", "actors", "run", "system"}),
        ("actors", {"supervisors", "storage", "steps", "context", "run", "system"}),
        ("steps", {"supervisors", "storage", "actor", "mailbox", "messages"}),
        ("context", {"supervisors", "storage", "actor", "mailbox", "messages", "steps"}),
        ("mailbox", {"actor", "messages", "results", "spans", "steps"}),
        ("actor", {"messages", "results", "spans", "steps"}),
        ("lens", HEIGHT.keys() - {"lens", "spans", "context"}),
        ("exports", HEIGHT.keys() - {"exports", "lens", "spans", "_version"}),
        ("errors", HEIGHT.keys() - {"errors"}),
    ],
)
def test_parts_that_do_not_know_each_other(part: str, foreign: set[str]) -> None:
    known = set[str]().union(*(imported_parts(module) for module in MODULES if part_of(module) == part))
    assert known & foreign == set()


def test_plain_data_and_policies_do_not_import_trio() -> None:
    pure = [module for module in MODULES if HEIGHT.get(part_of(module)) in {HEIGHT["steps"], HEIGHT["lens"]}]
    pure += ["flujo_actors.supervisors.decisions", "flujo_actors.supervisors.recording"]
    pure_actors = ("endings", "events", "intensity", "messages", "specifications", "strategies")
    pure += [f"flujo_actors.actors.{name}" for name in pure_actors]
    assert [module for module in pure if "trio" in imports(MODULES[module])] == []


def test_nothing_imports_asyncio() -> None:
    roots = {module: {name.partition(".")[0] for name in imports(path)} for module, path in MODULES.items()}
    assert [module for module, names in roots.items() if names & {"asyncio", "anyio"}] == []


def test_only_telemetry_imports_opentelemetry_and_nothing_imports_telemetry() -> None:
    others = {module: set(imports(path)) for module, path in MODULES.items() if part_of(module) != "telemetry"}
    assert [
        module
        for module, names in others.items()
        if any(name.startswith(("opentelemetry", "flujo_actors.telemetry")) for name in names)
    ] == []


def test_the_linked_packages_are_imported_by_one_name() -> None:
    roots = {module: {name.partition(".")[0] for name in imports(path)} for module, path in MODULES.items()}
    assert [module for module, names in roots.items() if names & {"supervisors", "storage"}] == []


def test_the_docstring_draws_these_layers() -> None:
    lines = (flujo_actors.__doc__ or "").splitlines()
    drawn = [set(re.findall(r"\w+", line)) for line in lines if line.startswith("    ")]
    assert len(drawn) == len(LAYERS)
    for words, names in zip(drawn, LAYERS, strict=True):
        assert (
            names
            - {
                "__main__",
                "_version",
                "nurseries",
                "watching",
                "caching",
                "fingerprints",
                "frozen",
                "options",
                "resources",
                "snapshots",
            }
            - {"capture", "plain"}
            <= words
        )
