"""MetricsService of OTLP, which exporters call."""

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceResponse,
)

from server.access.roles import check_source
from server.domain.caller import current_caller
from server.rpc.context import Context
from server.rpc.methods import EXPORT, Handler, Registrar
from server.rpc.otlp.receiver import OtlpReceiver
from server.rpc.otlp.series import Tally

_MOST_REASONS = 10


class MetricsServicer:
    """Takes the points of exporters in; its requests are bytes, read part by part."""

    def __init__(self, receiver: OtlpReceiver) -> None:
        self._receiver = receiver

    async def Export(self, request: bytes, context: Context) -> ExportMetricsServiceResponse:
        """
        Take points in, which are written within seconds.

        Bad points are no error: exporters would send the others again and again. The answer counts
        them, with the reasons.
        """
        caller = current_caller()
        check_source(caller, "otel_service_graph")
        return _answer(await self._receiver.take(request, caller, context.peer()))

    def register(self, registrar: Registrar) -> None:
        """Register the method; the generated function registers one that takes messages."""
        service, _, name = EXPORT.removeprefix("/").partition("/")
        handler: Handler = grpc.unary_unary_rpc_method_handler(
            self.Export, response_serializer=ExportMetricsServiceResponse.SerializeToString
        )
        registrar.add_registered_method_handlers(service, {name: handler})


def _answer(tally: Tally) -> ExportMetricsServiceResponse:
    if not tally.rejected:
        return ExportMetricsServiceResponse()
    reasons = [f"{count:,} with {reason}" for reason, count in tally.rejected.most_common(_MOST_REASONS)]
    return ExportMetricsServiceResponse(
        partial_success=ExportMetricsPartialSuccess(
            rejected_data_points=tally.rejected.total(),
            error_message=f"depgraph can't use some points: {'; '.join(reasons)}",
        )
    )
