"""`flujo lens`: reading the runs of the past, and those that go on. A file for each command.

Besides these:

group     the commands put together
finding   which run is meant, and which runs
times     points in time and spans of time as they are written on the command line
failures  showing what a run failed of
follow    `trace --follow`
"""

from flujo_actors.cli.lens.group import lens

__all__ = ["lens"]
