"""However calls of all kinds end, at the end every one is counted out and every place is free."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from depgraph.v1.analysis_service_pb2 import AnalyzeImpactRequest, FindPathsRequest
from depgraph.v1.catalog_service_pb2 import CreateServiceRequest, GetServiceRequest
from depgraph.v1.graph_service_pb2 import (
    DIRECTION_DOWNSTREAM,
    GetAdjacencyListRequest,
    TraverseRequest,
    WatchRequest,
)
from depgraph.v1.types_pb2 import Service
from server.access.grants import UnknownKeyError
from server.app import Application
from server.config import Limits, Settings, TlsSettings
from server.domain.caller import ANYONE, Caller
from server.domain.errors import UnauthenticatedError
from server.rpc.server import RpcServer
from tests.support.calls import FRESH, Stubs, raw_call
from tests.support.certificates import Authority, CertificateFiles, secure_channel
from tests.support.channels import open_channel
from tests.support.chaos import reset
from tests.support.eventually import eventually
from tests.support.fake_stores import ANY_PORT, HeldStore, codes, running
from tests.support.late_calls import half_a_request

CALLERS, CALLS_AT_ONCE, ROUNDS = 6, 4, 12
DEADLINES = 0.005, 0.1, 1.0, 1.0
GIVEN_UP = 0.2
TIGHT = Limits(
    max_concurrent_calls=6,
    max_concurrent_analyses=2,
    max_streaming_calls=6,
    max_watches=3,
    max_streams_per_principal=2,
    rate_limit=5,
    rate_burst=5,
)
DOWN = DIRECTION_DOWNSTREAM


class Doubtful:
    """Each connection is a principal. Now and then one is revoked, or must be looked up again."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.revoked: set[str] = set()

    def admit(self, method: str, context: Any) -> Caller:
        if method.startswith("/grpc."):
            return ANYONE
        peer = context.peer()
        if peer in self.revoked:
            raise UnauthenticatedError("revoked")
        if self._chance.random() < 0.05:
            raise UnknownKeyError(cast("Any", None))
        return Caller(peer, ANYONE.roles)

    async def renew(self, _: UnknownKeyError) -> None:
        await asyncio.sleep(0)


class Guarded(Application):
    """Identifies callers in a way of its own."""

    access: Any

    def _access(self) -> Any:
        return self.access

    @property
    def rpc(self) -> RpcServer:
        assert self._rpc_server is not None
        return self._rpc_server


@pytest.fixture
def chance() -> random.Random:
    return random.Random(2026)  # noqa: S311 - no secret


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
async def guarded(
    database_url: str, chance: random.Random, tmp_path: Path, authority: Authority
) -> AsyncIterator[Guarded]:
    """A server of few places, whose callers come by two addresses."""
    files = CertificateFiles(tmp_path, authority)
    settings = Settings(
        listen=ANY_PORT,
        tls_listen=ANY_PORT,
        tls=TlsSettings(cert=files.cert, key=files.key),
        database_url=database_url,
        limits=TIGHT,
    )
    server = Guarded(settings, report=lambda _: None)
    server.access = Doubtful(chance)
    async with server:
        yield server


def channel_to(server: Guarded, authority: Authority, number: int) -> Any:
    """Open a channel, every third one with TLS."""
    if number % 3:
        return open_channel(server.address)
    return secure_channel(server.addresses.tls, authority)


async def first_of(stream: Any) -> None:
    await stream.read()
    stream.cancel()


async def all_of(stream: Any) -> None:
    async for _ in stream:
        pass


def kinds_of_calls(channel: grpc.aio.Channel) -> list[Callable[[float], Awaitable[Any]]]:
    """Every way of the path of calls, each a function of a deadline in seconds."""
    stubs, health = Stubs(channel), health_pb2_grpc.HealthStub(channel)
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    graph, catalog, analyses = stubs.graph, stubs.catalog, stubs.analyses
    known, unknown = TraverseRequest(service_id="a", direction=DOWN), GetServiceRequest(service_id="x")
    fresh = TraverseRequest(service_id="a", direction=DOWN, consistency=FRESH)
    paths = FindPathsRequest(source_service_id="a", target_service_id="b", consistency=FRESH)
    created = CreateServiceRequest(service=Service(service_id="a"))
    asked = health_pb2.HealthCheckRequest()
    listed = reflection_pb2.ServerReflectionRequest(list_services="")
    return [
        lambda timeout: graph.Traverse(known, timeout=timeout),
        lambda timeout: graph.Traverse(fresh, timeout=timeout),
        lambda timeout: catalog.GetService(unknown, timeout=timeout),
        lambda timeout: catalog.CreateService(created, timeout=timeout),
        lambda timeout: analyses.FindPaths(paths, timeout=timeout),
        lambda timeout: all_of(analyses.AnalyzeImpact(AnalyzeImpactRequest(service_id="a"), timeout=timeout)),
        lambda timeout: all_of(graph.GetAdjacencyList(GetAdjacencyListRequest(), timeout=timeout)),
        lambda timeout: first_of(graph.Watch(WatchRequest(), timeout=timeout)),
        lambda timeout: all_of(graph.Watch(WatchRequest(), timeout=min(timeout, 0.1))),
        lambda timeout: health.Check(asked, timeout=timeout),
        lambda timeout: first_of(health.Watch(asked, timeout=timeout)),
        lambda timeout: first_of(reflection.ServerReflectionInfo(iter([listed]), timeout=timeout)),
        lambda _: raw_call(channel, "/depgraph.v1.GraphService/Traverse", b"unreadable"),
    ]


