"""What ends a command early: one line for the user, and an exit code."""

from __future__ import annotations

import enum

import click


class ExitCode(enum.IntEnum):
    """What `flujo` exits with."""

    SUCCESS = 0
    PIPELINE_FAILED = 1
    BAD_USAGE = 2
    """Bad usage or input: nothing was run, or nothing was found."""
    INTERNAL_ERROR = 70
    """A bug of flujo's, `EX_SOFTWARE` in sysexits.h."""
    OUTPUT_FAILED = 74
    """What there was to print could not be written, `EX_IOERR` in sysexits.h."""
    INTERRUPTED = 130
    """By Ctrl-C: 128 + SIGINT."""
    HUNG_UP = 129
    """The terminal was closed: 128 + SIGHUP."""
    TERMINATED = 143
    """128 + SIGTERM."""


class AgentExitedError(click.ClickException):
    """An agent has left the process, by `sys.exit` for instance. The message is one line."""

    exit_code = ExitCode.PIPELINE_FAILED


class BadInputError(click.ClickException):
    """What the user named cannot be used. The message is one line that says what and why."""

    exit_code = ExitCode.BAD_USAGE
