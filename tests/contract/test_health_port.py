"""The address for probes: it answers ``grpc.health.v1`` and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from depgraph.v1.catalog_service_pb2 import GetServiceRequest
from depgraph.v1.graph_service_pb2 import GetStatusRequest
from server.rpc.listeners import HEALTH_LIMITS
from server.rpc.server import CONTRACT, RpcServer
from server.rpc.standard import LIVENESS
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.failures import failure_of
from tests.support.fake_stores import HeldStore, rpc_server, running

pytestmark = pytest.mark.one_transport

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def server() -> AsyncIterator[RpcServer]:
    async with running(HeldStore(), health=True) as serving:
        yield serving


@pytest.fixture
async def channel(server: RpcServer) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(server.addresses.health) as opened:
        yield opened


async def check(channel: grpc.aio.Channel, service: str = "") -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    status: int = (await health_pb2_grpc.HealthStub(channel).Check(request)).status
    return status


async def test_check_and_list_answer_for_every_service(channel: grpc.aio.Channel) -> None:
    names = {"", LIVENESS, *CONTRACT}
    assert {await check(channel, name) for name in names} == {SERVING}
    listed = await health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest())
    assert set(listed.statuses) == names


async def test_a_server_that_is_not_warm_is_not_serving_and_a_watcher_sees_it_become_so() -> None:
    server = rpc_server(HeldStore(), health=True)
    await server.start()
    async with open_channel(server.addresses.health) as channel:
        assert await check(channel) == NOT_SERVING
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == NOT_SERVING
        server.set_serving(serving=True)
        assert (await watch.read()).status == SERVING
    await server.stop(timedelta(0))


async def test_nothing_else_is_answered(server: RpcServer, channel: grpc.aio.Channel) -> None:
    reflected = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    )
    stubs = Stubs(channel)
    for call in (
        stubs.catalog.GetService(GetServiceRequest(service_id="a")),
        stubs.graph.GetStatus(GetStatusRequest()),
        reflected.read(),
    ):
        assert (await failure_of(call)).code is grpc.StatusCode.UNIMPLEMENTED
    assert server.running_calls == 0


async def test_it_has_connections_of_its_own_and_not_many(server: RpcServer) -> None:
    async def probe() -> bool:
        async with open_channel(server.addresses.health) as channel:
            try:
                await check(channel)
            except grpc.aio.AioRpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE
                return False
            return True

    host, _, port = server.addresses.health.rpartition(":")
    connections = [
        await asyncio.open_connection(host, int(port)) for _ in range(HEALTH_LIMITS.max_connections)
    ]
    assert not await probe()
    async with open_channel(server.address) as channel:
        assert await check(channel) == SERVING
    for _, writer in connections:
        writer.close()
