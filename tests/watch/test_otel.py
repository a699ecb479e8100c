"""Spans: off by default, refused where they may not go, and what a collector receives over OTLP.

The SDK lives in `.venv-peers`: see tests/exchange/test_exports.py.
"""

import json
import os
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tuneworthy.errors import MissingExtra, PrivacyRefused
from tuneworthy.records import Trace
from tuneworthy.watch import otel

ROOT = Path(__file__).parents[2]
PEERS = ROOT / ".venv-peers" / "bin" / "python"

COLLECTED = """
import gzip, json, os, threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv.schemas import Schemas
from tuneworthy.records import Trace
from tuneworthy.watch import otel

got = []

class Collector(BaseHTTPRequestHandler):
    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"]))
        raw = gzip.decompress(raw) if self.headers.get("content-encoding") == "gzip" else raw
        request = ExportTraceServiceRequest.FromString(raw)
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    values = {a.key: a.value.string_value or a.value.int_value or
                              [v.string_value for v in a.value.array_value.values] for a in span.attributes}
                    got.append({"path": self.path, "schema": scope.schema_url, "name": span.name, "values": values,
                                "seconds": (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                                "status": span.status.code})
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args): ...

server = HTTPServer(("127.0.0.1", 0), Collector)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
spans = otel.from_environment("on_premises")
for line in json.loads(os.environ["TRACES"]):
    spans.send(Trace(**line))
spans.close()
known = {getattr(gen_ai_attributes, name) for name in dir(gen_ai_attributes) if name.startswith("GEN_AI")}
print(json.dumps({"spans": got, "known": sorted(map(str, known)), "schema": list(Schemas)[-1].value}))
"""

GOOD = {
    "id": "chatcmpl-1", "when": "2026-11-25T12:00:00.000+00:00", "alias": "champion", "release": "small--v0001",
    "request": {"messages": [{"role": "user", "content": "SECRET"}]}, "seconds": 0.25,
    "response": {
        "choices": [{"message": {"content": "SECRET"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": 2},
    },
}  # fmt: skip
BAD = {**GOOD, "id": "chatcmpl-2", "outcome": "timeout", "response": {"error": "timeout"}}


def test_nothing_is_sent_unless_a_collector_is_named():
    assert otel.from_environment("any", {}) is None


def test_a_collector_elsewhere_is_refused_on_premises():
    with pytest.raises(PrivacyRefused):
        otel.from_environment("on_premises", {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example.com"})


@pytest.mark.skipif(find_spec("opentelemetry") is not None, reason="the SDK is here")
def test_without_the_sdk_the_extra_is_named():
    with pytest.raises(MissingExtra, match="opentelemetry"):
        otel.from_environment("on_premises", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"})


def test_no_content_is_among_what_is_sent():
    assert "SECRET" not in json.dumps(otel.attributes(Trace(**GOOD)))


@pytest.mark.skipif(not PEERS.exists(), reason="no .venv-peers with opentelemetry-sdk")
def test_a_collector_receives_the_pinned_names_and_no_content():
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TRACES": json.dumps([GOOD, BAD])}
    ran = subprocess.run(
        [PEERS, "-c", COLLECTED], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    good, bad = told["spans"]
    assert (good["path"], good["name"], good["seconds"], good["status"]) == ("/v1/traces", "chat champion", 0.25, 0)
    assert good["values"] == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "tuneworthy",
        "gen_ai.request.model": "champion",
        "gen_ai.response.model": "small--v0001",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 2,
    }
    assert (bad["values"]["error.type"], bad["status"]) == ("timeout", 2)
    assert set(good["values"]) <= set(told["known"])
    assert good["schema"] == otel.SCHEMA == told["schema"]
    assert "SECRET" not in ran.stdout
