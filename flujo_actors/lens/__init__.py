"""Reading traces: what a stored run can be asked. Pure functions over what `StateBackend.get_trace` gives.

tree         the trace as nodes that know their parent, and the figures that are a span's own
selection    choosing spans by status, name and path, and sorting them
figures      what spans of one name add up to: durations, costs, failures
blame        what made a run fail, and which step wrote a value of the context
comparison   how two runs differ, path by path
"""

from flujo_actors.lens.blame import Attribution, Blamed, failures_of, writers_of
from flujo_actors.lens.comparison import Comparison, Difference, compare
from flujo_actors.lens.figures import Figures, NameFigures
from flujo_actors.lens.selection import Order, Selection, matches_path
from flujo_actors.lens.tree import SpanNode, TraceTree

__all__ = [
    "Attribution",
    "Blamed",
    "Comparison",
    "Difference",
    "Figures",
    "NameFigures",
    "Order",
    "Selection",
    "SpanNode",
    "TraceTree",
    "compare",
    "failures_of",
    "matches_path",
    "writers_of",
]
