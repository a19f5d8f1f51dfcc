"""Two branches count in one field: refused until the field says how its writes combine."""

from collections.abc import Mapping
from typing import Annotated, Any

import attrs

from flujo_actors.context import MergeStrategy, Sum, merge, open_branch
from flujo_actors.errors import MergeConflictError


@attrs.define
class Undeclared:
    spent: int = 0


@attrs.define
class Budget:
    spent: Annotated[int, Sum()] = 0


def best(context: Any, branches: Mapping[str, Any]) -> None:
    context.spent = max(branch.spent for branch in branches.values())


def spend(context: Undeclared | Budget, strategy: Any = MergeStrategy.CONTEXT_UPDATE) -> int:
    parent = open_branch(context)
    branches = [(name, parent.fork(), None) for name in ("draft", "review")]
    for _, branch, _ in branches:
        branch.context.spent += 5
    merge(parent, branches, strategy=strategy)
    spent: int = parent.publish().spent
    return spent


def main() -> None:
    try:
        spend(Undeclared())
    except MergeConflictError as error:
        print(error.conflicts[0].path, error.conflicts[0].branches, error.conflicts[0].values)
    print("declared:", spend(Budget()))
    print("the best:", spend(Undeclared(), strategy=best))
    print("keep first:", spend(Undeclared(), strategy=MergeStrategy.KEEP_FIRST))


if __name__ == "__main__":
    main()
