"""Demos: pipelines that do something on files of yours, offline, run with `flujo demo NAME`.

`demo` says what a demo is; each package beside it is one, but for `files` and `texts`, which they share, and `samples`,
the data that some work on when nothing else is named.
"""

from __future__ import annotations

from typing import Final

from flujo_actors.demos.demo import Demo
from flujo_actors.demos.documents import DOCUMENTS
from flujo_actors.demos.fallback import FALLBACK
from flujo_actors.demos.inventory import INVENTORY
from flujo_actors.demos.summary import SUMMARY

DEMOS: Final = {demo.name: demo for demo in (DOCUMENTS, INVENTORY, SUMMARY, FALLBACK)}
"""The demos by name."""

__all__ = ["DEMOS", "Demo"]
