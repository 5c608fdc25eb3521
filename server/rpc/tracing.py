"""
The span of a call, for OpenTelemetry.

A span is made when its call is over: all that it says is known then, and a call pays for one span
in one place. Needs the extra ``tracing``, so it is imported only where tracing is on.
"""

import time

from opentelemetry.context import Context as SpanContext
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from server.rpc.answers import answered_revision
from server.rpc.context import Context
from server.rpc.methods import STANDARD

# Codes that OpenTelemetry's conventions count as errors of a server.
_ERRORS = frozenset({"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"})
_PROPAGATOR = TraceContextTextMapPropagator()
_PARENT_HEADERS = ("traceparent", "tracestate")
_NO_PARENT = SpanContext()
_NANOSECONDS = 1_000_000_000


class CallTracer:
    """Makes a span for each call of the contract, by OpenTelemetry's conventions for gRPC."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer

    def record(self, method: str, code: str, seconds: float, context: Context, principal: str) -> None:
        """Make the span of a call that has just ended; gRPC's own services have none."""
        if method.startswith(STANDARD):
            return
        end = time.time_ns()
        name = method.removeprefix("/")
        attributes = {"rpc.system.name": "grpc", "rpc.method": name, "rpc.response.status_code": code}
        if code in _ERRORS:
            attributes["error.type"] = code
        if revision := answered_revision.get():
            attributes["depgraph.revision"] = revision
        if principal:
            attributes["depgraph.principal"] = principal
        span = self._tracer.start_span(
            name,
            _parent_of(context),
            SpanKind.SERVER,
            attributes,
            start_time=end - round(seconds * _NANOSECONDS),
        )
        if code in _ERRORS:
            span.set_status(Status(StatusCode.ERROR))
        span.end(end)


def _parent_of(context: Context) -> SpanContext:
    """Read the span that the caller names in ``traceparent``, if it does."""
    headers: dict[str, list[str]] = {}
    for key, value in context.invocation_metadata() or ():
        if key in _PARENT_HEADERS:
            headers.setdefault(key, []).append(str(value))
    return _PROPAGATOR.extract(headers, _NO_PARENT) if headers else _NO_PARENT