async def ask_at_random(kinds: list[Callable[[float], Awaitable[Any]]], chance: random.Random) -> None:
    """Make calls, most with a short deadline, and give some of them up."""
    for _ in range(ROUNDS):
        call = asyncio.ensure_future(_made(chance.choice(kinds), chance.choice(DEADLINES)))
        if chance.random() < GIVEN_UP:
            for _ in range(chance.choice((0, 1, 3, 30))):
                await asyncio.sleep(0)
            call.cancel()
        # A client that was interrupted in the middle of a stream may miss its end.
        await asyncio.wait([call], timeout=max(DEADLINES))
        call.cancel()


async def _made(call: Callable[[float], Awaitable[Any]], deadline: float) -> None:
    with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
        await call(deadline)


async def trouble(server: Guarded, peers: list[str], chance: random.Random) -> None:
    """Revoke callers for a while, end their streams, and break off requests in their middle."""
    host, _, port = server.address.rpartition(":")
    while True:
        server.access.revoked = set(chance.sample(peers, 1)) if peers else set()
        await server.rpc.end_refused_streams()
        reader, writer = await asyncio.open_connection(host, int(port))
        method = chance.choice(
            ("GraphService/Traverse", "CatalogService/CreateService", "GraphService/Watch")
        )
        try:
            writer.write(half_a_request(f"/depgraph.v1.{method}"))
            await reader.read(1)
        finally:
            reset(writer)


def unsettled(server: RpcServer) -> dict[str, Any]:
    """What is not as it was before the first call."""
    answering, calls = server._answering, server._calls
    books: dict[str, Any] = {
        "running": len(calls),
        "load": sum(server.load),
        "tasks": len(calls._endless) + len(calls._ended) + len(calls._admissions),
        "turns": answering.admission._giving_turns,
    }
    for kind, limits in answering.admission._limits.items():
        for limit in limits:
            books[f"{kind} {limit.full.limit}"] = getattr(limit, "in_progress", 0) or limit._held
    for of_method in server.counts:
        open_calls = of_method.started - sum(of_method.ended.values())
        books[of_method.method] = open_calls or of_method.started - sum(of_method.buckets)
    return {name: left for name, left in books.items() if left}


async def test_after_a_storm_of_calls_every_one_is_counted_out_and_so_are_those_that_the_stop_ends(
    guarded: Guarded, chance: random.Random, authority: Authority
) -> None:
    server, channel = guarded.rpc, partial(channel_to, guarded, authority)
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(channel(number)) for number in range(CALLERS)]
        await Stubs(channels[0]).write_edges("a>b", "b>c")
        peers: list[str] = []
        guarded.access.admit = noting(guarded.access.admit, peers)
        troubled = asyncio.create_task(trouble(guarded, peers, chance))
        stack.callback(troubled.cancel)
        kinds = [kinds_of_calls(channel) for channel in channels for _ in range(CALLS_AT_ONCE)]
        await asyncio.gather(*(ask_at_random(each, chance) for each in kinds))
        troubled.cancel()
        with suppress(asyncio.CancelledError):
            await troubled
        guarded.access.revoked = set()
        with suppress(TimeoutError):
            await eventually(lambda: not unsettled(server), within=10)
        assert unsettled(server) == {}
        ended: Counter[str] = Counter()
        for calls in server.counts:
            ended.update(calls.ended)
        # The storm was one: calls were answered, and others were not.
        assert {"OK", "CANCELLED"} <= set(+ended)
        # All places are there again, and what is open when the server stops is counted out, too.
        channels = [await stack.enter_async_context(channel(number)) for number in range(TIGHT.max_watches)]
        watches = [Stubs(channel).graph.Watch(WatchRequest()) for channel in channels]
        for watch in watches:
            await watch.read()
        health = health_pb2_grpc.HealthStub(channels[0]).Watch(health_pb2.HealthCheckRequest())
        await health.read()
        await guarded.__aexit__(None)
        assert unsettled(server) == {}


async def test_calls_that_the_stop_cancels_are_counted_out() -> None:
    store = HeldStore()
    async with running(store) as server, open_channel(server.address) as channel:
        catalog = Stubs(channel).catalog
        held = [
            asyncio.ensure_future(catalog.GetService(GetServiceRequest(service_id="a"))) for _ in range(3)
        ]
        await eventually(lambda: server.running_calls == 3)
        await server.stop(timedelta(0))
        assert codes(server) == {"CANCELLED": 3}
        assert unsettled(server) == {}
        for failure in await asyncio.gather(*held, return_exceptions=True):
            assert isinstance(failure, grpc.aio.AioRpcError)


def noting(admit: Callable[[str, Any], Caller], peers: list[str]) -> Callable[[str, Any], Caller]:
    """Take down who calls."""

    def noted(method: str, context: Any) -> Caller:
        if (peer := context.peer()) not in peers:
            peers.append(peer)
        return admit(method, context)

    return noted
