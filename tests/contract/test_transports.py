"""The transports: which one is used, where they listen, and calls that fail in them."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from depgraph.v1.graph_service_pb2 import GetStatusRequest
from server.app import Application
from server.config import Limits, Settings, TransportName
from server.domain.caller import Caller
from server.rpc.transport import Transport, make_transport
from tests.support.answering import answering
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.failures import failure_of
from tests.support.fake_stores import HeldStore, running

LOOPBACK = "127.0.0.1:0"
METHOD = "/depgraph.v1.GraphService/Traverse"


@pytest.fixture
def server_settings(database_url: str) -> Settings:
    return Settings(listen=LOOPBACK, database_url=database_url, metrics_listen=LOOPBACK)


async def test_status_and_metrics_name_the_transport(
    application: Application, transport: TransportName
) -> None:
    async with open_channel(application.address) as channel:
        status = await Stubs(channel).graph.GetStatus(GetStatusRequest())
    assert status.transport == transport
    returned = {
        one: application.registry.get_sample_value("depgraph_rpc_transport", {"transport": one})
        for one in ("grpcio", "native")
    }
    assert returned == {"grpcio": 0, "native": 0} | {transport: 1}


@pytest.mark.parametrize("listen", ["[::1]:0", "localhost:0", "127.0.0.1:0"])
async def test_the_server_listens_on_every_form_of_a_loopback_address(listen: str) -> None:
    async with running(HeldStore(), listen) as server, open_channel(server.address) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert server.address.rpartition(":")[0] == listen.rpartition(":")[0]


async def test_the_server_listens_on_a_unix_socket(tmp_path: Path) -> None:
    async with (
        running(HeldStore(), f"unix:{tmp_path}/socket") as server,
        open_channel(server.address) as channel,
    ):
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def none(_request: Any, _context: Any) -> bytes:
    return b"the long way"


async def serving(transport: Transport, at_once: Any) -> AsyncIterator[Any]:
    """Serve one method, of which calls are first tried to be answered by ``at_once``."""
    answers = answering()
    handler: Any = grpc.unary_unary_rpc_method_handler(cast("Any", none), response_serializer=bytes)
    transport.serve([replace(answers.method(METHOD, handler), at_once=at_once)], answers)
    port = transport.listen(LOOPBACK)
    await transport.start()
    try:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            yield channel.unary_unary(METHOD)
    finally:
        await transport.stop(None)


@pytest.mark.native_only
async def test_an_error_while_a_call_begins_is_reported_and_harms_no_other_call() -> None:
    def defect(request: bytes, *_: Any) -> bool:
        if request:
            raise ZeroDivisionError
        return False

    async for call in serving(make_transport("native", LOOPBACK, Limits()), defect):
        with capture_logs() as lines:
            failure = await failure_of(call(b"\x0a\x01x"))
        assert failure.code is grpc.StatusCode.INTERNAL
        assert [type(line["exc_info"]) for line in lines if line["log_level"] == "error"] == [
            ZeroDivisionError
        ]
        assert await call(b"") == b"the long way"


@pytest.mark.native_only
async def test_a_call_that_was_answered_at_once_does_not_reach_the_handler() -> None:
    def back(request: bytes, _: Any, send: Callable[[bytes], None], _caller: Caller) -> bool:
        if request:
            send(request)
        return bool(request)

    async for call in serving(make_transport("native", LOOPBACK, Limits()), back):
        assert await call(b"\x0a\x01x") == b"\x0a\x01x"
        assert await call(b"") == b"the long way"
