"""The context of a run, which all branches write to at once."""

from __future__ import annotations

from typing import Annotated

import attrs

from flujo_actors.context import Sum, context
from flujo_actors.demos.files.finding import Selection
from flujo_actors.demos.inventory.kinds import Kind


@context
class Inventory:
    """What the analysers know together.

    A branch writes to a copy of its own. Counters say that they are summed up where branches meet; different keys of a
    dict combine by themselves, and so do names appended to one list.
    """

    selection: Selection = Selection("", "", ())
    """The files that were found."""
    kinds: dict[str, Kind] = attrs.Factory(dict[str, Kind])
    """What each file is, by name."""
    copies: dict[str, list[str]] = attrs.Factory(dict[str, list[str]])
    """The names of the files with one content, by its fingerprint."""
    size: Annotated[int, Sum()] = 0
    """Bytes of all files together."""
    words: Annotated[int, Sum()] = 0
    """Of all texts."""
    functions: Annotated[int, Sum()] = 0
    """Of all Python files."""
    rows: Annotated[int, Sum()] = 0
    """Of all tables and databases."""
    keys: Annotated[int, Sum()] = 0
    """Of all JSON and TOML files."""
    problems: int = 0
    """Files that could not be read, or not be analysed."""
