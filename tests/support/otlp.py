"""A real receiver of spans: OTLP over gRPC."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, cast

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.eventually import eventually

Values = dict[str, str]


class Parent:
    """The span of a caller."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.trace_id, self.span_id = secrets.token_hex(16), secrets.token_hex(8)
        self.metadata = (("traceparent", f"00-{self.trace_id}-{self.span_id}-0{int(sampled)}"),)


class Receiver(TraceServiceServicer):
    """Keeps the spans that it is sent, each with its resource."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.received: list[tuple[Span, Values]] = []

    def Export(self, request: pb.ExportTraceServiceRequest, _: Any) -> pb.ExportTraceServiceResponse:  # noqa: N802
        for of_resource in request.resource_spans:
            resource = values(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                self.received += [(span, resource) for span in of_scope.spans]
        return pb.ExportTraceServiceResponse()

    def spans(self, trace_id: str) -> list[Span]:
        """The spans of a trace until now."""
        return [span for span, _ in self.received if span.trace_id.hex() == trace_id]

    async def span(self, trace_id: str) -> Span:
        """Wait for the only span of a trace."""
        await eventually(lambda: bool(self.spans(trace_id)))
        [span] = self.spans(trace_id)
        return span

    def resource(self, of_span: Span) -> Values:
        """What sent the span."""
        [resource] = [resource for span, resource in self.received if span is of_span]
        return resource


def values(attributes: Any) -> Values:
    """Attributes by their names; all of ours are strings."""
    return {attribute.key: attribute.value.string_value for attribute in attributes}


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port."""
    receiver = Receiver()
    server = grpc.server(ThreadPoolExecutor(2))
    cast("Any", add_TraceServiceServicer_to_server)(receiver, server)
    receiver.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield receiver
    finally:
        server.stop(None).wait()
