"""The commands put together, and how whatever goes wrong becomes one line and an exit code."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence

import click

from flujo_actors._version import __version__
from flujo_actors.cli.cancel import cancel
from flujo_actors.cli.demo import demo
from flujo_actors.cli.errors import ExitCode
from flujo_actors.cli.lens import lens
from flujo_actors.cli.ps import ps
from flujo_actors.cli.run import run
from flujo_actors.cli.text import one_line, print_whatever_the_encoding, until_the_reader_leaves
from flujo_actors.cli.watch import watch
from flujo_actors.errors import FlujoError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flujo")
@click.option("--debug", is_flag=True, help="Show the traceback of an error, not only its message.")
def flujo(*, debug: bool) -> None:
    """Run declarative pipelines, and read what they did.

    Exit codes: 0 success, 1 the pipeline failed, 2 bad usage or input, 74 the output could not be written, 130
    interrupted by Ctrl-C, 143 terminated.
    """
    del debug  # `main` looks for it, so that it also covers errors in the arguments


flujo.add_command(run)
flujo.add_command(demo)
flujo.add_command(lens)
flujo.add_command(ps)
flujo.add_command(cancel)
flujo.add_command(watch)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: the words after `flujo`; those of the process when `None`.

    Returns:
        The exit code. Errors are printed to standard error as one line.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    print_whatever_the_encoding()
    if words[:1] == ["--debug"]:
        return _invoke(words)
    try:
        return _invoke(words)
    except click.exceptions.NoArgsIsHelpError as help_page:
        click.echo(help_page.format_message())
        return ExitCode.BAD_USAGE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last stop before a traceback
        message, code = _explanation(error)
        click.echo(f"flujo: {one_line(message)}", err=True)
        return code


def _explanation(error: BaseException) -> tuple[str, int]:
    """What to say of an error, and what to exit with."""
    match error:
        case click.ClickException():
            return error.format_message(), error.exit_code
        case click.Abort() | KeyboardInterrupt():
            return "interrupted", ExitCode.INTERRUPTED
        case FlujoError():
            return str(error), ExitCode.BAD_USAGE
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG | errno.EIO, filename=None):
            return f"the output cannot be written: {error.strerror}", ExitCode.OUTPUT_FAILED
        case _:
            where = "flujo --debug shows where"
            return f"internal error: {type(error).__name__}: {error} ({where})", ExitCode.INTERNAL_ERROR


def _invoke(words: list[str]) -> int:
    # Not `flujo.main`: click would answer a closed pipe by exiting with 1.
    code: object = ExitCode.SUCCESS
    try:
        with until_the_reader_leaves(), flujo.make_context("flujo", words) as context:
            code = flujo.invoke(context)
    except click.exceptions.Exit as early:
        code = early.exit_code
    return code if isinstance(code, int) else ExitCode.SUCCESS
