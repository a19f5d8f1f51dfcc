"""Every way to build and install the library gives all three packages, whatever modules the user has.

Nothing here needs a network: builds use the hatchling of this environment, and the new environments borrow its copies
of what `pyproject.toml` declares, and no more. So a module that imports an undeclared package fails here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Iterable, Mapping
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from packaging.requirements import Requirement

from flujo_actors import __version__

ROOT: Final = Path(__file__).parents[2]
LINKED_PACKAGES: Final = ("storage", "supervisors")

SCRIPT: Final = """
import json

import storage
import supervisors

import flujo_actors
import flujo_actors.storage
import flujo_actors.supervisors
from flujo_actors import run_pipeline, step
from flujo_actors.storage import SQLiteBackend


@step
async def double(number: int) -> int:
    return 2 * number


@step
async def describe(number: int) -> str:
    return f"it is {number}"


result = run_pipeline(double >> describe, 21, storage=SQLiteBackend("runs.db"))
with SQLiteBackend("runs.db") as backend:
    stored = {run.run_id: run.status.value for run in backend.list_runs()}
packages = [flujo_actors, flujo_actors.storage, flujo_actors.supervisors]
print(json.dumps({
    "owners": [storage.OWNER, supervisors.OWNER],
    "files": [package.__file__ for package in packages],
    "output": result.output,
    "stored": stored == {result.run_id: "completed"},
}))
"""
"""A user's program that sits beside modules named like our packages, and uses both."""


@attrs.frozen
class Built:
    """What the builds made of one copy of the checkout."""

    checkout: Path
    wheel: Path
    sdist: Path
    wheel_from_sdist: Path


@attrs.frozen
class Installed:
    """A new environment with the library in it, and where its packages are to be imported from."""

    environment: Path
    packages_in: Path
    user_folder: Path

    def run(self, program: str, *arguments: str) -> str:
        """What a program of the environment prints, started where the user's files are."""
        return run(self.environment / "bin" / program, *arguments, folder=self.user_folder)


