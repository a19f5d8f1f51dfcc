"""Frozen classes for what is made for every step.

`attrs.frozen` refuses assignments at run time too, and so has to set each field by `object.__setattr__`: the messages,
the result and the span of one step then cost as much to make as a fifth of a trio task. Here it is the type checkers
alone that refuse. What is not made for every step is `attrs.frozen`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from attrs import frozen as frozen  # noqa: PLC0414 - which exports it
else:
    frozen = partial(attrs.define, unsafe_hash=True)
