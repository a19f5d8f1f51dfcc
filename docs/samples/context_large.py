"""A large context: with `@context`, a step costs what it changes."""

from typing import Any

import attrs

from flujo_actors.context import ContextMap, context, open_branch, plain


@context
class Library:
    pages: dict[str, str] = attrs.Factory(dict[str, str])
    seen: list[str] = attrs.Factory(list[str])


def main() -> None:
    parent = open_branch(Library({f"page-{number}": "text" for number in range(100_000)}))
    for number in range(3):
        child = parent.fork()
        live: Any = child.context
        live.pages[f"new-{number}"] = "more"  # stores one key, whatever the size
        live.seen.append(f"new-{number}")
        parent.adopt(child)
    result = parent.publish()
    print(type(parent.context.pages) is ContextMap, len(result.pages), plain(result.seen))


if __name__ == "__main__":
    main()
