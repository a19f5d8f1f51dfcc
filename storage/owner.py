"""Which process runs a run, and whether it has died.

A process id alone is not enough: ids are used again, after a reboot all of them, and containers count their own.
So the owner is written down with what tells these apart. Linux says all of it in /proc; elsewhere only the
machine's name and the id are known. An owner counts as dead only when that is certain.
"""

from __future__ import annotations

import functools
import json
import os
import platform
from pathlib import Path

import attrs


@attrs.frozen
class Owner:
    """A process, told apart from every other."""

    machine: str
    """The machine's name and, where there is one, its installation's id."""
    boot: str | None
    """The kernel's id of the time since it was started; `None` where it has none."""
    namespace: str | None
    """Which numbering of processes `pid` belongs to: containers of one machine have their own."""
    pid: int
    """The process id."""
    started: str | None
    """When the process started, in the kernel's clock ticks; `None` where the kernel does not say."""

    def to_json(self) -> str:
        """The owner as `from_json` reads it."""
        return json.dumps(attrs.asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Owner:
        """The owner that `to_json` wrote."""
        return cls(**json.loads(text))


def current_owner() -> Owner:
    """This process."""
    return _this_process(os.getpid())


@functools.lru_cache(maxsize=1)
def _this_process(pid: int) -> Owner:
    """Read once in a process; `pid` is the key because a fork is another process with the same memory."""
    return Owner(
        machine=" ".join(filter(None, (platform.node(), _line_of("/etc/machine-id")))),
        boot=_line_of("/proc/sys/kernel/random/boot_id"),
        namespace=_target_of("/proc/self/ns/pid"),
        pid=pid,
        started=_start_of(pid),
    )


def has_died(owner: Owner) -> bool:
    """Whether the process is certainly no more. False also when nothing can be known, as on another machine."""
    here = current_owner()
    if owner.boot != here.boot:
        return owner.machine == here.machine and owner.boot is not None and here.boot is not None
    if owner.boot is None and owner.machine != here.machine:
        return False
    return owner.namespace == here.namespace and not _is_alive(owner)


def _is_alive(owner: Owner) -> bool:
    started = _start_of(owner.pid)
    if started is None or owner.started is None:
        return _exists(owner.pid)
    return started == owner.started


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)  # signal 0 is not sent, it asks
    except ProcessLookupError:
        return False
    except PermissionError:  # it is there and belongs to another user
        pass
    return True


def _start_of(pid: int) -> str | None:
    """When a process started, `None` where that cannot be read, "ended" for one that waits to be reaped."""
    stat = _line_of(f"/proc/{pid}/stat")
    if stat is None:
        return None
    # The program's name stands in parentheses and may hold any character, so the fields count from its end.
    fields = stat.rpartition(")")[2].split()
    state, started = fields[0], fields[19]
    return "ended" if state in {"Z", "X"} else started


def _line_of(path: str) -> str | None:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return None


def _target_of(link: str) -> str | None:
    try:
        return str(Path(link).readlink())
    except OSError:
        return None
