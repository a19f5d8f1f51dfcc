"""Which database file a command uses."""

from __future__ import annotations

from pathlib import Path

import click
import platformdirs

from flujo_actors.cli.errors import BadInputError
from flujo_actors.storage import SQLiteBackend


def default_database() -> Path:
    """Where the user's runs are kept by the platform's convention."""
    return platformdirs.user_state_path("flujo") / "runs.db"


database_option = click.option(
    "--db",
    "database",
    type=click.Path(path_type=Path),
    envvar="FLUJO_DB",
    show_envvar=True,
    help="The database file. Default: runs.db in your state directory.",
)


def database_to_write(given: Path | None) -> Path:
    """The file that a run is stored in; created when it is not there."""
    return default_database() if given is None else given


def open_to_read(given: Path | None) -> SQLiteBackend:
    """The database of past runs.

    Raises:
        BadInputError: there is no such file yet.
        DatabaseUnusableError: it is no database of runs.
    """
    return _open(given, read_only=True)


def open_to_change(given: Path | None) -> SQLiteBackend:
    """The database of past runs, to delete some of them.

    Raises:
        BadInputError: there is no such file yet.
        DatabaseUnusableError: it is no database of runs, or may not be written.
    """
    return _open(given, read_only=False)


def _open(given: Path | None, *, read_only: bool) -> SQLiteBackend:
    path = default_database() if given is None else given
    if is_missing(path):
        raise BadInputError(f"there is no database {path} yet; `flujo run` and `flujo demo` make one")
    backend = SQLiteBackend(path, read_only=read_only)
    backend.open()
    return backend


def is_missing(database: Path) -> bool:
    """Whether there is no such file. One that may not be looked at is there: opening it will say what is wrong."""
    try:
        database.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False
