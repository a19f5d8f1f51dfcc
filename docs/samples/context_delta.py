"""What a step changed, stored as JSON and applied to another copy of the context."""

import json

import attrs
import cattrs

from flujo_actors.context import Delta, apply_delta, open_branch


@attrs.define
class Notes:
    lines: list[str] = attrs.Factory(lambda: ["first"])
    done: bool = False


def main() -> None:
    branch = open_branch(Notes())
    branch.context.lines.append("second")
    branch.context.done = True
    stored = json.dumps(cattrs.unstructure(branch.delta()))

    replayed = open_branch(Notes())
    apply_delta(replayed, cattrs.structure(json.loads(stored), Delta))
    print(replayed.publish())


if __name__ == "__main__":
    main()
