"""Contexts: every running step has its own branch of one typed object, and what it changed is merged back.

The package knows nothing of actors. A `ContextBranch` wraps the user's object; `fork` gives a child an isolated
branch, `adopt` takes a child's writes in when the child has succeeded.
"""

from flujo_actors.context.branch import ContextBranch, open_branch

__all__ = ["ContextBranch", "open_branch"]
