"""Answers as OpenTelemetry spans, for whoever collects them. Off unless the standard variables name a collector.

The GenAI conventions are still in development, so the few names that are sent are pinned here, with their version.
Content is never among them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Any

from tuneworthy.errors import MissingExtra
from tuneworthy.models.openai_compatible import require_allowed
from tuneworthy.records import Trace
from tuneworthy.usecase import Privacy

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
"""version of the semantic conventions that the names are taken from"""
VARIABLES = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""where the collector is, as OpenTelemetry names it: the whole address, or its beginning before /v1/traces"""


def attributes(trace: Trace) -> dict[str, Any]:
    """What is sent of an answer."""
    usage, choices = trace.response.get("usage"), trace.response.get("choices")
    tokens = usage if isinstance(usage, dict) else {}
    first = choices[0] if isinstance(choices, list) and choices else {}
    finish = first.get("finish_reason") if isinstance(first, dict) else None
    found = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "tuneworthy",
        "gen_ai.request.model": trace.alias,
        "gen_ai.response.model": trace.release,
        "gen_ai.response.id": trace.id,
        "gen_ai.response.finish_reasons": None if finish is None else (str(finish),),
        "gen_ai.usage.input_tokens": tokens.get("prompt_tokens"),
        "gen_ai.usage.output_tokens": tokens.get("completion_tokens"),
        "error.type": None if trace.outcome == "ok" else trace.outcome,
    }
    return {name: value for name, value in found.items() if value is not None}


class Spans:
    """Sends a span for each trace, from a queue and a thread of the SDK."""

    def __init__(self, exporter: Any) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create({"service.name": "tuneworthy", "service.version": version("tuneworthy")}, SCHEMA)
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("tuneworthy", schema_url=SCHEMA)

    def send(self, trace: Trace) -> None:
        """Hand a span over; never waits for the collector."""
        from opentelemetry.trace import SpanKind, Status, StatusCode

        started = int(datetime.fromisoformat(trace.when).timestamp() * 1e9)
        span = self._tracer.start_span(
            f"chat {trace.alias}", kind=SpanKind.SERVER, attributes=attributes(trace), start_time=started
        )
        if trace.outcome != "ok":
            span.set_status(Status(StatusCode.ERROR, trace.outcome))
        span.end(started + int(trace.seconds * 1e9))

    def close(self) -> None:
        """Send what waits, and end."""
        self._provider.shutdown()


def from_environment(privacy: Privacy, environment: Mapping[str, str] = os.environ) -> Spans | None:
    """None where no collector is named.

    Raises:
        MissingExtra: a collector is named, and the SDK is not installed.
        PrivacyRefused: the collector is a host that the use case forbids.
    """
    named = [environment[name] for name in VARIABLES if environment.get(name)]
    if not named:
        return None
    for address in named:
        require_allowed(address, privacy)
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    except ImportError:
        raise MissingExtra("opentelemetry-exporter-otlp-proto-http", "otel") from None
    return Spans(OTLPSpanExporter())
