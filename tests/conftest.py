"""How many examples hypothesis tries, the same ones each time: a run of the tests can be repeated exactly.

HYPOTHESIS_PROFILE=ci takes about a minute for the laws of contexts, the default a few seconds. `make fuzz` tries new
examples until stopped.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

for name, examples in {"default": 60, "ci": 450}.items():
    settings.register_profile(
        name, max_examples=examples, deadline=None, derandomize=True, suppress_health_check=_SLOW_IS_FINE
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# What is set for those who run the tests, for their terminals, their runs, their network, changes nothing here.
SET_BY_OTHERS = {"COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "FLUJO_DB"}
for name in tuple(os.environ):
    if name in SET_BY_OTHERS or name.startswith("OTEL_") or name.lower().endswith("_proxy"):
        del os.environ[name]


@pytest.fixture
def session_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of the test's own, where control sockets are put.

    It is in /tmp: the path of a socket has some hundred bytes at most, and pytest's own folders, or TMPDIR, more.
    """
    with tempfile.TemporaryDirectory(prefix="flujo-test-", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)
