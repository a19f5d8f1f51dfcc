"""Build hook: refuse to build a wheel that would silently lack two of the three packages."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LINKED_PACKAGES = ("supervisors", "storage")


class LinkedPackagesHook(BuildHookInterface[Any]):
    """Checks that `flujo_actors/supervisors` and `flujo_actors/storage` are folders.

    In a checkout they are links to the folders at the top. A clone without symbolic links (Windows without
    `core.symlinks`) or some archives leave small text files in their place, which hatchling would package
    without a word.
    """

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raise when a linked package is not a folder.

        Args:
            version: hatchling's name for the kind of build, `standard` or `editable`.
            build_data: hatchling's build data, left as it is.

        Raises:
            RuntimeError: a link is missing or is a file.
        """
        del version, build_data
        for name in LINKED_PACKAGES:
            package = Path(self.root, "flujo_actors", name)
            if not (package / "__init__.py").is_file():
                message = (
                    f"{package} is not a folder with a package in it: this checkout lost its symbolic links. "
                    "Clone with `git clone -c core.symlinks=true`, or build from the sdist."
                )
                raise RuntimeError(message)
