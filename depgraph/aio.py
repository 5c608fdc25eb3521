"""The client for asyncio."""

from collections.abc import Callable
from typing import Any, Self

import grpc
from grpc import aio

from depgraph.channel import (
    DEFAULT_ATTEMPTS,
    DEFAULT_TARGET,
    DEFAULT_TIMEOUT,
    channel_options,
    checked_timeout,
)
from depgraph.responses import LatestRevision
from depgraph.v1.alert_service_pb2_grpc import AlertServiceStub
from depgraph.v1.analysis_service_pb2_grpc import AnalysisServiceStub
from depgraph.v1.catalog_service_pb2_grpc import CatalogServiceStub
from depgraph.v1.dependency_service_pb2_grpc import DependencyServiceStub
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from depgraph.v1.types_pb2 import Consistency


class _UnaryCalls(aio.UnaryUnaryClientInterceptor):
    """Gives calls the default deadline and notes the revisions of their responses."""

    def __init__(
        self, timeout: float | None, revisions: LatestRevision, *, wait_for_ready: bool | None
    ) -> None:
        self._timeout = timeout
        self._revisions = revisions
        self._wait_for_ready = wait_for_ready
        self._has_answer = False

    async def intercept_unary_unary(
        self, continuation: Callable[..., Any], client_call_details: aio.ClientCallDetails, request: Any
    ) -> Any:
        """Make the call; a failed one raises here what it would raise for the caller."""
        asked = client_call_details
        waits = self._has_answer if self._wait_for_ready is None else self._wait_for_ready
        call = await continuation(
            aio.ClientCallDetails(
                asked.method,
                self._timeout if asked.timeout is None else asked.timeout,
                asked.metadata,
                asked.credentials,
                waits if asked.wait_for_ready is None else asked.wait_for_ready,
            ),
            request,
        )
        self._revisions.note(await call)
        self._has_answer = True
        return call


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

    ``timeout`` is the deadline, in seconds, of unary calls that are made without one (None = none);
    streams have no default deadline. While no server can be reached, the first call fails with
    UNAVAILABLE, the address and the cause; once there was an answer, unary calls wait within their
    deadline for the server to come back. ``wait_for_ready`` true waits from the beginning, false
    never; streams never wait. While the server is UNAVAILABLE, calls that may be repeated are tried
    up to ``attempts`` times (1 to 5).
    Without ``credentials`` the connection is not encrypted.
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
    ) -> None:
        self._revisions = LatestRevision()
        calls = [_UnaryCalls(checked_timeout(timeout), self._revisions, wait_for_ready=wait_for_ready)]
        options = channel_options(attempts=attempts)
        self.channel = (
            aio.insecure_channel(target, options, interceptors=calls)
            if credentials is None
            else aio.secure_channel(target, credentials, options, interceptors=calls)
        )
        self.catalog = CatalogServiceStub(self.channel)
        self.dependencies = DependencyServiceStub(self.channel)
        self.graph = GraphServiceStub(self.channel)
        self.analyses = AnalysisServiceStub(self.channel)
        self.alerts = AlertServiceStub(self.channel)

    def read_your_writes(self) -> Consistency:
        """Return the consistency with which a read sees the latest write; unset before it."""
        return self._revisions.consistency()

    async def close(self) -> None:
        """Close the connection; calls that are running are cancelled."""
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