def attempt(*command: str | Path, folder: Path, more_packages: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with none of this process's settings for Python, pip or flujo."""
    ignored = ("PYTHON", "PIP_", "XDG_", "FLUJO_", "VIRTUAL_ENV")
    settings = {name: value for name, value in os.environ.items() if not name.startswith(ignored)}
    settings["HOME"] = str(folder)
    if more_packages is not None:
        settings["PYTHONPATH"] = str(more_packages)
    return subprocess.run(
        command, cwd=folder, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def run(*command: str | Path, folder: Path, more_packages: Path | None = None) -> str:
    """What a command prints; it must succeed."""
    ended = attempt(*command, folder=folder, more_packages=more_packages)
    assert ended.returncode == 0, f"{command} failed:\n{ended.stdout}{ended.stderr}"
    return ended.stdout


def copy_checkout(destination: Path) -> Path:
    """A copy with the links as links, without environments, caches and what was built."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        hidden = {name for name in names if name.startswith(".") and Path(folder, name).is_dir()}
        return hidden | {"__pycache__", "build", "dist"}

    return shutil.copytree(ROOT, destination, symlinks=True, ignore=left_out)


def build(checkout: Path, output: Path, *options: str) -> None:
    # From an empty folder: `-m` looks for modules there first, and the checkout may have a folder named `build`.
    output.mkdir()
    run(sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", output, checkout, folder=output)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("built")
    checkout = copy_checkout(folder / "checkout")
    build(checkout, folder / "direct", "--wheel")
    build(checkout, folder / "through sdist")
    [wheel] = folder.glob("direct/*.whl")
    [sdist] = folder.glob("through sdist/*.tar.gz")
    [wheel_from_sdist] = folder.glob("through sdist/*.whl")
    return Built(checkout, wheel, sdist, wheel_from_sdist)


@pytest.fixture(scope="module", params=["folder", "editable", "wheel", "sdist", "wheel from sdist"])
def installed(request: pytest.FixtureRequest, built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    environment, packages_in = make_environment(folder, built.checkout)
    sources: dict[str, list[str | Path]] = {
        "folder": [built.checkout],
        "editable": ["--editable", built.checkout],
        "wheel": [built.wheel],
        "sdist": [built.sdist],
        "wheel from sdist": [built.wheel_from_sdist],
    }
    install(environment, *sources[request.param], build_tools=link_build_tools(folder, built.checkout))
    if request.param == "editable":
        packages_in = built.checkout
    return Installed(environment, packages_in, write_user_files(folder / "user"))


def make_environment(folder: Path, checkout: Path) -> tuple[Path, Path]:
    """A new environment that has the dependencies alone, and its folder for packages."""
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    [site_packages] = environment.glob("lib/python*/site-packages")
    dependencies = link_distributions(folder / "dependencies", read_settings(checkout)["project"]["dependencies"])
    # The folder of links holds neither the `.pth` file nor the metadata of a flujo_actors that is installed here.
    (site_packages / "borrowed.pth").write_text(f"{dependencies}\n")
    return environment, site_packages


def link_build_tools(folder: Path, checkout: Path) -> Path:
    return link_distributions(folder / "build tools", read_settings(checkout)["build-system"]["requires"])


def install(environment: Path, *source: str | Path, build_tools: Path) -> None:
    # Dependencies are not switched off: pip must find every one of them in the new environment.
    options = ("--isolated", "--no-index", "--no-build-isolation", "--no-cache-dir", "--disable-pip-version-check")
    pip = (sys.executable, "-m", "pip", "--python", environment / "bin" / "python")
    run(*pip, "install", *options, *source, folder=environment, more_packages=build_tools)


def read_settings(checkout: Path) -> Mapping[str, Any]:
    return tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))


def link_distributions(folder: Path, requirements: Iterable[str]) -> Path:
    """A folder of links to what this environment has installed for these requirements, and for theirs."""
    folder.mkdir()
    for found in find_distributions(requirements):
        for name in {file.parts[0] for file in found.files or ()} - {"..", "/", "__pycache__"}:
            if not (folder / name).exists():  # `opentelemetry` is a folder of many distributions
                (folder / name).symlink_to(str(found.locate_file(name)))
    return folder


def find_distributions(requirements: Iterable[str]) -> Iterable[Distribution]:
    found: dict[str, Distribution] = {}
    waiting = [Requirement(each) for each in requirements]
    while waiting:
        requirement = waiting.pop()
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and requirement.name not in found:
            found[requirement.name] = distribution(requirement.name)
            waiting += [Requirement(each) for each in found[requirement.name].requires or ()]
    return found.values()


def write_user_files(folder: Path) -> Path:
    folder.mkdir()
    (folder / "program.py").write_text(SCRIPT)
    for name in LINKED_PACKAGES:
        (folder / f"{name}.py").write_text("OWNER = 'user'\n")
    return folder


def package_files(checkout: Path) -> set[str]:
    """What the library consists of, by the names that it is installed under."""
    paths = [path.relative_to(checkout) for path in (checkout / "flujo_actors").rglob("*.py")]
    paths += [path.relative_to(checkout) for path in (checkout / "flujo_actors/exports/page").iterdir()]
    for name in LINKED_PACKAGES:
        paths += [Path("flujo_actors", path.relative_to(checkout)) for path in (checkout / name).rglob("*.py")]
    samples = checkout / "flujo_actors" / "demos" / "samples"
    paths += [path.relative_to(checkout) for path in samples.iterdir() if path.is_file()]
    return {path.as_posix() for path in paths} | {"flujo_actors/py.typed"}


def read_wheel(wheel: Path) -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(wheel) as archive:
        return sorted((name, archive.read(name)) for name in archive.namelist())


def read_sdist(sdist: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(sdist) as archive:
        return archive.getmembers()


def test_the_wheel_holds_the_files_of_the_three_packages_each_once_and_nothing_else(built: Built) -> None:
    expected = package_files(built.checkout)
    assert "flujo_actors/exports/page/page.html" in expected
    assert {f"flujo_actors/{name}/__init__.py" for name in LINKED_PACKAGES} < expected
    metadata = f"flujo_actors-{__version__}.dist-info"
    described_by = {f"{metadata}/{name}" for name in ("METADATA", "RECORD", "WHEEL", "entry_points.txt")}
    names = [name for name, _ in read_wheel(built.wheel)]
    assert names == sorted(expected | described_by | {f"{metadata}/licenses/LICENSE"})


def test_the_sdist_holds_files_where_the_checkout_has_links_each_once_and_nothing_of_the_tests(built: Built) -> None:
    members = read_sdist(built.sdist)
    about = {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "hatch_build.py", "pyproject.toml"}
    expected = {f"flujo_actors-{__version__}/{name}" for name in package_files(built.checkout) | about}
    assert sorted(member.name for member in members) == sorted(expected)
    assert [member.name for member in members if not member.isfile()] == []


def test_the_wheel_built_from_the_sdist_is_the_wheel_built_from_the_checkout(built: Built) -> None:
    assert read_wheel(built.wheel_from_sdist) == read_wheel(built.wheel)


def test_the_packages_work_beside_the_users_own_modules_of_the_same_names(installed: Installed) -> None:
    report = json.loads(installed.run("python", "program.py"))
    assert report["owners"] == ["user", "user"]
    assert report["output"] == "it is 42"
    assert report["stored"]
    packages = installed.packages_in / "flujo_actors"
    imported = [packages, *(packages / name for name in LINKED_PACKAGES)]
    assert [Path(file).parent for file in report["files"]] == imported


def test_the_flujo_command_states_the_version(installed: Installed) -> None:
    assert __version__ in installed.run("flujo", "--version")


def test_the_flujo_command_is_also_the_module(installed: Installed) -> None:
    assert __version__ in installed.run("python", "-m", "flujo_actors", "--version")


def test_the_flujo_command_exports_a_trace_as_a_page_made_of_the_installed_parts(installed: Installed) -> None:
    installed.run("python", "program.py")
    page = installed.run("flujo", "lens", "export", "latest", "--db", "runs.db", "--format", "html")
    assert page.startswith("<!doctype html>")
    assert "describe" in page


def test_the_flujo_command_lists_the_demos(installed: Installed) -> None:
    assert "documents" in installed.run("flujo", "demo", "list")


@pytest.mark.parametrize("name", ["summary", "fallback"])
def test_a_demo_finds_the_samples_that_it_works_on(installed: Installed, name: str) -> None:
    assert str(installed.packages_in) in installed.run("flujo", "demo", name)


def test_telemetry_without_its_extra_is_refused_with_the_extra_s_name(installed: Installed) -> None:
    python = installed.environment / "bin" / "python"
    ended = attempt(python, "-c", "import flujo_actors.telemetry", folder=installed.user_folder)
    assert ended.returncode != 0
    assert ended.stderr.splitlines()[-1] == (
        "flujo_actors.errors.MissingExtraError: flujo_actors.telemetry needs opentelemetry, which is not installed: "
        "pip install 'flujo_actors[otel]'"
    )


def test_the_extra_otel_is_all_that_telemetry_needs(built: Built, tmp_path: Path) -> None:
    environment, site_packages = make_environment(tmp_path, built.checkout)
    extra = read_settings(built.checkout)["project"]["optional-dependencies"]["otel"]
    (site_packages / "extra.pth").write_text(f"{link_distributions(tmp_path / 'extra', extra)}\n")
    build_tools = link_build_tools(tmp_path, built.checkout)
    install(environment, f"flujo_actors[otel] @ {built.wheel.as_uri()}", build_tools=build_tools)
    emit = "from flujo_actors.telemetry import OpenTelemetryObserver as Observer; Observer(); print('emits')"
    assert run(environment / "bin" / "python", "-c", emit, folder=tmp_path) == "emits\n"


@pytest.mark.parametrize("target", ["wheel:standard", "wheel:editable", "sdist"])
@pytest.mark.parametrize("name", LINKED_PACKAGES)
def test_a_checkout_that_lost_a_link_is_not_built_and_says_why(target: str, name: str, tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / "checkout")
    link = checkout / "flujo_actors" / name
    link.unlink()
    link.write_text(f"../{name}")  # what git writes where it may not make links
    ended = attempt(sys.executable, "-m", "hatchling", "build", "--target", target, folder=checkout)
    assert ended.returncode != 0
    assert f"{link} is not a folder" in ended.stderr
    assert "git clone -c core.symlinks=true" in ended.stderr
    assert list(checkout.glob("dist/*")) == []


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="these files are not in a git checkout")
def test_the_links_are_committed_as_relative_links(tmp_path: Path) -> None:
    # `safe.directory`: who runs the tests need not own the checkout.
    paths = [f"flujo_actors/{name}" for name in LINKED_PACKAGES]
    git = ("git", "-c", "safe.directory=*", "-C", ROOT)
    listing = run(*git, "ls-files", "--stage", "--", *paths, folder=tmp_path).splitlines()
    committed = [(line.split()[0], line.split()[-1]) for line in listing]
    assert committed == [("120000", path) for path in paths]
    for name, path in zip(LINKED_PACKAGES, paths, strict=True):
        assert run(*git, "cat-file", "blob", f":{path}", folder=tmp_path) == f"../{name}"
