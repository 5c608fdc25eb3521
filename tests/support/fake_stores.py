"""A server over stores that wait or fail on command, to see what calls do at such moments."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from server.access.certificates import TlsFiles
from server.config import Addresses, Limits
from server.domain.services import Service, ServiceKey
from server.rpc.graph.status import ServerStatus
from server.rpc.server import RpcServer, Servicers

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ANY_PORT = "127.0.0.1:0"


class HeldStore:
    """Holds every look-up until it is let go; ``error`` is raised then, if there is one."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.let_go = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.error: Exception | None = None
        self.metadata = "{}"

    async def get(self, key: ServiceKey) -> Service:
        self.asked.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        if self.error is not None:
            raise self.error
        return Service(UUID(int=1), str(key), self.metadata, "low", None, False, NOW, NOW)


def rpc_server(
    store: HeldStore,
    listen: str = ANY_PORT,
    limits: Limits | None = None,
    *,
    tls: TlsFiles | None = None,
    health: bool = False,
    http_at: str = "",
    **parts: Any,
) -> RpcServer:
    """
    Make a server that has nothing but services; ``parts`` are arguments of ``RpcServer``.

    It listens with TLS too if it has files for that, for probes of its health if wanted, and by
    HTTP at an address.
    """
    nothing = cast("Any", None)
    servicers = Servicers(
        services=cast("Any", store),
        aliases=nothing,
        dependencies=nothing,
        alerts=nothing,
        writes=nothing,
        live=nothing,
        history=nothing,
        watched=nothing,
        otlp=nothing,
        status=ServerStatus(started_at=NOW, version="0"),
    )
    addresses = Addresses(listen, ANY_PORT if tls is not None else "", ANY_PORT if health else "", http_at)
    return RpcServer(addresses, servicers, limits or Limits(), tls=tls, **parts)


def codes(server: RpcServer) -> Counter[str]:
    """Count the calls that are over by their codes."""
    total: Counter[str] = Counter()
    for calls in server.counts:
        total.update(calls.ended)
    return +total


@asynccontextmanager
async def running(
    store: HeldStore,
    listen: str = ANY_PORT,
    limits: Limits | None = None,
    *,
    tls: TlsFiles | None = None,
    health: bool = False,
    **parts: Any,
) -> AsyncIterator[RpcServer]:
    """Run such a server, serving."""
    server = rpc_server(store, listen, limits, tls=tls, health=health, **parts)
    await server.start()
    server.set_serving(serving=True)
    try:
        yield server
    finally:
        await server.stop(timedelta(0))
