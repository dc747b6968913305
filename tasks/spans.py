"""OpenTelemetry's spans of stages, under those of their iteration and experiment; they go nowhere unless configured.

A tracer that is there is used, as `opentelemetry-instrument` makes one. Otherwise OpenTelemetry's own variables name a
collector: OTEL_EXPORTER_OTLP_ENDPOINT, or the one for traces alone.
"""

import logging
import os
from contextlib import AbstractContextManager
from functools import cache
from typing import Any

from opentelemetry import trace

from axiom.progress import Progress, report

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
LONGEST_SECONDS = "5"
"""To wait for a collector that does not answer when the process ends; OTEL_EXPORTER_OTLP_TIMEOUT says otherwise."""


def span(name: str, experiment: str, iteration: int | None = None) -> AbstractContextManager[Any]:
    """A span of an experiment, of an iteration or of a stage; an error that leaves it is recorded."""
    _configure()
    attributes: dict[str, Any] = {"axiom.experiment": experiment}
    if iteration is not None:
        attributes["axiom.iteration"] = iteration
    return trace.get_tracer("axiom").start_as_current_span(name, attributes=attributes)


@cache
def _configure() -> None:
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return
    if not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        note = "OTEL_EXPORTER_OTLP_ENDPOINT needs packages to send spans: `pip install 'axiom-rl[otel]'`, or unset it"
        report(Progress(0, "warning", 1, 1, "", note=note))
        return
    log, told = logging.getLogger(OTLPSpanExporter.__module__), iter([True])
    log.setLevel(logging.ERROR)
    log.addFilter(lambda record: next(told, False))  # a collector that is away is told once, not at every batch
    os.environ.setdefault("OTEL_EXPORTER_OTLP_TIMEOUT", LONGEST_SECONDS)
    os.environ.setdefault("OTEL_SERVICE_NAME", "axiom")
    provider = TracerProvider(resource=Resource.create())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
