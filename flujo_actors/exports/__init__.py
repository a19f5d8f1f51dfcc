"""Traces in formats that other programs show. Pure functions from a trace to text.

html        one page that shows the trace by itself, in any browser; its parts are the files in `page`
perfetto    the Trace Event Format, for https://ui.perfetto.dev and chrome://tracing
otlp        OTLP/JSON, for whatever takes OpenTelemetry traces
run         what an export says of the run besides its trace
lanes       which track a span is drawn on, so that what overlaps in time does not overlap on the screen
"""

from flujo_actors.exports.html import export_html
from flujo_actors.exports.otlp import export_otlp_json
from flujo_actors.exports.perfetto import export_perfetto
from flujo_actors.exports.run import ExportedRun

__all__ = ["ExportedRun", "export_html", "export_otlp_json", "export_perfetto"]
