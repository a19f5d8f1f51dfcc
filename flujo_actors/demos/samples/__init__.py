"""Files that the demos work on when nothing else is named: the folder of a weather club, not all of it sound."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SAMPLES: Final = Path(__file__).parent
"""The folder."""
