"""Contexts: every running step has its own branch of one typed object, and what it changed is merged back.

The package knows nothing of actors and steps, and could be used alone. From the outside in:

- `branch`: `open_branch`, `ContextBranch` (fork, adopt, delta, blame), `merge`.
- `collections`, `declare`, `rules`, `strategies`: what a user declares.
- `thaw`, `freeze`, `lazy`, `quick`, `resets`: from the sealed state to live objects and back; `protocols`: what live
  objects know of the first two.
- `nodes`, `state`, `tables`, `shapes`, `atoms`, `absent`: what the sealed state is made of; `equality`: when two values
  are the same.
- `changes`, `application`, `combine`, `merge`, `validation`: three-way merge.
- `delta`, `redo`: changes as data, and doing them again.
- `blame`, `written`, `paths`, `advice`.

How it works and why: docs/explanation/contexts.md.
"""

from flujo_actors.context.advice import Advice
from flujo_actors.context.blame import Origin
from flujo_actors.context.branch import ContextBranch, merge, open_branch
from flujo_actors.context.collections import ContextList, ContextMap, Log, plain
from flujo_actors.context.convert import configure_converter
from flujo_actors.context.declare import context
from flujo_actors.context.delta import Delta, Step
from flujo_actors.context.redo import apply_delta
from flujo_actors.context.rules import (
    Concatenate,
    Last,
    Max,
    MergeBy,
    MergeRule,
    Min,
    Shared,
    Sum,
    Union,
    merged_by,
)
from flujo_actors.context.strategies import MergeStrategy

__all__ = [  # noqa: RUF022 - grouped by what they are for
    # Branches
    "ContextBranch",
    "MergeStrategy",
    "Origin",
    "merge",
    "open_branch",
    # Declarations
    "Concatenate",
    "ContextList",
    "ContextMap",
    "Last",
    "Log",
    "Max",
    "MergeBy",
    "MergeRule",
    "Min",
    "Shared",
    "Sum",
    "Union",
    "context",
    "merged_by",
    # Data
    "Advice",
    "Delta",
    "Step",
    "apply_delta",
    "configure_converter",
    "plain",
]
