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

# What those who run the tests like on their own terminals, and where they keep their runs, changes nothing.
for name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "FLUJO_DB"):
    os.environ.pop(name, None)


@pytest.fixture
def session_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime folder of the test's own, where control sockets are put.

    It is in /tmp: the path of a socket has some hundred bytes at most, and pytest's own folders, or TMPDIR, more.
    """
    with tempfile.TemporaryDirectory(prefix="flujo-test-", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield Path(folder)
