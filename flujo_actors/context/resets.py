"""What happens to a branch's live objects once all of them are sealed, or once sealing has failed.

Objects instead of closures: a closure would hold what it refers to in cells, which count as one more reference.
"""

from __future__ import annotations

from typing import Any

from flujo_actors.context.lazy import rebase, swap_instance_dict
from flujo_actors.context.nodes import Node
from flujo_actors.context.thaw import Thawer


class Rebind:
    """Point a live object that stays in use to its new node."""

    __slots__ = ("live", "node", "thawer")

    def __init__(self, thawer: Thawer, live: Any, node: Any) -> None:
        self.thawer, self.live, self.node = thawer, live, node

    def __call__(self) -> None:
        """Do it."""
        self.thawer.release(self.live)
        if isinstance(self.node, Node):
            self.thawer.bind(self.live, self.node)


class Drop:
    """Take a container that was sealed as it is out of an instance dict."""

    __slots__ = ("name", "parts", "thawer")

    def __init__(self, parts: dict[str, Any], name: str, thawer: Thawer | None) -> None:
        self.parts, self.name, self.thawer = parts, name, thawer

    def __call__(self) -> None:
        """Do it."""
        live = self.parts.pop(self.name)
        if self.thawer is not None:
            self.thawer.release(live)


class Rebase:
    """Point a lazy object to the record it was sealed as."""

    __slots__ = ("live", "node", "thawer")

    def __init__(self, live: Any, node: Any, thawer: Thawer | None) -> None:
        self.live, self.node, self.thawer = live, node, thawer

    def __call__(self) -> None:
        """Do it."""
        if self.thawer is None:
            object.__setattr__(self.live, "__flujo_source__", self.node)
        else:
            rebase(self.live, self.node, self.thawer)


class Restore:
    """Give a lazy object back what was taken from it."""

    __slots__ = ("live", "thawer", "touched")

    def __init__(self, live: Any, touched: dict[str, Any], thawer: Any) -> None:
        self.live, self.touched, self.thawer = live, touched, thawer

    def __call__(self) -> None:
        """Do it."""
        object.__setattr__(self.live, "__flujo_thawer__", self.thawer)
        swap_instance_dict(self.live, self.touched)
