"""Runs as traces of OpenTelemetry. Needs the extra `otel`: `pip install 'flujo_actors[otel]'`.

    from flujo_actors.telemetry import OpenTelemetryObserver

    async with open_system(observers=[OpenTelemetryObserver()]) as system: ...

observer      an observer that emits a span for every step, as it runs
attributes    what of an event stands in a span: names, attributes, span events, as pure functions
ids           an id generator for the SDK: traces with the ids of runs

The rest of the library does not import this package. Providers, processors and exporters are the host's: it sets them
up, and flushes and shuts them down.
"""

from flujo_actors.errors import MissingExtraError

try:
    from flujo_actors.telemetry.ids import RunIdGenerator
    from flujo_actors.telemetry.observer import OpenTelemetryObserver
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "opentelemetry":
        raise
    raise MissingExtraError(__name__, "otel", error.name) from error

__all__ = ["OpenTelemetryObserver", "RunIdGenerator"]
