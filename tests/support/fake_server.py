"""A server of the contract that fails on command, as the real one does too rarely for tests."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import Any

import grpc
from google.protobuf.message import Message
from grpc_health.v1.health import HealthServicer
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server

from depgraph.v1.access_service_pb2 import (
    ListWritesRequest,
    ListWritesResponse,
    WhoAmIRequest,
    WhoAmIResponse,
    Write,
)
from depgraph.v1.catalog_service_pb2 import CreateServiceRequest, CreateServiceResponse
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestGraphResponse
from depgraph.v1.graph_service_pb2 import (
    GetAdjacencyListRequest,
    GetAdjacencyListResponse,
    GetComponentRequest,
    GetComponentResponse,
    GetStatusRequest,
    GetStatusResponse,
    ListComponentsRequest,
    ListComponentsResponse,
    WatchRequest,
    WatchResponse,
)
from depgraph.v1.types_pb2 import Freshness


class Script:
    """After ``grace`` good calls, each of the next calls fails with one of ``failures``."""

    def __init__(self, failures: list[grpc.StatusCode], grace: int = 0) -> None:
        self.calls: list[str] = []
        self.deadlines: list[float | None] = []
        self.authorizations: list[str | bytes | None] = []
        self.caller = WhoAmIResponse()
        self.writes: list[Write] = []
        self.ingested: list[IngestGraphRequest] = []
        self._failures = failures
        self._grace = grace
        self._one_at_a_time = Lock()

    def step(self, call: str, context: grpc.ServicerContext) -> None:
        """Count a call, and fail it when its turn has come."""
        with self._one_at_a_time:
            self.calls.append(call)
            self.deadlines.append(context.time_remaining())
            self.authorizations.append(dict(context.invocation_metadata()).get("authorization"))
            code = self._failures.pop(0) if len(self.calls) > self._grace and self._failures else None
        if code is not None:
            context.abort(code, f"asked to fail with {code.name}")

    def create_service(self, request: CreateServiceRequest) -> CreateServiceResponse:
        """Answer with a revision that names the write."""
        return CreateServiceResponse(service=request.service, revision=f"made {request.service.service_id}")

    def list_writes(self, request: ListWritesRequest) -> ListWritesResponse:
        """Answer with two writes a page at most."""
        start = int(request.page_token or 0)
        end = start + min(request.page_size or 100, 2)
        more = str(end) if end < len(self.writes) else ""
        return ListWritesResponse(writes=self.writes[start:end], next_page_token=more)

    def ingest(self, request: IngestGraphRequest) -> IngestGraphResponse:
        """Keep the report; every edge counts as new."""
        self.ingested.append(request)
        return IngestGraphResponse(edges_created=len(request.edges), revision="ingested")


@contextmanager
def fake_server(
    script: Script, address: str = "127.0.0.1:0", credentials: grpc.ServerCredentials | None = None
) -> Iterator[str]:
    """Run the fake, by default on a free port of the loopback, in plaintext; yields its address."""
    server = grpc.server(ThreadPoolExecutor(max_workers=4))
    add_HealthServicer_to_server(HealthServicer(), server)
    server.add_generic_rpc_handlers(
        (
            _service(
                "CatalogService",
                {"CreateService": _unary(script, script.create_service, CreateServiceRequest)},
            ),
            _service("DependencyService", {"IngestGraph": _unary(script, script.ingest, IngestGraphRequest)}),
            _service("GraphService", _graph(script)),
            _service(
                "AccessService",
                {
                    "WhoAmI": _unary(script, lambda _: script.caller, WhoAmIRequest),
                    "ListWrites": _unary(script, script.list_writes, ListWritesRequest),
                },
            ),
        )
    )
    if credentials is None:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, credentials)
    server.start()
    try:
        yield address if address.startswith("unix:") else f"127.0.0.1:{port}"
    finally:
        server.stop(grace=None).wait()


def _graph(script: Script) -> dict[str, Any]:
    def rows(_: GetAdjacencyListRequest, context: grpc.ServicerContext) -> Iterator[GetAdjacencyListResponse]:
        script.step("GetAdjacencyListRequest", context)
        yield GetAdjacencyListResponse(service_id="a", target_service_ids=["b"])

    def changes(_: WatchRequest, context: grpc.ServicerContext) -> Iterator[WatchResponse]:
        script.step("WatchRequest", context)
        yield WatchResponse(freshness=Freshness(revision=f"after {len(script.calls)} calls"))
        script.step("the rest", context)

    return {
        "Watch": grpc.unary_stream_rpc_method_handler(
            changes,
            request_deserializer=WatchRequest.FromString,
            response_serializer=WatchResponse.SerializeToString,
        ),
        "GetStatus": _unary(script, lambda _: GetStatusResponse(service_count=1), GetStatusRequest),
        "GetComponent": _unary(
            script,
            lambda _: GetComponentResponse(freshness=Freshness(revision="a snapshot")),
            GetComponentRequest,
        ),
        "ListComponents": _unary(script, lambda _: ListComponentsResponse(), ListComponentsRequest),
        "GetAdjacencyList": grpc.unary_stream_rpc_method_handler(
            rows,
            request_deserializer=GetAdjacencyListRequest.FromString,
            response_serializer=GetAdjacencyListResponse.SerializeToString,
        ),
    }


def _service(name: str, methods: dict[str, Any]) -> grpc.GenericRpcHandler:
    return grpc.method_handlers_generic_handler(f"depgraph.v1.{name}", methods)


def _unary(script: Script, answer: Callable[[Any], Message], request_type: type[Message]) -> Any:
    def handle(request: Message, context: grpc.ServicerContext) -> Message:
        script.step(request_type.__name__, context)
        return answer(request)

    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=request_type.FromString,
        response_serializer=lambda response: response.SerializeToString(),
    )
