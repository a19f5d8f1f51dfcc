"""The public surface: every exported name resolves and says what it is."""

from __future__ import annotations

import importlib
import inspect
from importlib import resources
from types import ModuleType

import pytest

PACKAGES = [
    "flujo_actors",
    "flujo_actors.supervisors",
    "flujo_actors.storage",
    "flujo_actors.steps",
    "flujo_actors.actors",
    "flujo_actors.control",
    "flujo_actors.testing",
    "flujo_actors.telemetry",
]


def exported(package: ModuleType) -> dict[str, object]:
    return {name: getattr(package, name) for name in package.__all__}


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_sorted_unique_and_resolves(package: str) -> None:
    module = importlib.import_module(package)
    names: list[str] = module.__all__
    assert len(set(names)) == len(names)
    assert all(hasattr(module, name) for name in names)


@pytest.mark.parametrize("package", PACKAGES)
def test_nothing_public_is_left_out(package: str) -> None:
    module = importlib.import_module(package)
    defined = {
        name
        for name, value in vars(module).items()
        if (inspect.isclass(value) or inspect.isfunction(value))
        and not name.startswith("_")
        and value.__module__.startswith(package)
    }
    assert defined == {name for name in defined if name in module.__all__}


@pytest.mark.parametrize("package", PACKAGES)
def test_everything_public_has_a_docstring_of_its_own(package: str) -> None:
    bare: list[str] = []
    for name, value in exported(importlib.import_module(package)).items():
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        if not value.__doc__:
            bare.append(name)
        if inspect.isclass(value):
            bare += [
                f"{name}.{member}"
                for member, function in vars(value).items()
                if not member.startswith("_")
                and (inspect.isfunction(function) or isinstance(function, property))
                and not inspect.getdoc(function)
            ]
    assert bare == []


def test_the_package_is_typed() -> None:
    assert resources.files("flujo_actors").joinpath("py.typed").is_file()
