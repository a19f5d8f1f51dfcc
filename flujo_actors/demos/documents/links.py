"""Dead links: relative links and images that point to a missing file, or to a heading that is not there.

Only links whose target can be looked up beside the document are judged. Left alone are addresses with a scheme
(`https:`, `mailto:`), those that begin with `/` (only the site knows its root), and anchors of files that are not
Markdown. Markdown's own links, images and references are found, and `href` and `src` in raw HTML.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from typing import Final, Protocol

import attrs

from flujo_actors.demos.texts.markup import Link

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@attrs.frozen
class DeadLink:
    """A link that leads nowhere."""

    target: str
    """As it stands in the document, percent signs decoded."""
    line: int
    """Counted from 1."""
    problem: str
    """What is missing."""


class Surroundings(Protocol):
    """What lies around a document. Paths are relative to the report's folder, with `/` between their parts."""

    def exists(self, path: str) -> bool:
        """Whether there is a file or folder."""
        ...

    def anchors(self, path: str) -> frozenset[str] | None:
        """The anchors of a Markdown file, `None` when they cannot be known."""
        ...


def dead_links(name: str, links: Iterable[Link], surroundings: Surroundings) -> tuple[DeadLink, ...]:
    """The links of a document that lead nowhere, in order.

    Args:
        name: the document's path below the report's folder.
        links: its links.
        surroundings: what the links may lead to.
    """
    judged = ((link, _problem(name, link.target, surroundings)) for link in links if _is_relative(link.target))
    return tuple(DeadLink(link.target, link.line, problem) for link, problem in judged if problem is not None)


def _is_relative(target: str) -> bool:
    return bool(target) and not target.startswith("/") and _SCHEME.match(target) is None


def _problem(name: str, target: str, surroundings: Surroundings) -> str | None:
    address, _, anchor = target.partition("#")
    beside = address.partition("?")[0]
    path = posixpath.normpath(posixpath.join(posixpath.dirname(name), beside)) if beside else name
    if not surroundings.exists(path):
        return f"no file {path!r}"
    if not _is_missing(anchor, path, surroundings):
        return None
    return f"no heading '#{anchor}' in {path!r}"


def _is_missing(anchor: str, path: str, surroundings: Surroundings) -> bool:
    if anchor in {"", "top"}:
        return False
    anchors = surroundings.anchors(path)
    return anchors is not None and anchor not in anchors
