"""Requests with as little said as a test needs, and the stubs to send them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar

import grpc

from depgraph.v1 import (
    access_service_pb2_grpc,
    alert_service_pb2_grpc,
    analysis_service_pb2_grpc,
    catalog_service_pb2_grpc,
    dependency_service_pb2_grpc,
    history_service_pb2_grpc,
)
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2_grpc as graph_grpc
from depgraph.v1.types_pb2 import COMMUNICATION_MODE_SYNC, Consistency, Dependency, Service

FRESH = Consistency(fully_consistent=True)


class Stubs:
    """The services of the contract over one channel."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.access = access_service_pb2_grpc.AccessServiceStub(channel)
        self.catalog = catalog_service_pb2_grpc.CatalogServiceStub(channel)
        self.dependencies = dependency_service_pb2_grpc.DependencyServiceStub(channel)
        self.graph = graph_grpc.GraphServiceStub(channel)
        self.alerts = alert_service_pb2_grpc.AlertServiceStub(channel)
        self.history = history_service_pb2_grpc.HistoryServiceStub(channel)
        self.analyses = analysis_service_pb2_grpc.AnalysisServiceStub(channel)

    async def write_services(self, *names: str) -> list[Service]:
        """Upsert services of which only the names matter."""
        request = catalog.BatchUpsertServicesRequest(services=[Service(service_id=name) for name in names])
        return list((await self.catalog.BatchUpsertServices(request)).services)

    async def write_edges(self, *written: str, **said: Any) -> list[Dependency]:
        """Upsert dependencies ``source>target`` with the fields ``said``, and their ends."""
        wanted = edges(*written, **said)
        ends = {name for edge in wanted for name in (edge.source_service_id, edge.target_service_id)}
        await self.write_services(*sorted(ends))
        request = dependencies.BatchUpsertDependenciesRequest(dependencies=wanted)
        return list((await self.dependencies.BatchUpsertDependencies(request)).dependencies)


async def raw_call(channel: grpc.aio.Channel, method: str, request: bytes) -> bytes:
    """Send bytes to a method as they are."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
    return await call(request)


def edges(*written: str, **said: Any) -> list[Dependency]:
    """Dependencies, each written ``source>target``."""
    said.setdefault("communication_mode", COMMUNICATION_MODE_SYNC)
    return [
        Dependency(source_service_id=source, target_service_id=target, **said)
        for source, target in (edge.split(">") for edge in written)
    ]


class Listed(Protocol):
    """An answer that may have a next page."""

    next_page_token: str


Answer = TypeVar("Answer", bound=Listed)


async def pages(ask: Callable[[str], Awaitable[Answer]]) -> AsyncIterator[Answer]:
    """Ask for page after page, each with the token of the one before."""
    token = ""
    while True:
        answer = await ask(token)
        yield answer
        token = answer.next_page_token
        if not token:
            return
