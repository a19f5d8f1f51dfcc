"""Control over the runs of another process, for `flujo ps`, `flujo watch` and `flujo cancel`.

server        `open_control`: a system's runs can be seen and stopped from outside
conversation  one client of the server
client        asking the servers of a database
protocol      what the two say to each other, as lines of JSON
encoding      events and actors as JSON values of a bounded size
addresses     where the sockets are
connections   who is at the other end, and the lines that come from there
"""

from flujo_actors.control.server import open_control

__all__ = ["open_control"]
