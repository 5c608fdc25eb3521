"""The client for asyncio."""

from collections.abc import Callable
from typing import Any, Self, Unpack

import grpc
from grpc import aio

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


class _Interceptor(aio.UnaryUnaryClientInterceptor):
    """Gives calls the default deadline and notes the revisions of their responses."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        """Make the call; a failed one raises here what it would raise for the caller."""
        details = aio.ClientCallDetails(*self._calls.details(client_call_details))
        call = await continuation(details, request)
        self._calls.note(await call)
        return call


class _StreamInterceptor(aio.UnaryStreamClientInterceptor):
    """Gives the token to calls that are answered by a stream."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def intercept_unary_stream(
        self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        """Make the call."""
        asked = client_call_details
        metadata = self._calls.metadata(asked.metadata)
        details = aio.ClientCallDetails(
            asked.method, asked.timeout, metadata, asked.credentials, asked.wait_for_ready
        )
        return await continuation(details, request)


class AsyncClient:
    """
    A connection to one depgraph server, or to all that a name resolves to.

    It belongs to the event loop it was made in.

    ::

        async with AsyncClient("localhost:50051") as client:
            await client.catalog.CreateService(
                CreateServiceRequest(service=Service(service_id="checkout"))
            )
            answer = await client.graph.GetComponent(
                GetComponentRequest(service_id="checkout", consistency=client.read_your_writes())
            )

    The arguments are those of ``Client``.
    Failures are ``grpc.aio.AioRpcError``.
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
        interceptors: list[aio.ClientInterceptor] = [_Interceptor(self._calls)]
        if token is not None:
            interceptors.append(_StreamInterceptor(self._calls))
        options = channel_options(attempts=attempts) + security_options
        self.channel = (
            aio.insecure_channel(target, options, interceptors=interceptors)
            if credentials is None
            else aio.secure_channel(target, credentials, options, interceptors=interceptors)
        )
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

    async def close(self) -> None:
        """Close the connection; calls that are running are cancelled."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
