"""Running a pipeline for a command: interrupts, progress, the result, the exit code."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import FrameType
from typing import Any

import attrs
import click
import trio
from rich.console import Console
from rich.text import Text

from flujo_actors.cli.errors import AgentExitedError, ExitCode
from flujo_actors.cli.progress import NoProgress, Progress, ProgressLines, ProgressTree
from flujo_actors.cli.terminal import SHOW_CURSOR
from flujo_actors.cli.text import (
    as_json_value,
    closing_line,
    new_console,
    one_line,
    print_json,
    until_the_reader_leaves,
)
from flujo_actors.cli.traces import show_trace
from flujo_actors.control import open_control
from flujo_actors.errors import ControlUnavailableError, UsageLimitExceededError
from flujo_actors.nurseries import exceptions_in
from flujo_actors.results import PipelineResult
from flujo_actors.run import Run
from flujo_actors.spans import SpanStatus, failure_attributes
from flujo_actors.steps import AnyStep
from flujo_actors.storage import SQLiteBackend
from flujo_actors.system import System, open_system

INTERRUPTS = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.HUNG_UP,
}


@attrs.define
class Execution:
    """One run for the command line."""

    pipeline: AnyStep
    data: Any
    context: Any
    database: Path
    show_output: Callable[[Any, Console], None]
    """Shows the output to a person."""
    conclude: Callable[[PipelineResult[Any, Any]], Any] = attrgetter("output")
    """Makes of the result of a run that completed what is shown as its output."""
    output_to_json: Callable[[Any], Any] = as_json_value
    timeout: float | None = None
    as_json: bool = False
    with_trace: bool = False
    """Whether the trace is shown after the run."""
    interrupted_by: signal.Signals | None = None

    def run(self) -> int:
        """Run the pipeline, show what came out, and say what to exit with."""
        try:
            result = trio.run(self._run)
        except (SystemExit, BaseExceptionGroup) as error:
            left = _exit_in(error)
            if left is None:
                raise
            raise AgentExitedError(f"an agent ended the run with SystemExit({left.code!r}); let it raise") from error
        self._show(result)
        if self.interrupted_by is not None and result.status is SpanStatus.CANCELLED:
            return INTERRUPTS[self.interrupted_by]
        return ExitCode.SUCCESS if result.success else ExitCode.PIPELINE_FAILED

    async def _run(self) -> PipelineResult[Any, Any]:
        async with open_system(storage=SQLiteBackend(self.database)) as system, self._control(system):
            run = await system.start(self._limited(), self.data, context=self.context)
            with self._interrupts(run):
                await self._progress().show(run.events())
                return await _result_of(run)

    @asynccontextmanager
    async def _control(self, system: System) -> AsyncGenerator[None, None]:
        """Let the run be seen and stopped from other terminals. Where that cannot be, it runs all the same."""
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(open_control(system, self.database))
            except ControlUnavailableError as error:
                click.echo(f"warning: other terminals cannot see this run: {one_line(str(error))}", err=True)
            yield

    def _limited(self) -> AnyStep:
        """The pipeline with the limit of the command line, which bounds all its attempts together."""
        step, seconds = self.pipeline, self.timeout
        if seconds is None:
            return step
        total = seconds if step.retry.total_timeout is None else min(seconds, step.retry.total_timeout)
        timeout = seconds if step.timeout is None else min(seconds, step.timeout)
        return attrs.evolve(step, timeout=timeout, retry=attrs.evolve(step.retry, total_timeout=total))

    def _progress(self) -> Progress:
        if self.as_json:
            return NoProgress()
        console = new_console(stderr=True)
        return ProgressTree(console, self.pipeline.name) if console.is_terminal else ProgressLines(console)

    @contextmanager
    def _interrupts(self, run: Run[Any, Any]) -> Generator[None, None, None]:
        """The first Ctrl-C (or SIGTERM) cancels the run; the second ends the process, whatever an agent is doing."""
        token = trio.lowlevel.current_trio_token()

        def handle(number: int, frame: FrameType | None) -> None:
            del frame
            if self.interrupted_by is not None:
                if os.isatty(2):
                    os.write(2, SHOW_CURSOR)
                os._exit(INTERRUPTS[signal.Signals(number)])
            self.interrupted_by = signal.Signals(number)
            if os.isatty(2):
                os.write(2, b"\r\ncancelling; once more to stop at once\r\n")
            token.run_sync_soon(partial(run.cancel, reason=f"interrupted by {self.interrupted_by.name}"))

        # One that is ignored, as `nohup` has it, stays so.
        heeded = [number for number in INTERRUPTS if signal.getsignal(number) is not signal.SIG_IGN]
        before = {number: signal.signal(number, handle) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _show(self, result: PipelineResult[Any, Any]) -> None:
        if self.as_json:
            print_json(self._result_as_json(result))
            return
        console = new_console(stderr=True)
        with until_the_reader_leaves():
            if result.success and result.output is not None:
                self.show_output(self.conclude(result), new_console())
            if self.with_trace:
                show_trace(result.trace_tree, new_console())
        for line in _closing_lines(result, self.database):
            console.print(line, soft_wrap=True)

    def _output_as_json(self, result: PipelineResult[Any, Any]) -> Any:
        return self.output_to_json(self.conclude(result)) if result.success else as_json_value(result.output)

    def _result_as_json(self, result: PipelineResult[Any, Any]) -> dict[str, Any]:
        return {
            "run_id": result.run_id,
            "status": str(result.status),
            "output": self._output_as_json(result),
            "context": as_json_value(result.context),
            "failure": None if result.failure is None else failure_attributes(result.failure),
            "total_cost_usd": result.total_cost_usd,
            "total_tokens": result.total_tokens,
            "warnings": list(result.warnings),
            "database": str(self.database),
            **({"trace": result.trace_tree} if self.with_trace else {}),
        }


async def _result_of(run: Run[Any, Any]) -> PipelineResult[Any, Any]:
    """A run that spent too much has failed as others have: it is shown, with what it spent."""
    try:
        return await run.wait()
    except UsageLimitExceededError as error:
        result: PipelineResult[Any, Any] = error.result
        return result


def _exit_in(error: BaseException) -> SystemExit | None:
    """The `SystemExit` that an exception is, or has somewhere in it."""
    if isinstance(error, SystemExit):
        return error
    return next((found for each in exceptions_in(error) if (found := _exit_in(each)) is not None), None)


def _closing_lines(result: PipelineResult[Any, Any], database: Path) -> Iterator[Text]:
    """How it ended, what to know about it, and where to look it up."""
    root = result.spans[-1]
    seconds = (root.end_time or root.start_time) - root.start_time
    yield closing_line(result.status, seconds, result.total_cost_usd, result.total_tokens)
    if result.failure is not None:
        yield Text(one_line(str(result.failure)), style="red")
    for warning in result.warnings:
        yield Text(f"warning: {one_line(warning)}", style="yellow")
    yield Text(f"run {result.run_id} in {database}", style="dim")
