"""What watching a run costs: 100 steps in sequence with observers, among them the one that emits to OpenTelemetry.

    python benchmarks/telemetry.py

All variants take turns in one process; the figures are medians of CPU time per step, each step being one span. `loop`
is the CPU of the trio thread, `process` that of all threads, so it includes the exporter's, which takes the spans and
drops them. In the last row nobody observes, and each agent itself starts and ends a span with as many attributes: what
the SDK takes of the row before.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

import trio
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from step_overhead import STEPS, Timing, Variant, increment, pipeline_run

from flujo_actors import System, open_system
from flujo_actors.observers import BegunRun, Observer, RunObserver
from flujo_actors.telemetry import OpenTelemetryObserver


class Idle:
    """Watches every run and does nothing."""

    def run_begins(self, run: BegunRun) -> RunObserver:
        """Watch it."""
        del run
        return RunObserver()


class Dropping(SpanExporter):
    """Takes spans and drops them."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Drop them."""
        del spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is open."""


def batching() -> TracerProvider:
    """A provider with the processor that hosts use, its queue large enough for a round."""
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Dropping(), max_queue_size=8192))
    return provider


def spans_by_hand(system: System, provider: TracerProvider) -> Variant:
    """The same pipeline, unobserved, of agents that emit a span each with as many attributes as a step's has."""
    tracer = provider.get_tracer("by hand")
    starting = {f"flujo.starting{number}": "a text" for number in range(7)}
    ending = {f"flujo.ending{number}": "a text" for number in range(2)}

    async def traced_increment(number: int) -> int:
        span = tracer.start_span("step", attributes=starting, start_time=time.time_ns())
        number = await increment(number)
        span.set_attributes(ending)
        span.end(time.time_ns())
        return number

    return pipeline_run(system, traced_increment)


async def measure(rounds: int) -> list[Timing]:
    """Let the variants take turns."""
    providers = [batching(), TracerProvider(sampler=ALWAYS_OFF), batching()]
    observers: dict[str, list[Observer]] = {
        "no observer": [],
        "an observer that does nothing": [Idle()],
        "OpenTelemetry, no SDK": [OpenTelemetryObserver(trace.NoOpTracerProvider())],
        "SDK, nothing sampled": [OpenTelemetryObserver(providers[1])],
        "SDK, batch processor": [OpenTelemetryObserver(providers[0])],
    }
    async with AsyncExitStack() as stack:
        timings: list[Timing] = []
        for name, each in observers.items():
            system = await stack.enter_async_context(open_system(observers=each))
            timings.append(Timing(name, pipeline_run(system)))
        unobserved = await stack.enter_async_context(open_system())
        timings.append(Timing("no observer, spans by hand", spans_by_hand(unobserved, providers[2])))
        for round_number in range(rounds):
            shift = round_number % len(timings)
            for timing in timings[shift:] + timings[:shift]:
                await timing.measure()
    for provider in providers:
        await trio.to_thread.run_sync(provider.shutdown)
    return timings


def row(timing: Timing, alone: Timing) -> str:
    """The medians in microseconds per step, and what they are beyond those of a run that nobody watches."""
    loop, process = (statistics.median(each) / STEPS * 1e6 for each in (timing.loop, timing.process))
    beyond = loop - statistics.median(alone.loop) / STEPS * 1e6
    return f"{timing.name:31} {loop:7.1f} {process:8.1f} {beyond:8.1f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100, help="how often each variant runs (default: 100)")
    rounds: int = parser.parse_args().rounds
    timings = trio.run(measure, rounds)
    print(f"{STEPS} steps in sequence, median of {rounds} rounds, CPU microseconds per step")
    print(f"{'':31} {'loop':>7} {'process':>8} {'beyond':>8}")
    for timing in timings:
        print(row(timing, timings[0]))


if __name__ == "__main__":
    main()
