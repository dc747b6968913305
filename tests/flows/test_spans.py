"""Spans of OpenTelemetry: at a tracer that is configured, and at a real collector that the variables name."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from axiom.config import load_config
from axiom.flows.experiment import without_server
from axiom.flows.operation import Operation


def test_stages_are_spans_where_a_tracer_is_configured(tmp_path, monkeypatch):
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)  # set_tracer_provider sets it once and for all
    sets = ["modular.p=11", "sampling.samples_per_problem=2"]
    without_server(load_config("modular", sets, name="mine", iterations=1), str(tmp_path), Operation(gpu="never"))
    found = {
        (span.attributes.get("axiom.iteration"), span.name)
        for span in spans.get_finished_spans()
        if span.attributes.get("axiom.experiment") == "mine"
    }
    assert found >= {
        (None, "experiment"),
        (0, "generate"),
        (0, "sample eval"),
        (1, "sample train"),
        (1, "verify train"),
        (1, "train"),
    }


@pytest.mark.slow
def test_spans_reach_the_collector_that_the_variables_name(tmp_path):
    """In a process of its own: a tracer is set once and for all. The second run fails in its first iteration."""
    with collecting() as (address, spans):
        environment = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": address}
        subprocess.run([sys.executable, "-c", TRACED, str(tmp_path)], env=environment, check=True)
    named = {span.span_id: span for span in spans}
    above = {(span.name, named[span.parent_span_id].name if span.parent_span_id else "") for span in spans}
    assert above >= {
        ("experiment", ""),
        ("iteration", "experiment"),
        ("train", "iteration"),
        ("generate", "experiment"),
    }
    ended = [(span.status.code, [event.name for event in span.events]) for span in spans if span.name == "experiment"]
    assert ended == [(Status.STATUS_CODE_UNSET, []), (Status.STATUS_CODE_ERROR, ["exception"])]
    assert all(span.end_time_unix_nano > span.start_time_unix_nano for span in spans)


TRACED = """
import sys
from axiom.config import load_config
from axiom.flows.experiment import without_server
from axiom.flows.operation import Operation
from axiom.progress import listen

def fail(progress):
    if progress.stage == "done" and progress.iteration == 1:
        raise OSError("no more")

sets = ["modular.p=11", "sampling.samples_per_problem=2"]
without_server(load_config("modular", sets, name="whole", iterations=1), sys.argv[1], Operation(gpu="never"))
try:
    with listen(fail):
        without_server(load_config("modular", sets, name="broken", iterations=1), sys.argv[1], Operation(gpu="never"))
except OSError:
    pass
"""


@contextmanager
def collecting() -> Iterator[tuple[str, list[Span]]]:
    """The address of a collector, and the spans that reach it."""
    spans: list[Span] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in resource.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", spans
        server.shutdown()
