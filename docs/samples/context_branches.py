"""Three branches write to their own copies of one context, and all of it comes together."""

import attrs

from flujo_actors.context import Origin, merge, open_branch


@attrs.define
class Report:
    title: str
    sections: list[str] = attrs.Factory(list[str])
    words: dict[str, int] = attrs.Factory(dict[str, int])


def main() -> None:
    report = Report("Quarter")
    parent = open_branch(report)

    names = ["sales", "costs", "risks"]
    branches = [(name, parent.fork(), Origin(step=f"report/{name}", branch=name)) for name in names]
    for name, branch, _ in branches:
        branch.context.sections.append(name.title())
        if name != "risks":
            branch.context.words[name] = 100 * len(name)

    merge(parent, branches)
    print(parent.publish())
    print(parent.blame("words['costs']"))
    print(report)  # the caller's object is as it was


if __name__ == "__main__":
    main()
