"""Try the laws of contexts on new examples until stopped, and say how many there were: `make fuzz`."""

from __future__ import annotations

import importlib.util
import itertools
import sys
from pathlib import Path
from types import ModuleType

from hypothesis import HealthCheck, settings


def main() -> None:
    laws = _laws()
    properties = [value for name, value in vars(laws).items() if name.startswith("test_")]
    endless = settings(max_examples=500, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
    try:
        for law in itertools.cycle(properties):
            endless(law)()
            # Taking a number from a counter is the one way to read it, so each report takes one.
            print(f"\r{next(laws.EXAMPLES):,} examples", end="", flush=True)
    except KeyboardInterrupt:
        print(f"\r{next(laws.EXAMPLES):,} examples, all within the laws")


def _laws() -> ModuleType:
    specification = importlib.util.spec_from_file_location("test_laws", Path(__file__).with_name("test_laws.py"))
    assert specification is not None
    assert specification.loader is not None
    laws = importlib.util.module_from_spec(specification)
    sys.modules["test_laws"] = laws
    specification.loader.exec_module(laws)
    return laws


if __name__ == "__main__":
    main()
