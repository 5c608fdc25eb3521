"""The synchronous client."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, Unpack

import grpc

from depgraph.calls import (
    DEFAULT_ATTEMPTS,
    DEFAULT_TARGET,
    DEFAULT_TIMEOUT,
    Calls,
    channel_options,
)
from depgraph.security import Security, secured
from depgraph.v1.access_service_pb2_grpc import AccessServiceStub
from depgraph.v1.alert_service_pb2_grpc import AlertServiceStub
from depgraph.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from depgraph.v1.catalog_service_pb2_grpc import CatalogServiceStub
from depgraph.v1.dependency_service_pb2_grpc import DependencyServiceStub
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from depgraph.v1.history_service_pb2_grpc import HistoryServiceStub
from depgraph.v1.types_pb2 import Consistency


@dataclass(frozen=True, slots=True)
class _CallDetails(grpc.ClientCallDetails):
    method: str
    timeout: float | None
    metadata: Any
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _Interceptor(grpc.UnaryUnaryClientInterceptor):
    """Gives calls the default deadline, and notes the revisions of their responses."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Make the call; a failed one is handed on as it is."""
        details = _CallDetails(*self._calls.details(client_call_details), client_call_details.compression)
        call = continuation(details, request)
        # A blocking call has its response by now; one made with `.future()` notes it later.
        call.add_done_callback(self._note)
        return call

    def _note(self, call: Any) -> None:
        if not call.cancelled() and call.exception() is None:
            self._calls.note(call.result())


class _StreamInterceptor(grpc.UnaryStreamClientInterceptor):
    """Gives the token to calls that are answered by a stream."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: grpc.ClientCallDetails, request: Any
    ) -> Any:
        """Make the call."""
        asked = client_call_details
        metadata = self._calls.metadata(asked.metadata)
        details = _CallDetails(
            asked.method, asked.timeout, metadata, asked.credentials, asked.wait_for_ready, asked.compression
        )
        return continuation(details, request)


class Client:
    """
    A connection to one depgraph server, or to all that a name resolves to.

    Threads may share it.

    ::

        with Client("localhost:50051") as client:
            client.catalog.CreateService(CreateServiceRequest(service=Service(service_id="checkout")))
            answer = client.graph.GetComponent(
                GetComponentRequest(service_id="checkout", consistency=client.read_your_writes())
            )

    ``timeout`` is the deadline, in seconds, of unary calls that are made without one (None = none);
    streams have no default deadline. While no server can be reached, the first call fails with
    UNAVAILABLE, the address and the cause; once there was an answer, unary calls wait within their
    deadline for the server to come back. ``wait_for_ready`` true waits from the beginning, false
    never; streams never wait. While the server is UNAVAILABLE, calls that may be repeated are tried
    up to ``attempts`` times (1 to 5).

    TLS and identity: the arguments of ``Security``, such as ``Client("graph.test:443", tls=True,
    token_file="/run/token")``; or ``credentials`` instead of the files. Without them the connection
    is not encrypted. What can't be used raises ``OSError`` or ``ValueError`` here.
    Failures of calls are ``grpc.RpcError``.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        timeout: float | None = DEFAULT_TIMEOUT,
        wait_for_ready: bool | None = None,
        attempts: int = DEFAULT_ATTEMPTS,
        **security: Unpack[Security],
    ) -> None:
        credentials, token, security_options = secured(target, credentials, security)
        self._calls = Calls(timeout, wait_for_ready=wait_for_ready, token=token)
        options = channel_options(attempts=attempts) + security_options
        plain = (
            grpc.insecure_channel(target, options)
            if credentials is None
            else grpc.secure_channel(target, credentials, options)
        )
        interceptors = [_Interceptor(self._calls), *([_StreamInterceptor(self._calls)] if token else ())]
        self.channel = grpc.intercept_channel(plain, *interceptors)
        self.catalog = CatalogServiceStub(self.channel)
        self.dependencies = DependencyServiceStub(self.channel)
        self.graph = GraphServiceStub(self.channel)
        self.analyses = AnalysisServiceStub(self.channel)
        self.alerts = AlertServiceStub(self.channel)
        self.access = AccessServiceStub(self.channel)
        self.history = HistoryServiceStub(self.channel)

    def read_your_writes(self) -> Consistency:
        """Return the consistency with which a read sees the latest write; unset before it."""
        return self._calls.read_your_writes()

    def close(self) -> None:
        """Close the connection; calls that are running are cancelled."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
