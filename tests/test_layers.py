"""The layers that the package's docstring draws: imports run downward only."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
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


@functools.cache
def imported(path: Path) -> list[tuple[str, str]]:
    """All that a file imports anywhere in it, also for type checkers only: a module, and a name of it or none."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.extend((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            assert node.module is not None
            found.extend((node.module, alias.name) for alias in node.names)
    return found


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports; each name that it imports may be one too."""
    for module, name in imported(path):
        yield module
        if name:
            yield f"{module}.{name}"


def part_of(module: str) -> str:
    """The part of the package that a module belongs to, empty for the package itself."""
    return module.removeprefix("flujo_actors").removeprefix(".").partition(".")[0]


def imported_parts(module: str) -> set[str]:
    """The other parts of the package that a module imports."""
    inside = [name for name in imports(MODULES[module]) if name.startswith("flujo_actors")]
    return {part_of(name) for name in inside if part_of(name) in HEIGHT} - {part_of(module)}


def definer(module: str, name: str) -> str:
    """The module that defines a name of a module, however many packages hand it on from there."""
    path = MODULES.get(module)
    if path is not None and path.name == "__init__.py":
        for source, handed_on in imported(path):
            if handed_on == name:
                return definer(source, name)
        if f"{module}.{name}" in MODULES:
            return f"{module}.{name}"
    return module


def imported_names() -> dict[str, dict[str, list[str]]]:
    """For each module the others of the package that it imports, with the names that it has of each."""
    graph: dict[str, dict[str, list[str]]] = {module: {} for module in MODULES}
    for module, path in MODULES.items():
        for source, name in imported(path):
            other = definer(source, name)
            if other in MODULES and other != module:
                graph[module].setdefault(other, []).append(name)
    return graph


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The sets of nodes of which each leads to all others."""
    reached = {node: reachable(graph, node) for node in graph}
    found = {tuple(sorted(other for other in reached[node] if node in reached[other])) for node in graph}
    return [list(circle) for circle in sorted(found) if circle]


def reachable(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    """All nodes that some way leads to; the start too, if one leads back."""
    found: set[str] = set()
    ahead = list(graph[start])
    while ahead:
        node = ahead.pop()
        if node not in found:
            found.add(node)
            ahead.extend(graph[node])
    return found


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


def test_a_circle_is_found_whatever_hangs_on_it() -> None:
    assert circles({"a": "b", "b": "c", "c": "ad", "d": "e", "e": "", "f": "a", "g": "h", "h": "g"}) == [
        ["a", "b", "c"],
        ["g", "h"],
    ]


def test_imports_in_functions_and_for_type_checkers_count(tmp_path: Path) -> None:
    path = tmp_path / "late.py"
    path.write_text("if TYPE_CHECKING:\n    from a import b\ndef function() -> None:\n    import c\n")
    assert set(imports(path)) == {"a", "a.b", "c"}


def test_a_name_is_followed_to_where_it_is_defined() -> None:
    assert definer("flujo_actors", "ContextList") == "flujo_actors.context.collections"
    assert definer("flujo_actors.context", "merge") == "flujo_actors.context.branch"
    assert definer("flujo_actors.context", "paths") == "flujo_actors.context.paths"
    assert definer("flujo_actors.supervisors", "DEFAULT_ACTORS") == "flujo_actors.supervisors"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = imported_names()
    ties = [
        f"{module} imports {other}: {', '.join(names)}"
        for circle in circles(graph)
        for module in circle
        for other, names in graph[module].items()
        if other in circle
    ]
    assert not ties, "\n".join(ties)


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
